"""Every code point and every entry of the vocabulary: both tokenizers, and both of transformers 4.57.6, side by side.

    python benchmarks/codepoints.py [--step 1] [--tokenizer FOLDER]

Each of the 1,112,064 characters is encoded in several surroundings; the 2,048 surrogates, which are no characters, must
be the documented error. What is compared: the ids, offsets and words of `RobertaTokenizer`, `RobertaTokenizerFast` and
the peer's fast class; the ids of its slow class; the text that decoding gives back; and where text is cut, with the
`tokenizers` library, whose Unicode data may be of another version. Then every merge and every entry of the vocabulary.
It prints the counts, and fails where one that should be 0 is not. `--step 7` looks at every seventh code point; all
take some ten minutes.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

os.environ |= {"TRANSFORMERS_VERBOSITY": "critical", "TOKENIZERS_PARALLELISM": "false"}  # texts of one letter

import regex
from rich.console import Console
from rich.table import Table
from roberta import RobertaTokenizer, RobertaTokenizerFast
from roberta.tokenizer import AddedToken
from roberta.tokenizer.pieces import split_pieces

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path(os.environ.get("ROBERTA_TOKENIZER_DIR", ROOT.parent / "shared" / "roberta-base-tokenizer"))
SURROGATES = range(0xD800, 0xE000)
#: Alone and between letters; and beside added tokens that swallow space or must be whole words.
PLAIN = ("{}", "a{}b")
SPECIAL = ("{}<mask>", "word{}", "<r>{}a")
BATCH = 4096
T = TypeVar("T")


class Counts:
    """How many texts were compared, how many differed, and the first that did."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.compared = self.different = 0
        self.first: str | None = None

    def add(self, texts: Sequence[str], ours: Sequence[Any], theirs: Sequence[Any]) -> None:
        """Compare item by item."""
        self.compared += len(texts)
        for text, one, other in zip(texts, ours, theirs, strict=True):
            if one != other:
                self.different += 1
                self.first = self.first or f"{text!a}: {one} and {other}"


def characters(step: int) -> Iterator[str]:
    """All code points that are characters."""
    return (chr(code) for code in range(0, sys.maxunicode + 1, step) if code not in SURROGATES)


def batches(items: Iterable[T]) -> Iterator[list[T]]:
    """Cut a stream into lists."""
    stream = iter(items)
    while batch := list(islice(stream, BATCH)):
        yield batch


def sweep(step: int, contexts: Sequence[str]) -> Iterator[list[str]]:
    """Put every character into every context; batch by batch."""
    for context in contexts:
        for batch in batches(characters(step)):
            yield [context.format(character) for character in batch]


def fields_of(tokenizer: Any, texts: list[str]) -> list[tuple[Any, ...]]:
    """Ids, offsets and words of each text."""
    encoding = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
    words = [row.word_ids for row in encoding.encodings]
    return list(zip(encoding.input_ids, encoding.offset_mapping, words, strict=True))


