"""Each row of the table in docs/tokenizer.md, run by both classes of transformers 4.57.6 and by both of ours.

The vocabulary is that of the shipped checkpoint. `ours` holds `RobertaTokenizer` and `RobertaTokenizerFast`; what is
asserted of it is asserted of each.
"""

from __future__ import annotations

import json
import logging
import re
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import roberta
import transformers
from roberta.tokenizer import AddedToken, RobertaTokenizer, RobertaTokenizerFast

pytestmark = pytest.mark.hf

ROOT = Path(roberta.__file__).resolve().parent
AUSTEN = ROOT / "checkpoints" / "austen"
PAGE = ROOT / "docs" / "tokenizer.md"
PEERS = (transformers.RobertaTokenizer, transformers.RobertaTokenizerFast)
OURS = (RobertaTokenizer, RobertaTokenizerFast)

#: First column of the table -> its check.
CHECKS: dict[str, Callable[..., None]] = {}


def row(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def register(check: Callable[..., None]) -> Callable[..., None]:
        CHECKS[name] = check
        return check

    return register


class Four(NamedTuple):
    """The four tokenizers, of one folder and with the same settings."""

    slow: Any
    fast: Any
    ours: Ours


class Ours:
    """Both of our classes; what one call gives, the other must give as well."""

    def __init__(self, tokenizers: list[Any]) -> None:
        self.tokenizers = tokenizers

    def give(self, asked: Callable[[Any], Any]) -> Any:
        first, second = map(asked, self.tokenizers)
        assert first == second
        return first

    def refuse(self, asked: Callable[[Any], Any], error: type[Exception], match: str) -> None:
        for tokenizer in self.tokenizers:
            with pytest.raises(error, match=match):
                asked(tokenizer)


def four(folder: Path = AUSTEN, **settings: Any) -> Four:
    slow, fast = (kind.from_pretrained(folder, **settings) for kind in PEERS)
    return Four(slow, fast, Ours([kind.from_pretrained(folder, **settings) for kind in OURS]))


@cache
def plain() -> Four:
    """For checks that change nothing."""
    return four()


@cache
def prefixed() -> Four:
    """The same, with add_prefix_space."""
    return four(add_prefix_space=True)


def tokens(text: Any, **options: Any) -> Callable[[Any], str]:
    """The tokens of a call, special tokens around them left out, in one string."""
    return lambda tokenizer: " ".join(tokenizer.convert_ids_to_tokens(tokenizer(text, **options)["input_ids"])[1:-1])


def spelled(*texts: Any, **options: Any) -> Callable[[Any], Any]:
    """All tokens of a call, in one string."""
    return lambda tokenizer: " ".join(tokenizer.convert_ids_to_tokens(tokenizer(*texts, **options)["input_ids"]))


def field(name: str, *texts: Any, **options: Any) -> Callable[[Any], Any]:
    return lambda tokenizer: tokenizer(*texts, **options)[name]


# -- from text to tokens -----------------------------------------------------------------------------------------------


@row("a separator (U+001C to U+001F) before `<mask>`")
def _() -> None:
    slow, fast, ours = plain()
    asked = tokens("\x1f<mask>")
    assert asked(slow) == "<mask>"
    assert asked(fast) == ours.give(asked) == "ğ <mask>"


@row("a special token at the beginning, with `add_prefix_space`")
def _() -> None:
    slow, fast, ours = prefixed()
    asked = tokens("<pad>")
    assert asked(slow) == "Ġ <pad>"
    assert asked(fast) == ours.give(asked) == "<pad>"


@row("text after a special token, with `add_prefix_space`")
def _() -> None:
    slow, fast, ours = prefixed()
    asked = tokens(" a<pad>re")
    assert asked(slow) == "Ġa <pad> re"
    assert asked(fast) == ours.give(asked) == "Ġa <pad> Ġre"


@row("a tab or line end at the beginning, with `add_prefix_space`")
def _() -> None:
    slow, fast, ours = prefixed()
    asked = tokens("\tthe")
    assert asked(slow) == "ĉ the"
    assert asked(fast) == ours.give(asked) == "Ġ ĉ the"


@row("a given word that begins with a special token")
def _() -> None:
    slow, fast, ours = prefixed()
    asked = tokens(["<pad>."], is_split_into_words=True)
    assert asked(slow) == "Ġ <pad> ."
    assert asked(fast) == ours.give(asked) == "<pad> Ġ ."


@row("a given word of white space")
def _() -> None:
    slow, fast, ours = prefixed()
    asked = tokens(["\u1680"], is_split_into_words=True)
    assert asked(slow) == "á ļ Ģ"
    assert asked(fast) == ours.give(asked) == "Ġ á ļ Ģ"


@row("given words, without `add_prefix_space`")
def _() -> None:
    slow, fast, ours = plain()
    asked = tokens(["a"], is_split_into_words=True)
    assert asked(slow) == "Ġa"
    with pytest.raises(AssertionError, match="add_prefix_space=True"):
        asked(fast)
    ours.refuse(asked, ValueError, "is_split_into_words: expected a tokenizer with add_prefix_space=True")


@row("text that spells a special token")
def _() -> None:
    slow, fast, ours = plain()
    for asked, wanted in ((tokens("a <mask>"), "a <mask>"), (tokens("a <mask>", split_special_tokens=True), None)):
        assert asked(slow) == asked(fast) == ours.give(asked)
        assert wanted in {None, asked(slow)}
    assert "<mask>" not in ours.give(tokens("a <mask>", split_special_tokens=True))


@row("a lone surrogate")
def _() -> None:
    slow, fast, ours = plain()
    asked = tokens("a\ud800")
    with pytest.raises(UnicodeEncodeError):
        asked(slow)
    with pytest.raises(TypeError):
        asked(fast)
    ours.refuse(asked, ValueError, r"lone surrogate '.ud800' at code point 1")


LETTERS = ["<s>", "<pad>", "</s>", "<unk>", "a", "b", "c", "ab", "abc", "<mask>"]
SMALL = {token: at for at, token in enumerate(LETTERS)}
MERGES = "#version: 0.2\na b\nab c\n"


def folder_of(path: Path, vocab: dict[str, int] | None = None, merges: str = MERGES) -> Path:
    """A tokenizer of three letters."""
    (path / "vocab.json").write_text(json.dumps(SMALL if vocab is None else vocab), encoding="utf-8")
    (path / "merges.txt").write_text(merges, encoding="utf-8", newline="\n")
    return path


@row("a byte that the vocabulary lacks")
def _(tmp_path: Path) -> None:
    slow, fast, ours = four(folder_of(tmp_path))
    asked = tokens("abdc")
    assert asked(fast) == "abc"
    assert asked(slow) == ours.give(asked) == "ab <unk> c"


@row("the same, where no token is `<unk>`")
def _(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {token: at for at, token in enumerate(LETTERS[:3] + LETTERS[4:])})
    slow, fast = (kind.from_pretrained(folder, unk_token=None) for kind in PEERS)
    assert None in slow("abdc")["input_ids"]
    assert tokens("abdc")(fast) == "abc"
    for kind in OURS:
        with pytest.raises(ValueError, match="expected all 256 byte symbols, or an unk_token"):
            kind.from_pretrained(folder, unk_token=None)


@row("added tokens that begin alike")
def _() -> None:
    slow, fast, ours = four()
    for tokenizer in (slow, fast, *ours.tokenizers):
        tokenizer.add_tokens(["<b<", "b", "<a"])
    asked = tokens("<bb<b<b")
    assert asked(slow) == "< bb < b < b"
    assert asked(fast) == ours.give(asked) == "< b b <b< b"


@row("an added token that must be a whole word")
def _() -> None:
    slow, fast, ours = four()
    for tokenizer in (slow, fast):
        tokenizer.add_tokens([transformers.AddedToken("sw", single_word=True)])
    for tokenizer in ours.tokenizers:
        tokenizer.add_tokens([AddedToken("sw", single_word=True)])
    asked = tokens("sw swb")
    assert asked(slow) == "sw Ġ sw b"
    assert asked(fast) == ours.give(asked) == "sw Ġs w b"


@row("letters that Unicode has had since version 17")
def _() -> None:
    from roberta.tokenizer.pieces import split_pieces

    slow, fast, _ = plain()
    text = "a\u088fb"
    assert slow.pat.findall(text) == [text]
    peer = [text[start:end] for _, (start, end) in fast.backend_tokenizer.pre_tokenizer.pre_tokenize_str(text)]
    assert peer == split_pieces(text) == ["a", "\u088f", "b"]


@row("what `tokenize` shows of a mask after a space")
def _() -> None:
    slow, fast, ours = plain()
    assert fast.tokenize("a <mask>") == ["a", " <mask>"]
    assert slow.tokenize("a <mask>") == ours.give(lambda t: t.tokenize("a <mask>")) == ["a", "<mask>"]


@row("`tokenize` with a pair or special tokens")
def _() -> None:
    slow, fast, ours = plain()

    def asked(tokenizer: Any) -> list[str]:
        return tokenizer.tokenize("a", pair="b", add_special_tokens=True)

    assert asked(slow) == ["a"]
    assert asked(fast) == ours.give(asked) == ["<s>", "a", "</s>", "</s>", "b", "</s>"]


# -- what a call takes -------------------------------------------------------------------------------------------------


@row("an empty second text")
def _() -> None:
    slow, fast, ours = plain()
    assert spelled("a", "")(fast) == "<s> a </s>"
    assert spelled("a", "")(slow) == ours.give(spelled("a", "")) == "<s> a </s> </s> </s>"
    batch = field("input_ids", ["a"], [""])
    assert batch(fast) == batch(slow) == ours.give(batch) == [slow("a", "")["input_ids"]]


@row("a list of strings in `encode`")
def _() -> None:
    slow, fast, ours = plain()
    first, second = (slow.convert_tokens_to_ids(token) for token in "ab")
    assert slow.encode(["a", "b"]) == [0, first, second, 2]
    assert fast.encode(["a", "b"]) == [0, first, 2, 2, second, 2]
    assert ours.give(lambda t: t.encode(["a", "b"])) == [[0, first, 2], [0, second, 2]]


@row("a list of ids as text")
def _() -> None:
    slow, fast, ours = plain()
    assert slow.encode([5, 6]) == [0, 5, 6, 2]
    with pytest.raises(TypeError):
        fast.encode([5, 6])
    ours.refuse(lambda t: t.encode([5, 6]), ValueError, "text: expected a str, got int 5 at batch index 0")


@row("a batch without texts")
def _() -> None:
    slow, fast, ours = plain()
    with pytest.raises(ValueError, match="includes input_ids"):
        slow([])
    with pytest.raises(IndexError):
        fast([])
    assert ours.give(lambda t: dict(t([]))) == {"input_ids": [], "attention_mask": []}


@row("unknown options of a call")
def _() -> None:
    slow, fast, ours = plain()
    asked = tokens("a", paddding=True)
    assert asked(slow) == "a"
    with pytest.raises(TypeError, match="paddding"):
        asked(fast)
    ours.refuse(asked, TypeError, "did you mean 'padding'")


@row("`add_prefix_space` in a call")
def _() -> None:
    slow, fast, ours = plain()
    asked = tokens("a", add_prefix_space=True)
    assert asked(slow) == "Ġa"
    with pytest.raises(TypeError, match="add_prefix_space"):
        asked(fast)
    ours.refuse(asked, TypeError, "'add_prefix_space' is not an option of a call, but of the tokenizer; load it with")


# -- truncation and padding --------------------------------------------------------------------------------------------


@row("an odd budget for a pair that is too long on both sides")
def _() -> None:
    slow, fast, ours = plain()
    asked = spelled("a b c d e", "a b c d e", truncation=True, max_length=9)
    assert asked(slow) == "<s> a Ġb Ġc </s> </s> a Ġb </s>"
    assert asked(fast) == ours.give(asked) == "<s> a Ġb </s> </s> a Ġb Ġc </s>"


@row("room for nothing but the special tokens")
def _() -> None:
    slow, fast, ours = plain()
    asked = spelled("a b", truncation=True, max_length=2)
    assert asked(slow) == "<s> a Ġb </s>"
    assert asked(fast) == ours.give(asked) == "<s> </s>"


@row("room for less than the special tokens")
def _() -> None:
    slow, fast, ours = plain()
    asked = spelled("a b", "c d", truncation=True, max_length=3)
    assert asked(slow) == "<s> </s> </s> </s>"
    assert asked(fast) == "<s> a Ġb </s> </s> c Ġd </s>"
    ours.refuse(asked, ValueError, "max_length: expected room for the special tokens, got 1 too few; raise max_length")


@row("`only_first` or `only_second` where that text is too short for the cut")
def _() -> None:
    slow, fast, ours = plain()
    for texts, length in ((("a b c d e", "a"), 6), (("a b c d e",), 4), (("a b", "c d"), 6)):
        asked = field("input_ids", *texts, truncation="only_second", max_length=length)
        assert len(asked(slow)) > length
        with pytest.raises(Exception, match="Truncation error"):
            asked(fast)
        ours.refuse(asked, ValueError, "truncation: only_second expects a second text of more than")


@row("`only_first` or `only_second` with room for the special tokens only")
def _() -> None:
    slow, fast, ours = plain()
    for strategy in ("only_first", "only_second"):
        asked = spelled("a b", "c d", truncation=strategy, max_length=4)
        assert asked(slow) == "<s> a Ġb </s> </s> c Ġd </s>"
        assert asked(fast) == "<s> </s> </s> </s>"  # the other text is emptied, too
        ours.refuse(asked, ValueError, f"truncation: {strategy} expects")
    empty = spelled("", "c d", truncation="only_second", max_length=4)
    assert ours.give(empty) == empty(fast) == "<s> </s> </s> </s>"
    assert empty(slow) == "<s> </s> </s> c Ġd </s>"


def windows(text: str, length: int, stride: int) -> Callable[[Any], Any]:
    options = {"max_length": length, "stride": stride, "truncation": True, "return_overflowing_tokens": True}
    return field("input_ids", text, **options)


@row("windows that share as much as they hold")
def _() -> None:
    slow, fast, ours = plain()
    assert len(windows("a b c d", 4, 2)(slow)) == 4
    with pytest.raises(BaseException, match="must be strictly less") as caught:
        windows("a b c d", 4, 2)(fast)
    assert not isinstance(caught.value, Exception)
    with pytest.raises(ValueError, match="stride set to 3"):
        windows("a b c d", 4, 3)(fast)
    for stride in (2, 3):
        ours.refuse(windows("a b c d", 4, stride), ValueError, f"expected windows of more than stride = {stride}")


@row("windows with room for no token")
def _() -> None:
    slow, fast, ours = plain()
    asked = windows("a b c d", 2, 0)
    assert len(asked(slow)) == 6
    assert [len(window) for window in asked(fast)] == [2, 6]
    ours.refuse(asked, ValueError, "expected windows of more than stride = 0 tokens.* got windows of 0")


@row("a `stride` of that size where no windows are asked for")
def _() -> None:
    slow, fast, ours = plain()
    asked = field("input_ids", "a b c d", truncation=True, max_length=4, stride=3)
    with pytest.raises(ValueError, match="stride set to 3"):
        asked(fast)
    assert asked(slow) == ours.give(asked)


@row("`return_overflowing_tokens`")
def _() -> None:
    slow, fast, ours = plain()

    def asked(tokenizer: Any) -> dict[str, Any]:
        return dict(tokenizer("a b c d", truncation=True, max_length=4, return_overflowing_tokens=True))

    assert asked(slow)["num_truncated_tokens"] == 2
    assert len(asked(slow)["overflowing_tokens"]) == 2
    assert asked(fast) == ours.give(asked)
    assert ours.give(asked)["overflow_to_sample_mapping"] == [0, 0]


@row("empty text, padded to a length, without special tokens")
def _() -> None:
    slow, fast, ours = plain()
    asked = field("input_ids", "", padding="max_length", max_length=4, add_special_tokens=False)
    assert asked(slow) == []
    assert asked(fast) == ours.give(asked) == [1, 1, 1, 1]


def logged(name: str, asked: Callable[[], Any]) -> list[str]:
    """What a call leaves in the log of a library."""
    found: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: found.append(record.getMessage())
    logger = logging.getLogger(name)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    try:
        asked()
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    return found


@row("truncation without any length")
def _() -> None:
    slow, fast, ours = four(model_max_length=int(1e30))
    asked = field("input_ids", "a b c d", truncation=True)
    for peer in (slow, fast):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert len(logged("transformers", lambda peer=peer: [asked(peer), asked(peer)])) == 1
    for tokenizer in ours.tokenizers:
        with pytest.warns(UserWarning, match="no max_length is given"):
            assert len(asked(tokenizer)) == 6


@row("a row that is longer than the model takes")
def _() -> None:
    slow, fast, ours = four(model_max_length=5)
    asked = field("input_ids", "a b c d")
    for name, tokenizer in (("transformers", slow), ("transformers", fast), *(("roberta", t) for t in ours.tokenizers)):
        (message,) = logged(name, lambda tokenizer=tokenizer: [asked(tokenizer), asked(tokenizer)])
        assert "6" in message
        assert "5" in message


# -- what a call gives -------------------------------------------------------------------------------------------------


@row("rows of different lengths as an array")
def _() -> None:
    slow, fast, ours = plain()
    asked = field("input_ids", ["a", "a b"], return_tensors="np")
    assert asked(slow).dtype == asked(fast).dtype == object
    ours.refuse(asked, ValueError, r"input_ids: expected rows of one length .* got integer rows of lengths \[3, 4\]")


@row("token types of windows without special tokens")
def _() -> None:
    slow, fast, ours = plain()
    options = {"truncation": True, "max_length": 4, "add_special_tokens": False, "return_overflowing_tokens": True}
    asked = field("token_type_ids", "a b c d", "e f g h", return_token_type_ids=True, **options)
    with pytest.raises(ValueError, match="token_type_ids"):
        asked(slow)
    assert asked(fast)[-1] == [0, 0, 1, 1]
    assert ours.give(asked) == [[0] * 4] * 4


@row("`return_length`")
def _() -> None:
    slow, fast, ours = plain()
    options = {"return_length": True, "padding": "max_length", "max_length": 6}
    one, batch = field("length", "a b", **options), field("length", ["a b"], **options)
    assert (one(slow), batch(slow)) == (6, [4])
    assert one(fast) == batch(fast) == ours.give(one) == ours.give(batch) == [6]


@row("offsets and word ids")
def _() -> None:
    slow, fast, ours = plain()
    offsets = field("offset_mapping", "a b", return_offsets_mapping=True)
    with pytest.raises(NotImplementedError):
        offsets(slow)
    with pytest.raises(ValueError, match="word_ids"):
        slow("a b").word_ids()
    assert offsets(fast) == ours.give(offsets) == [(0, 0), (0, 1), (2, 3), (0, 0)]
    assert fast("a b").word_ids() == ours.give(lambda t: t("a b").word_ids()) == [None, 0, 1, None]


@row("offsets of a space that begins the text, with `add_prefix_space`")
def _() -> None:
    _, fast, ours = prefixed()
    asked = field("offset_mapping", " a", return_offsets_mapping=True)
    assert asked(fast)[1] == (0, 2)
    assert ours.give(asked)[1] == (1, 2)


@row("offsets after a special token, with `add_prefix_space`")
def _() -> None:
    _, fast, ours = prefixed()
    asked = field("offset_mapping", "a  <mask>b", return_offsets_mapping=True)
    assert asked(fast)[1:-1] == [(0, 1), (3, 9), (10, 10)]
    assert ours.give(asked)[1:-1] == [(0, 1), (3, 9), (9, 10)]


# -- decoding ----------------------------------------------------------------------------------------------------------


@row("`errors` in decoding")
def _() -> None:
    slow, fast, ours = four(errors="ignore")

    def asked(tokenizer: Any) -> str:
        return tokenizer.decode([tokenizer.convert_tokens_to_ids("Ã")])

    assert asked(fast) == "\ufffd"
    assert asked(slow) == ours.give(asked) == ""


@row("an id outside the vocabulary")
def _() -> None:
    slow, fast, ours = plain()
    with pytest.raises(TypeError, match="NoneType"):
        slow.decode([99999])
    assert fast.decode([99999]) == ""
    with pytest.raises(OverflowError):
        fast.decode([-1])
    assert slow.convert_ids_to_tokens([99999]) == fast.convert_ids_to_tokens([99999]) == [None]
    for index in (99999, -1):
        for asked in (lambda t, i=index: t.decode([i]), lambda t, i=index: t.convert_ids_to_tokens([i])):
            ours.refuse(
                asked, ValueError, rf"ids: expected ids of the vocabulary, 0 to 3999, got {index} at position 0"
            )


def with_added(token: str) -> Callable[[Any], str]:
    def asked(tokenizer: Any) -> str:
        tokenizer.add_tokens([token])
        return tokenizer.decode(tokenizer(f"a {token} b", add_special_tokens=False)["input_ids"])

    return asked


@row("an added token between words, decoded")
def _() -> None:
    slow, fast, ours = four()
    asked = with_added("nt")
    assert asked(slow) == "a  nt  b"
    assert asked(fast) == ours.give(asked) == "a nt b"


@row("an added token with a Latin-1 letter, decoded")
def _() -> None:
    slow, fast, ours = four()
    asked = with_added("añb")
    assert asked(slow) == "a  añb  b"
    assert asked(fast) == "a a\ufffdb b"
    assert ours.give(asked) == "a añb b"


@row("`convert_tokens_to_string` of what is no byte symbol")
def _() -> None:
    slow, fast, ours = plain()
    with pytest.raises(KeyError):
        slow.convert_tokens_to_string(["日"])
    assert fast.convert_tokens_to_string(["日"]) == ours.give(lambda t: t.convert_tokens_to_string(["日"])) == "日"


# -- the vocabulary ----------------------------------------------------------------------------------------------------


@row("a `cls_token` other than `bos_token`, in `build_inputs_with_special_tokens`")
def _() -> None:
    slow, fast, ours = four(cls_token="<pad>")  # noqa: S106  (no password)

    def asked(tokenizer: Any) -> list[int]:
        return tokenizer.build_inputs_with_special_tokens([7])

    assert asked(fast) == [0, 7, 2]
    assert asked(slow) == ours.give(asked) == [1, 7, 2]
    assert fast("a")["input_ids"][0] == ours.give(field("input_ids", "a"))[0] == 1


@row("`get_special_tokens_mask` of ids without special tokens")
def _() -> None:
    slow, fast, ours = plain()
    with pytest.raises(AssertionError):
        fast.get_special_tokens_mask([5, 6])
    assert (
        slow.get_special_tokens_mask([5, 6]) == ours.give(lambda t: t.get_special_tokens_mask([5, 6])) == [1, 0, 0, 1]
    )


@row("how many tokens `add_tokens` counts, if the vocabulary has one already")
def _() -> None:
    slow, fast, ours = four()
    assert slow.add_tokens(["the"]) == 0
    assert fast.add_tokens(["the"]) == ours.give(lambda t: t.add_tokens(["the"])) == 1
    assert slow.add_tokens(["the"]) == fast.add_tokens(["the"]) == ours.give(lambda t: t.add_tokens(["the"])) == 0


@row("special tokens from `add_tokens` among the additional ones")
def _() -> None:
    slow, fast, ours = four()

    def asked(tokenizer: Any) -> list[str]:
        tokenizer.add_tokens(["<x>"], special_tokens=True)
        return tokenizer.additional_special_tokens

    assert asked(slow) == ["<x>"]
    assert asked(fast) == ours.give(asked) == []


@row("a role for a token that the vocabulary lacks")
def _() -> None:
    slow, fast, ours = four()
    for peer in (slow, fast):
        peer.mask_token = "<new>"  # noqa: S105  (no password)
        assert peer.mask_token_id == peer.unk_token_id
    ours.refuse(lambda t: setattr(t, "mask_token", "<new>"), ValueError, "mask_token: expected a token of the vocab")


@row("special tokens without a role, renamed by `train_new_from_iterator`")
def _() -> None:
    slow, fast, ours = four(additional_special_tokens=["<x>"])

    def asked(tokenizer: Any) -> list[str]:
        newer = tokenizer.train_new_from_iterator(
            [["a b"]], 300, special_tokens_map={"<x>": "<y>"}, show_progress=False
        )
        return [*newer.additional_special_tokens, *(token for token in newer.get_vocab() if token in ("<x>", "<y>"))]

    assert not hasattr(slow, "train_new_from_iterator")
    assert sorted(asked(fast)) == ["<x>", "<x>", "<y>"]
    assert ours.give(asked) == ["<y>", "<y>"]


# -- files -------------------------------------------------------------------------------------------------------------


@row("a `merges.txt` without its version line")
def _(tmp_path: Path) -> None:
    slow, fast, ours = four(folder_of(tmp_path, merges="a b\nab c\n"))
    asked = tokens("abc")
    assert asked(slow) == asked(fast) == "a b c"
    assert ours.give(asked) == "abc"


@row("a `merges.txt` without a line end at its end")
def _(tmp_path: Path) -> None:
    slow, fast, ours = four(folder_of(tmp_path, merges=MERGES.rstrip()))
    asked = tokens("abc")
    assert asked(slow) == asked(fast) == "ab c"
    assert ours.give(asked) == "abc"


@row("an empty line in `merges.txt`")
def _(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, merges=MERGES.replace("b\n", "b\n\n"))
    assert tokens("abc")(PEERS[0].from_pretrained(folder)) == "abc"
    with pytest.raises(TypeError):
        PEERS[1].from_pretrained(folder)
    for kind in OURS:
        with pytest.raises(ValueError, match="expected two parts with one space between them in line 3"):
            kind.from_pretrained(folder)


@row("a merge whose result the vocabulary lacks")
def _(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, merges=MERGES + "b c\n")
    assert tokens("bc")(PEERS[0].from_pretrained(folder)) == "<unk>"
    with pytest.raises(Exception, match="out of vocabulary"):
        PEERS[1].from_pretrained(folder)
    for kind in OURS:
        with pytest.raises(ValueError, match=r"got merge 2 \('b', 'c'\) while vocab lacks 'bc'"):
            kind.from_pretrained(folder)


@row("two tokens with one id")
def _(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {**SMALL, "b": SMALL["a"]})
    for kind in PEERS:
        assert kind.from_pretrained(folder).convert_tokens_to_ids(["a", "b"]) == [SMALL["a"]] * 2
    for kind in OURS:
        with pytest.raises(ValueError, match="expected each id once, got 4 for both 'a' and 'b'"):
            kind.from_pretrained(folder)


@row("`tokenizer.json`, saved after a call that cut and padded")
def _(tmp_path: Path) -> None:
    _, fast, ours = four()

    def asked(tokenizer: Any) -> tuple[Any, Any]:
        tokenizer("a b c d", truncation=True, max_length=3, padding="max_length")
        tokenizer.save_pretrained(tmp_path)
        saved = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
        return saved["truncation"], saved["padding"]

    assert None not in asked(fast)
    assert ours.give(asked) == (None, None)


@row("`save_vocabulary` to a folder that is not there")
def _(tmp_path: Path) -> None:
    slow, fast, ours = plain()
    nowhere = str(tmp_path / "nowhere")
    assert slow.save_vocabulary(nowhere) is None
    with pytest.raises(Exception, match="No such file"):
        fast.save_vocabulary(nowhere)
    ours.refuse(lambda t: t.save_vocabulary(nowhere), FileNotFoundError, "save_directory: expected a folder")


@row("the folder of another model, such as GPT-2's")
def _(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "GPT2Tokenizer"}', encoding="utf-8")
    for kind in PEERS:
        assert tokens("abc")(kind.from_pretrained(folder)) == "abc"
    for kind in OURS:
        with pytest.raises(ValueError, match="tokenizer of a RoBERTa, got tokenizer_class 'GPT2Tokenizer'"):
            kind.from_pretrained(folder)


# -- the table ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CHECKS)
def test_row(name: str, request: pytest.FixtureRequest) -> None:
    check: Any = CHECKS[name]
    check(*[request.getfixturevalue("tmp_path")] * check.__code__.co_argcount)


def test_the_table_has_these_rows_and_no_others() -> None:
    table = PAGE.read_text(encoding="utf-8").partition("## Decisions")[2]
    rows = re.findall(r"^\| ([^|]+?) \|", table, re.MULTILINE)
    assert [name for name in rows if name not in {"what", "---"}] == list(CHECKS)
