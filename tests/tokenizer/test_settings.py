import re

from roberta.tokenizer import RobertaTokenizer
from roberta.tokenizer.settings import Settings, config_of, constructor_arguments


def test_every_setting_is_documented():
    documented = set(re.findall(r"^        (\w+): ", Settings.__doc__, flags=re.MULTILINE))
    assert documented == set(Settings.__annotations__)


def test_what_is_written_is_what_the_constructor_takes(tiny):
    tokenizer = RobertaTokenizer(tiny._base, tiny._merges, "ignore", add_prefix_space=True, padding_side="left")
    written = config_of(tokenizer)
    assert set(written) - set(constructor_arguments(written)) == {"tokenizer_class"}
    again = RobertaTokenizer(tiny._base, tiny._merges, **constructor_arguments(written))
    assert config_of(again) == written
    assert (again.errors, again.add_prefix_space, again.padding_side) == ("ignore", True, "left")