def ids_of(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    """Ids of each text."""
    return tokenizer(texts, add_special_tokens=False, return_attention_mask=False).input_ids


def our_two(loaded: Mapping[str, Any], step: int) -> list[Counts]:
    """Compare the pure and the fast class: field by field, and the ids beside added tokens."""
    all_fields, beside = Counts("ids, offsets, words: pure, fast"), Counts("ids beside added tokens: pure, fast")
    for counts, contexts, read, names in (
        (all_fields, PLAIN, fields_of, ("pure", "fast")),
        (beside, SPECIAL, ids_of, ("pure with added", "fast with added")),
    ):
        for texts in sweep(step, contexts):
            counts.add(texts, *(read(loaded[name], texts) for name in names))
    return [all_fields, beside]


def both_peers(pure: Any, fast: Any, slow: Any, step: int) -> list[Counts]:
    """Compare all fields with the fast class of the peer, the ids with both; and the text that comes back."""
    with_fast, with_slow = Counts("ids, offsets, words: ours, HF's fast class"), Counts("ids: ours, HF's slow class")
    back = Counts("decode(encode(x)) = x")
    for texts in sweep(step, PLAIN):
        fields = fields_of(pure, texts)
        ids = [each[0] for each in fields]
        with_fast.add(texts, fields, fields_of(fast, texts))
        with_slow.add(texts, ids, [slow.convert_tokens_to_ids(slow.tokenize(text)) for text in texts])
        back.add(texts, texts, pure.batch_decode(ids))
    return [with_fast, with_slow, back]


def cuts(step: int) -> list[Counts]:
    """Compare where text is cut: a letter goes on after a letter, a number after a number, a sign after a sign."""
    from tokenizers.pre_tokenizers import ByteLevel

    library = ByteLevel(add_prefix_space=False)
    pinned, newest = Counts("pieces: ours, the library"), Counts("letter or number: Unicode 16, regex")
    for texts in sweep(step, ("a{}", "1{}", ".{}", " {}")):
        theirs = [[text[slice(*span)] for _, span in library.pre_tokenize_str(text)] for text in texts]
        pinned.add(texts, [split_pieces(text) for text in texts], theirs)
    kinds = regex.compile(r"\p{L}|\p{N}")
    for texts in sweep(step, ("{}",)):
        goes_on = [len(split_pieces("a" + text)) == 1 or len(split_pieces("1" + text)) == 1 for text in texts]
        newest.add(texts, goes_on, [bool(kinds.match(text)) for text in texts])
    return [pinned, newest]


def surrogates(tokenizers: Sequence[Any], step: int) -> Counts:
    """Require the documented error for each surrogate, alone and between letters."""
    counts = Counts("surrogates: the documented error")
    for code in SURROGATES[::step]:
        for text in (chr(code), f"a{chr(code)}b"):
            counts.add(
                [text],
                [f"got the lone surrogate {chr(code)!r} at code point {text.index(chr(code))}"],
                [_said(tokenizers, text)],
            )
    return counts


def _said(tokenizers: Sequence[Any], text: str) -> str:
    """What all tokenizers say of a text, cut out of their messages; or what one says that differs."""
    messages = []
    for tokenizer in tokenizers:
        try:
            tokenizer(text)
            messages.append("nothing")
        except ValueError as error:
            found = regex.search(r"got the lone surrogate '.*?' at code point \d+", str(error))
            messages.append(found[0] if found else str(error))
    return messages[0] if len(set(messages)) == 1 else str(messages)


def entries(pure: Any, fast: Any) -> tuple[list[Counts], list[str]]:
    """Walk through the vocabulary and the merges. Returns the counts, and what is no finding but worth knowing."""
    vocab = pure.get_vocab()
    tokens = sorted(vocab, key=vocab.__getitem__)
    ids = [vocab[token] for token in tokens]
    back, merged = Counts("id -> token -> id"), Counts("a merge's parts, joined, are an entry")
    again, same = Counts("text of a token -> ids -> text"), Counts("its ids: pure, fast")
    back.add(tokens, ids, fast.convert_tokens_to_ids(pure.convert_ids_to_tokens(ids)))
    pairs = ["".join(pair) for pair in pure._merges]
    merged.add(pairs, pairs, pure.convert_ids_to_tokens(pure.convert_tokens_to_ids(pairs)))
    whole = {token: text for token in tokens if "\ufffd" not in (text := pure.decode(vocab[token]))}
    found: dict[str, list[int]] = {}
    for batch in batches(whole.items()):
        texts = [text for _, text in batch]
        encoded = pure(texts, add_special_tokens=False).input_ids
        same.add(texts, encoded, fast(texts, add_special_tokens=False).input_ids)
        again.add(texts, texts, pure.batch_decode(encoded))
        found.update({token: row for (token, _), row in zip(batch, encoded, strict=True)})
    others = [token for token, row in found.items() if row != [vocab[token]]]
    return [back, merged, again, same], [
        f"{len(tokens):,} entries and {len(pairs):,} merges",
        f"{len(tokens) - len(whole):,} entries are a part of a character in UTF-8: no text is encoded as just one",
        f"{len(whole) - len(others):,} entries spell a text that is encoded as just that entry",
        f"{len(others):,} spell a text that is encoded otherwise: {' '.join(map(ascii, others[:10]))}"
        f"{' …' if len(others) > 10 else ''}",
    ]


def load(folder: Path) -> dict[str, Any]:
    """Ours and the peer's, with and without what makes differences: prefix spaces, and added tokens of every kind."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import transformers
    pure = RobertaTokenizer.from_pretrained(folder)
    added = RobertaTokenizer.from_pretrained(folder, add_prefix_space=True)
    added.add_tokens([AddedToken("word", single_word=True), AddedToken("<r>", rstrip=True)])
    return {
        "pure": pure,
        "fast": RobertaTokenizerFast.from_tokenizer(pure),
        "pure with added": added,
        "fast with added": RobertaTokenizerFast.from_tokenizer(added),
        "HF fast": transformers.RobertaTokenizerFast.from_pretrained(folder),
        "HF slow": transformers.RobertaTokenizer.from_pretrained(folder),
    }


def table(counts: Sequence[Counts], title: str) -> Table:
    """Show what was counted."""
    shown = Table(title=title)
    for name, justify in (("what", "left"), ("compared", "right"), ("different", "right"), ("the first", "left")):
        shown.add_column(name, justify=justify, overflow="fold")
    for each in counts:
        shown.add_row(each.what, f"{each.compared:,}", f"{each.different:,}", each.first or "")
    return shown


def main() -> None:
    """Print all counts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--step", type=int, default=1, help="look at every n-th code point")
    parser.add_argument("--tokenizer", type=Path, default=FOLDER, help="a folder with vocab.json and merges.txt")
    arguments = parser.parse_args()
    step, loaded, console = arguments.step, load(arguments.tokenizer), Console()
    pure, fast = loaded["pure"], loaded["fast"]
    counts = [
        *our_two(loaded, step),
        *both_peers(pure, loaded["HF fast"], loaded["HF slow"], step),
        surrogates((pure, fast), step),
    ]
    console.print(table(counts, "Code points"))
    pinned, newest = cuts(step)
    console.print(table([pinned, newest], "Where text is cut"))
    of_entries, notes = entries(pure, fast)
    console.print(table(of_entries, "The vocabulary"), *notes, sep="\n")
    if any(each.different for each in (*counts, pinned, *of_entries)):
        sys.exit("what should agree does not")


if __name__ == "__main__":
    main()
