"""Each row of the tokenizers' table in docs/differences.md, run on both sides, by both classes of either."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import roberta
import transformers
from roberta.tokenizer import AddedToken

pytestmark = [pytest.mark.hf, pytest.mark.tokenizers]

ROOT = Path(roberta.__file__).resolve().parent
PAGE = ROOT / "docs" / "differences.md"
KINDS = ["RobertaTokenizer", "RobertaTokenizerFast"]

#: First column of the table -> its check, which gets the name of a class, and a folder if it asks for one.
CHECKS: dict[str, Callable[..., None]] = {}


def row(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def register(check: Callable[..., None]) -> Callable[..., None]:
        CHECKS[name] = check
        return check

    return register


def pair(kind: str, **settings: Any) -> tuple[Any, Any]:
    """The peer's tokenizer and ours."""
    folder = ROOT / "checkpoints" / "austen"
    theirs, ours = (getattr(library, kind).from_pretrained(folder, **settings) for library in (transformers, roberta))
    return theirs, ours


def logged(caplog: pytest.LogCaptureFixture, library: str, call: Callable[[], Any]) -> list[str]:
    """What a call logs. transformers' lines do not reach the root by themselves."""
    caplog.clear()
    logger = logging.getLogger(library)
    logger.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.WARNING, logger=library):  # other tests have it keep silent
            call()
    finally:
        logger.removeHandler(caplog.handler)
    return sorted({record.getMessage() for record in caplog.records if record.name.startswith(library)})


@row("chat templates")
def _(kind: str) -> None:
    theirs, ours = pair(kind)
    theirs.chat_template = "{{ messages[0].content }}"
    assert theirs.apply_chat_template([{"role": "user", "content": "She"}], tokenize=False) == "She"
    with pytest.raises(AttributeError, match="does without 'apply_chat_template': RoBERTa reads texts"):
        ours.apply_chat_template([{"role": "user", "content": "She"}])
    with pytest.raises(AttributeError, match=r"chat_template: expected None, got '\{\{ messages.*RoBERTa reads texts"):
        ours.chat_template = theirs.chat_template
    ours.chat_template = None


@row("steps of a call inside")
def _(kind: str) -> None:
    theirs, ours = pair(kind)
    name = "set_truncation_and_padding" if theirs.is_fast else "prepare_for_tokenization"
    assert callable(getattr(theirs, name))
    with pytest.raises(AttributeError, match=rf"'{name}': it is how transformers works inside; .* call"):
        getattr(ours, name)


@row("an argument of the constructor that is nobody's")
def _(kind: str) -> None:
    with pytest.warns(UserWarning, match="'nobodys' is no setting: it is kept and saved, and nothing comes of it"):
        theirs, ours = pair(kind, nobodys=1)
    assert theirs.init_kwargs["nobodys"] == ours.init_kwargs["nobodys"] == 1
    getattr(transformers, kind).from_pretrained(ROOT / "checkpoints" / "austen", padding_sides="left")
    with pytest.raises(TypeError, match="'padding_sides' is not an option; did you mean 'padding_side'"):
        pair(kind, padding_sides="left")


@row("an argument of the constructor that is a method's name")
def _(kind: str) -> None:
    folder = ROOT / "checkpoints" / "austen"
    for library, error in ((transformers, AttributeError), (roberta, TypeError)):
        with pytest.raises(error, match="get_vocab"):
            getattr(library, kind).from_pretrained(folder, get_vocab=True)


@row("`do_lower_case=True`")
def _(kind: str) -> None:
    with pytest.warns(UserWarning, match="do_lower_case: RoBERTa knows both cases and lowers none"):
        theirs, ours = pair(kind, do_lower_case=True)
    assert theirs("She").input_ids == ours("She").input_ids != ours("she").input_ids


@row("`unk_token` set to None while bytes are lacking")
def _(kind: str, folder: Path) -> None:
    roberta.RobertaTokenizer({"a": 0, "<unk>": 1}, []).save_pretrained(folder, legacy_format=True)
    theirs, ours = (getattr(library, kind).from_pretrained(folder) for library in (transformers, roberta))
    for each in (theirs, ours):
        each.unk_token = None
    if not theirs.is_fast:
        assert theirs("ab", add_special_tokens=False).input_ids == [0, None]
    with pytest.raises(ValueError, match="expected all 256 byte symbols, or an unk_token"):
        ours("ab")


