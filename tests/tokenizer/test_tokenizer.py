import copy
import json
import pickle
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from roberta.tokenizer import AddedToken, RobertaTokenizer, RobertaTokenizerFast
from roberta.tokenizer.options import UNLIMITED

KINDS = [RobertaTokenizer, pytest.param(RobertaTokenizerFast, marks=pytest.mark.tokenizers)]
TEXT = st.lists(
    st.sampled_from(["<mask>", " <mask>", "<new>", "the", " cat", " ", "é", "日", "\n", "Xy"]), max_size=8
).map("".join)


@pytest.fixture
def special(tiny):
    """A tokenizer none of whose settings is the default."""
    tokenizer = RobertaTokenizer(
        tiny._base, tiny._merges, "ignore", add_prefix_space=True, model_max_length=77, padding_side="left",
        truncation_side="left", trim_offsets=False, clean_up_tokenization_spaces=True,
        model_input_names=["input_ids"], additional_special_tokens=["<x>"],
    )  # fmt: skip
    tokenizer.add_tokens([AddedToken("<new>", rstrip=True)])
    return tokenizer


def test_defaults(tiny):
    assert tiny.model_max_length == UNLIMITED
    assert (tiny.padding_side, tiny.truncation_side) == ("right", "right")
    assert (tiny.errors, tiny.add_prefix_space, tiny.trim_offsets) == ("replace", False, True)
    assert "RobertaTokenizer(name_or_path='', vocab_size=273" in repr(tiny)


def test_a_folder_comes_back_as_it_was_saved(special, tmp_path):
    names = [path.rsplit("/", 1)[1] for path in special.save_pretrained(tmp_path / "new" / "folder")]
    assert names == [
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.json",
        "merges.txt",
        "tokenizer.json",
    ]
    again = RobertaTokenizer.from_pretrained(tmp_path / "new" / "folder")
    names = ["errors", "add_prefix_space", "model_max_length", "padding_side", "truncation_side", "trim_offsets"]
    names += ["clean_up_tokenization_spaces", "model_input_names", "all_special_tokens", "added_tokens_decoder"]
    for name in names:
        assert getattr(again, name) == getattr(special, name), name
    assert again.get_vocab() == special.get_vocab()
    assert again._merges == special._merges
    assert again.name_or_path == str(tmp_path / "new" / "folder")


def test_arguments_win_over_the_folder(special, tmp_path):
    special.save_pretrained(tmp_path)
    again = RobertaTokenizer.from_pretrained(str(tmp_path), errors="strict", padding_side="right", pad_token=None)
    assert (again.errors, again.padding_side, again.pad_token) == ("strict", "right", None)


