"""Learn the merges from text.

Count the pieces; then join the most frequent pair of neighbours, again and again, until the vocabulary is
full. Counts are kept up to date with each merge, only in the words that hold the pair, so the cost does not
grow with the square of the vocabulary.
"""

import heapq
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TypedDict, cast

from .pieces import BYTE_TO_SYMBOL, bytes_to_symbols, split_pieces, split_words

__all__ = ["SPECIAL_TOKENS", "TrainerOptions", "train", "training_texts"]

SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>")
"""The special tokens that come first in the vocabulary, ids 0 to 3; ``<mask>`` comes last."""

Pair = tuple[int, int]


class TrainerOptions(TypedDict, total=False):
    """What `train_new_from_iterator` may be told beside its texts.

    Args:
        min_frequency: pairs that are seen less often are not merged (0).
        show_progress: accepted, as the peer's trainer has it; nothing is shown.
    """

    min_frequency: int
    show_progress: bool


def train(
    texts: Iterable[str],
    vocab_size: int,
    min_frequency: int = 2,
    special_tokens: Sequence[str] = SPECIAL_TOKENS,
    mask_token: str | None = "<mask>",  # noqa: S107  (no password)
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Learn a byte-level BPE vocabulary.

    Of equally frequent pairs the one with the smaller ids is joined first, that is the older symbols. That,
    and the count of a pair that comes back after it was merged, follow the trainer of the ``tokenizers``
    library, so that both give the same merges.

    Args:
        texts: the training texts, one after the other; they are not held in memory. No piece crosses from one
            to the next.
        vocab_size: entries of the vocabulary, all special tokens included. Fewer come out where the texts
            hold no more pairs.
        min_frequency: pairs that are seen less often are not joined.
        special_tokens: they take the first ids, in this order.
        mask_token: takes the last id; None for none.

    Returns:
        ``(vocab, merges)``: symbol string -> id in the order of ids, and the joined pairs, lowest rank first.

    Raises:
        ValueError: ``vocab_size`` has no room for the special tokens and the 256 bytes, or a text holds a lone
            surrogate.
        TypeError: a number that is no integer.

    Source:
        Sennrich et al. 2016, algorithm 1.

    Example:
        >>> vocab, merges = train(["low lower lowest low"], vocab_size=263)
        >>> merges
        [('l', 'o'), ('lo', 'w')]
        >>> [vocab[token] for token in ("<s>", "!", "lo", "low", "<mask>")]
        [0, 4, 260, 261, 262]
    """
    for name, number in (("vocab_size", vocab_size), ("min_frequency", min_frequency)):
        if isinstance(number, bool) or not hasattr(number, "__index__"):
            raise TypeError(f"{name}: expected an integer, got {number!r}; pass a whole number")
    last = [] if mask_token is None else [mask_token]
    # In order of code points, as the peer sorts its alphabet.
    symbols = [*special_tokens, *sorted(BYTE_TO_SYMBOL)]
    room = vocab_size - len(last)
    if room < len(symbols):
        raise ValueError(
            f"vocab_size: expected at least {len(symbols) + len(last)} (256 bytes and "
            f"{len(special_tokens) + len(last)} special tokens), got {vocab_size}; ask for a larger vocabulary"
        )
    merges = _learn(_count_pieces(texts), symbols, room, max(min_frequency, 1))
    return {symbol: index for index, symbol in enumerate(symbols + last)}, merges


def _count_pieces(texts: Iterable[str]) -> Counter[str]:
    words: Counter[str] = Counter()
    for text in texts:
        words.update(split_words(text))
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for piece in split_pieces(word):
            counts[piece] += count
    return counts


def _learn(pieces: Counter[str], symbols: list[str], room: int, min_frequency: int) -> list[tuple[str, str]]:
    """Join pairs until ``symbols``, which grows, has ``room`` entries; return the joined pairs."""
    ids = {symbol: index for index, symbol in enumerate(symbols)}
    words = [[ids[symbol] for symbol in bytes_to_symbols(_encoded(piece))] for piece in pieces]
    frequency = list(pieces.values())
    counts, where = _count_pairs(words, frequency)
    heap = [(-count, pair) for pair, count in counts.items()]
    heapq.heapify(heap)
    merges: list[tuple[str, str]] = []
    while heap and len(symbols) < room:
        negative, pair = heapq.heappop(heap)
        count = counts[pair]
        if count != -negative:
            # The pair has become rarer since it was queued: queue it again with its true count.
            heapq.heappush(heap, (-count, pair))
            continue
        if count < min_frequency:
            break
        left, right = symbols[pair[0]], symbols[pair[1]]
        # A special token may be spelled the same: it stays one symbol.
        joined = ids.setdefault(left + right, len(symbols))
        if joined == len(symbols):
            symbols.append(left + right)
        merges.append((left, right))
        grown: set[Pair] = set()
        for index in where.pop(pair, ()):
            for changed, step in _join(words[index], pair, joined):
                counts[changed] += step * frequency[index]
                if step > 0:
                    where[changed].add(index)
                    grown.add(changed)
        for changed in grown:
            if counts[changed] > 0:
                heapq.heappush(heap, (-counts[changed], changed))
    return merges


def _encoded(piece: str) -> bytes:
    try:
        return piece.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"texts: expected Unicode text, got the lone surrogate {piece[error.start]!r} in {piece!r:.80}; repair it "
            "with text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')"
        ) from None


def _count_pairs(words: list[list[int]], frequency: list[int]) -> tuple[Counter[Pair], defaultdict[Pair, set[int]]]:
    """Return how often each pair occurs in the texts, and in which words."""
    counts: Counter[Pair] = Counter()
    where: defaultdict[Pair, set[int]] = defaultdict(set)
    for index, word in enumerate(words):
        for pair in pairwise(word):
            counts[pair] += frequency[index]
            where[pair].add(index)
    return counts, where


def _join(word: list[int], pair: Pair, joined: int) -> list[tuple[Pair, int]]:
    """Join every ``pair`` in ``word``, in place, left to right; return the changes of its neighbours' counts.

    >>> word = [1, 2, 3]
    >>> _join(word, (1, 2), 9), word
    ([((2, 3), -1), ((9, 3), 1)], [9, 3])
    """
    changes: list[tuple[Pair, int]] = []
    at = 0
    while at < len(word) - 1:
        if (word[at], word[at + 1]) == pair:
            if at > 0:
                changes += [((word[at - 1], pair[0]), -1), ((word[at - 1], joined), 1)]
            word[at : at + 2] = [joined]
            if at + 1 < len(word):
                changes += [((pair[1], word[at + 1]), -1), ((joined, word[at + 1]), 1)]
        at += 1
    return changes


def training_texts(source: str | os.PathLike[str] | Iterable[str | os.PathLike[str] | Iterable[str]]) -> Iterator[str]:
    """Read what a tokenizer is trained on, one text after the other.

    Args:
        source: texts, or lists of texts; each ``Path`` is a file that is read line by line with its line ends, as the
            peer reads files. (One str by itself is the path of a file.)

    Yields:
        Each text.

    Raises:
        TypeError: something else than texts and paths.
        ValueError: a file that is not UTF-8.

    Example:
        >>> list(training_texts(["a", ["b", "c"]]))
        ['a', 'b', 'c']
    """
    for item in [Path(source)] if isinstance(source, (str, os.PathLike)) else source:
        if isinstance(item, os.PathLike):
            try:
                with Path(item).open(encoding="utf-8", newline="\n") as lines:
                    yield from lines
            except UnicodeDecodeError as error:
                raise ValueError(f"{item}: expected UTF-8, got {error}; convert the file first") from None
        else:
            for text in [item] if isinstance(item, str) else item:
                if not isinstance(cast("object", text), str):
                    raise TypeError(
                        f"texts: expected str, Path, or lists of str, got {type(text).__name__} {text!r:.80}; "
                        "pass texts, and decode bytes first"
                    )
                yield text