@row("None for a text")
def _(kind: str) -> None:
    theirs, ours = pair(kind)
    with pytest.raises(TypeError if theirs.is_fast else ValueError):
        theirs.encode(None)
    with pytest.raises(ValueError, match="expected a text"):
        ours.encode(None)


@row("a str for the additional special tokens")
def _(kind: str) -> None:
    theirs, ours = pair(kind)
    with pytest.raises(AssertionError):
        theirs.add_special_tokens({"additional_special_tokens": "<x>"})
    assert ours.add_special_tokens({"additional_special_tokens": "<x>"}) == 1


@row("a vocabulary to train that has no room for 256 bytes and the special tokens")
def _(kind: str) -> None:
    theirs, ours = pair(kind)
    if theirs.is_fast:
        assert len(theirs.train_new_from_iterator([["She was"]], 100)) == 261
    with pytest.raises(ValueError, match="vocab_size: expected at least 261"):
        ours.train_new_from_iterator([["She was"]], 100)


@row("`pad` of rows that a call has made")
def _(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    theirs, ours = pair(kind)
    assert len(logged(caplog, "transformers", lambda: theirs.pad(theirs(["She"])))) == int(theirs.is_fast)
    assert not logged(caplog, "roberta", lambda: ours.pad(ours(["She"])))


@row("a row that is longer than the model takes, in the log")
def _(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    theirs, ours = pair(kind, model_max_length=5)
    (line,) = logged(caplog, "transformers", lambda: theirs("She was glad to see him."))
    assert "longer than" in line
    (line,) = logged(caplog, "roberta", lambda: ours("She was glad to see him."))
    assert "and the model takes 5 at most" in line


@row("`return_overflowing_tokens` of `prepare_for_model`")
def _(kind: str) -> None:
    theirs, ours = pair(kind)
    options = {"truncation": True, "max_length": 4, "return_overflowing_tokens": True}
    found = theirs.prepare_for_model([5, 6, 7], **options)
    assert (found["input_ids"], found["overflowing_tokens"]) == ([0, 5, 6, 2], [7])
    assert ours.prepare_for_model([5, 6, 7], **options)["input_ids"] == [[0, 5, 6, 2], [0, 7, 2]]


@row("an added token of transformers, compared with one of ours")
def _(kind: str) -> None:
    theirs, ours = (tokenizer.added_tokens_decoder[tokenizer.mask_token_id] for tokenizer in pair(kind))
    assert ours != theirs
    assert str(ours) == str(theirs)
    assert ours == AddedToken.read(theirs)


@row("`tokenizer.json` in a folder that is saved")
def _(kind: str, folder: Path) -> None:
    for library, tokenizer in zip(("theirs", "ours"), pair(kind), strict=True):
        tokenizer.save_pretrained(folder / library)
        file = folder / library / "tokenizer.json"
        if library == "ours":
            assert len(file.read_text(encoding="utf-8").splitlines()) == 1
        else:
            assert file.exists() == tokenizer.is_fast
            assert not file.exists() or file.read_text(encoding="utf-8").startswith("{\n  ")


@row("the constructor's arguments in `init_kwargs`")
def _(kind: str) -> None:
    theirs, ours = pair(kind, model_max_length=77)
    for each in (theirs, ours):
        each.model_max_length = 55
    assert (theirs.init_kwargs["model_max_length"], ours.init_kwargs["model_max_length"]) == (77, 55)


# -- the table ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CHECKS)
def test_row(name: str, kind: str, request: pytest.FixtureRequest) -> None:
    check: Any = CHECKS[name]
    wanted = check.__code__.co_varnames[1 : check.__code__.co_argcount]
    fixtures = {"folder": "tmp_path"}
    check(kind, *[request.getfixturevalue(fixtures.get(each, each)) for each in wanted])


def test_the_table_has_these_rows_and_no_others() -> None:
    _, _, rest = PAGE.read_text(encoding="utf-8").partition("\n## Its tokenizers\n")
    text, _, _ = rest.partition("\n## ")
    rows = re.findall(r"^\| ([^|]+?) \|", text, re.MULTILINE)
    assert [name for name in rows if name not in {"where", "---"}] == list(CHECKS)