@pytest.mark.hf
@pytest.mark.parametrize("kind", ["RobertaTokenizer", "RobertaTokenizerFast"])
@settings(derandomize=True, deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_we_save_transformers_loads_with_the_same_ids(transformers, tiny, tmp_path, kind, data):
    if not (tmp_path / "vocab.json").exists():
        mine = RobertaTokenizer(tiny._base, tiny._merges, model_max_length=77, additional_special_tokens=["<x>"])
        mine.add_tokens([AddedToken("<new>", rstrip=True)])
        mine.save_pretrained(tmp_path)
    mine = RobertaTokenizer.from_pretrained(tmp_path)
    peer = getattr(transformers, kind).from_pretrained(tmp_path)
    text = data.draw(TEXT)
    assert peer.model_max_length == 77
    assert peer(text).input_ids == mine(text).input_ids
    assert peer.all_special_tokens == mine.all_special_tokens


@pytest.mark.hf
@pytest.mark.parametrize("kind", ["RobertaTokenizer", "RobertaTokenizerFast"])
def test_what_transformers_saves_we_load_with_the_same_ids(transformers, tiny, tmp_path, kind):
    tiny.save_pretrained(tmp_path / "ours")
    peer = getattr(transformers, kind).from_pretrained(tmp_path / "ours", model_max_length=77, padding_side="left")
    peer.add_tokens([transformers.AddedToken("<new>", rstrip=True), "<other>"])
    peer.add_special_tokens({"additional_special_tokens": ["<x>"]})
    peer.save_pretrained(tmp_path / "theirs")
    mine = RobertaTokenizer.from_pretrained(tmp_path / "theirs")
    assert (mine.model_max_length, mine.padding_side) == (77, "left")
    assert mine.get_vocab() == peer.get_vocab()
    assert mine.all_special_tokens == peer.all_special_tokens
    for text in ("the <new>  cat <mask><x>the", "<other><x> <mask> é"):
        assert mine(text).input_ids == peer(text).input_ids


def test_a_folder_with_only_the_two_files(tiny, tmp_path):
    tiny.save_vocabulary(tmp_path)
    assert RobertaTokenizer.from_pretrained(tmp_path)("the <mask>").input_ids == tiny("the <mask>").input_ids
    shutil.copy(tmp_path / "merges.txt", tmp_path / "other.txt")
    by_name = RobertaTokenizer(tmp_path / "vocab.json", str(tmp_path / "other.txt"))
    assert by_name("the <mask>").input_ids == tiny("the <mask>").input_ids


def test_the_vocabulary_is_saved_in_the_order_of_ids(tiny, tmp_path):
    vocab_path, merges_path = tiny.save_vocabulary(tmp_path, filename_prefix="my")
    assert (vocab_path, merges_path) == (str(tmp_path / "my-vocab.json"), str(tmp_path / "my-merges.txt"))
    saved = json.loads((tmp_path / "my-vocab.json").read_text(encoding="utf-8"))
    assert list(saved.values()) == list(range(273))
    with pytest.raises(FileNotFoundError, match=r"save_directory: expected a folder, found none at .*; create it"):
        tiny.save_vocabulary(tmp_path / "nowhere")


def test_a_place_that_is_no_folder_is_named(tiny, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint '.*nowhere': give an existing folder or one of"):
        RobertaTokenizer.from_pretrained(tmp_path / "nowhere")
    tiny.save_vocabulary(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"and .*vocab.json is a file"):
        RobertaTokenizer.from_pretrained(tmp_path / "vocab.json")


def test_a_setting_that_does_not_exist(tiny):
    with pytest.raises(
        TypeError, match="RobertaTokenizer: 'model_max_lenght' is not an option; did you mean 'model_max_length'"
    ):
        RobertaTokenizer(tiny._base, tiny._merges, model_max_lenght=5)


def test_a_mask_given_as_a_token_need_not_swallow_space(tiny):
    tokenizer = RobertaTokenizer(tiny._base, tiny._merges, mask_token=AddedToken("<mask>", normalized=False))
    assert tokenizer.tokenize("a <mask>") == ["a", "Ġ", "<mask>"]


def test_a_setting_changed_later_counts(tiny):
    tokenizer = RobertaTokenizer(tiny._base, tiny._merges)
    tokenizer.add_prefix_space = True
    assert tokenizer.tokenize("x") == ["Ġ", "x"]


def test_a_role_that_nobody_plays_stays_so(tiny, tmp_path):
    tokenizer = RobertaTokenizer(tiny._base, tiny._merges, mask_token=None)
    tokenizer.save_pretrained(tmp_path)
    assert RobertaTokenizer.from_pretrained(tmp_path).mask_token is None
    assert RobertaTokenizer.from_tokenizer(tokenizer).mask_token is None


# -- what a copy shares ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "change",
    [
        lambda tokenizer: tokenizer.add_tokens(["the"]),
        lambda tokenizer: tokenizer.add_special_tokens({"additional_special_tokens": ["<x>", "the"]}),
        lambda tokenizer: setattr(tokenizer, "pad_token", "<unk>"),
        lambda tokenizer: setattr(tokenizer, "cls_token_id", 3),
        lambda tokenizer: tokenizer.model_input_names.append("token_type_ids"),
    ],
)
@pytest.mark.parametrize("changes_the_copy", [True, False])
def test_a_copy_and_its_original_go_their_own_ways(tiny, kind, change, changes_the_copy):
    original = kind.from_tokenizer(tiny)
    before = state_of(original)
    twin = copy.copy(original)
    assert state_of(twin) == before
    change(twin if changes_the_copy else original)
    assert state_of(original if changes_the_copy else twin) == before
    assert state_of(twin if changes_the_copy else original) != before


def state_of(tokenizer):
    ids = dict(tokenizer(["the cat<x>", "a"], padding=True)), tokenizer.tokenize("the cat")
    return ids, tokenizer.get_vocab(), tokenizer.added_tokens_decoder, tokenizer.special_tokens_map


@pytest.mark.parametrize("kind", KINDS)
def test_calls_leave_nothing_behind_that_is_pickled(tiny, kind):
    """`datasets` tells by the bytes whether it has seen a tokenizer before."""
    tokenizer = kind(tiny._base, tiny._merges, model_max_length=4)
    before = pickle.dumps(tokenizer)
    tokenizer(["the cat sat", "on <mask>"], return_offsets_mapping=True)
    tokenizer.explain("the mat")
    assert pickle.dumps(tokenizer) == before
    twin = pickle.loads(before)  # noqa: S301  # our own
    assert twin("the cat sat").input_ids == tokenizer("the cat sat").input_ids


# -- the walk of a call ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_is_short(kind):
    """A warm call of one text: 25 functions of Python in six files, which a reader can follow."""
    tokenizer = kind.from_pretrained("austen")
    walk = []
    for _ in range(2):
        walk.clear()
        sys.setprofile(lambda frame, event, _: event == "call" and walk.append(frame.f_code))
        try:
            tokenizer("I dare say")
        finally:
            sys.setprofile(None)
    files = {Path(code.co_filename).name for code in walk if code.co_filename.endswith(".py")}
    assert len(walk) <= 25, [code.co_qualname for code in walk]
    assert len(files) <= 6, files
