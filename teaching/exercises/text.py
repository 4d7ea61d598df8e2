"""From a text to what a model is trained on: merges, positions, masks. What has no rounding is judged exactly."""

# pyright: basic
# Mistakes are short functions of arrays; types would be longer than they are.

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt
from typing import Any

import numpy as np

from ...reference.embeddings import position_ids
from ...tokenizer.bpe import ByteLevelBPE
from ...tokenizer.data.masking import mask_tokens
from .exercise import Case, Exercise, Function, Mistake

Merges = Sequence[tuple[str, str]]

# -- merges ----------------------------------------------------------------------------------------------------------


def _merged(symbols: Sequence[str], merges: Merges) -> list[str]:
    known = dict.fromkeys([*symbols, *(part for pair in merges for part in (*pair, "".join(pair)))])
    vocab = {symbol: number for number, symbol in enumerate(known)}
    spelled = list(known)
    return [spelled[number] for number in ByteLevelBPE(vocab, merges, unk_id=len(vocab)).encode_piece("".join(symbols))]


def _joined(symbols: Sequence[str], at: int) -> list[str]:
    return [*symbols[:at], symbols[at] + symbols[at + 1], *symbols[at + 2 :]]


def _from_the_left(symbols: Sequence[str], merges: Merges) -> list[str]:
    symbols, at = list(symbols), 0
    while at < len(symbols) - 1:
        if (symbols[at], symbols[at + 1]) in merges:
            symbols, at = _joined(symbols, at), 0
        else:
            at += 1
    return symbols


def _rank_by_rank(symbols: Sequence[str], merges: Merges) -> list[str]:
    symbols = list(symbols)
    for pair in merges:
        at = next((i for i in range(len(symbols) - 1) if (symbols[i], symbols[i + 1]) == pair), None)
        symbols = symbols if at is None else _joined(symbols, at)
    return symbols


def _once(symbols: Sequence[str], merges: Merges) -> list[str]:
    there = [(merges.index(pair), i) for i, pair in enumerate(pairwise(symbols)) if pair in merges]
    return _joined(symbols, min(there)[1]) if there else list(symbols)


def _merge_cases(rng: np.random.Generator) -> list[Case]:
    fixed: list[Case] = [
        {"symbols": list("low"), "merges": [("l", "o"), ("lo", "w")]},
        {"symbols": list("lower"), "merges": [("e", "r"), ("w", "er"), ("l", "o"), ("o", "w")]},
        {"symbols": list("ababab"), "merges": [("a", "b"), ("ab", "ab")]},
        {"symbols": list("aaaaa"), "merges": [("a", "a"), ("aa", "aa")]},
        {"symbols": list("xyz"), "merges": [("a", "b")]},
        {"symbols": ["q"], "merges": [("a", "b")]},
    ]
    drawn: list[Case] = []
    for _ in range(40):
        parts, merges = list("abc"), list[tuple[str, str]]()
        for _ in range(int(rng.integers(1, 9))):
            left, right = (parts[int(rng.integers(len(parts)))] for _ in range(2))
            if (left, right) not in merges and left + right not in parts:
                merges.append((left, right))
                parts.append(left + right)
        drawn.append(
            {"symbols": [str(letter) for letter in rng.choice(list("abc"), rng.integers(2, 14))], "merges": merges}
        )
    return fixed + drawn


BPE_MERGE = Exercise(
    "bpe_merge",
    "Byte-pair encoding of one word",
    """Join the symbols of a word until no merge is left, and return those that remain.

Of all neighbouring pairs that are in `merges`, take the one that comes first in `merges`, at its first place in the
word; make one symbol of it; begin again.

symbols: list of str, the word's characters. merges: list of pairs of str, the most important first.
Source: Sennrich et al. (2016), section 3.2.""",
    "(symbols, merges)",
    _merged,
    _merge_cases,
    (
        Mistake(
            "pairs are joined from left to right",
            "The order of `merges` decides, not the place in the word.",
            _from_the_left,
        ),
        Mistake(
            "each merge is made once, at its first place",
            "A merge may be possible again, at another place, and each time all of them are looked at anew.",
            _rank_by_rank,
        ),
        Mistake("only one pair is joined", "Begin again, until no pair of neighbours is in `merges`.", _once),
    ),
    is_exact=True,
)

# -- positions -------------------------------------------------------------------------------------------------------


def _positions(input_ids: Any, pad: int) -> Any:
    return position_ids(input_ids, pad, np.zeros(len(input_ids), np.int64))


def _position_cases(rng: np.random.Generator) -> list[Case]:
    rows = [[[0, 5, 6, 2]], [[0, 5, 2, 1, 1], [0, 5, 6, 7, 2]], [[1, 1, 0, 5, 2]], [[0, 1, 5, 1, 2]], [[1, 1, 1]]]
    fixed: list[Case] = [{"input_ids": np.array(ids), "pad": 1} for ids in rows]
    drawn: list[Case] = [
        {"input_ids": rng.integers(0, 5, rng.integers(1, 9, 2)), "pad": int(rng.integers(0, 3))} for _ in range(20)
    ]
    return fixed + drawn


def _counted(input_ids: Any, pad: int) -> Any:
    return np.broadcast_to(np.arange(input_ids.shape[1]) + pad + 1, input_ids.shape)


POSITION_IDS = Exercise(
    "position_ids",
    "Positions that skip the padding",
    """Number the tokens of each row, from pad + 1 upwards; padding has the number pad and is not counted.

input_ids: (B, T) integers. pad: the id of padding. Returns (B, T) integers.
Source: fairseq's make_positions; Liu et al. (2019) keep its table of 514 positions for 512 tokens.""",
    "(input_ids, pad)",
    _positions,
    _position_cases,
    (
        Mistake(
            "positions begin at 0",
            "The first token's is pad + 1.",
            lambda input_ids, pad: _counted(input_ids, pad) - pad - 1,
        ),
        Mistake("padding is counted", "Count the tokens that are not padding.", _counted),
        Mistake(
            "positions begin at pad",
            "pad is the number of padding itself; the first token's is one more.",
            lambda input_ids, pad: np.where(input_ids != pad, _positions(input_ids, pad) - 1, pad),
        ),
        Mistake(
            "padding goes on counting",
            "Padding has the number pad, wherever it stands.",
            lambda input_ids, pad: (input_ids != pad).cumsum(-1) + pad,
        ),
    ),
    is_exact=True,
)

# -- masking ---------------------------------------------------------------------------------------------------------

#: Of the masking that is counted: ids that are never chosen, the mask's, and how many ids there are.
SPECIAL, MASK, VOCABULARY = (0, 1, 2, 3), 4, 1000
#: A share may be so many standard deviations off: once in two million honest runs more.
SIGMAS = 5.1


def _masked(input_ids: Any, special_ids: Any, mask_id: int, vocab_size: int, rng: np.random.Generator) -> Any:
    special = [*special_ids, mask_id]
    return mask_tokens(input_ids, rng, mask_id=mask_id, vocab_size=vocab_size, special_ids=special)


def _count(function: Function, rng: np.random.Generator) -> str:
    ids = rng.integers(5, VOCABULARY, (400, 500))  # B T
    ids[:, 0], ids[:, -1] = 0, 2
    ids[::3, -40:-1] = 1
    before = ids.copy()
    made: Any = function(ids, SPECIAL, MASK, VOCABULARY, np.random.default_rng(7))
    if not isinstance(made, tuple | list) or len(made) != 2:
        return f"required a pair (masked ids, labels), got {type(made).__name__}"
    if not np.array_equal(ids, before):
        return "input_ids were changed in place; work on a copy, for the labels need the true ids"
    masked, labels = (np.asarray(part) for part in made)
    if masked.shape != ids.shape or labels.shape != ids.shape:
        return f"required two arrays of shape {ids.shape}, got {masked.shape} and {labels.shape}"
    chosen, is_special = labels != -100, np.isin(ids, SPECIAL)
    exact = (
        ((masked != ids) & ~chosen, "where a token is not chosen (label -100) it stays as it is"),
        (chosen & is_special, "tokens of special_ids are never chosen"),
        (chosen & (labels != ids), "the label of a chosen token is its true id"),
        (np.isin(masked, SPECIAL) & ~is_special, "the random tokens are drawn from those that are not special"),
    )
    for is_wrong, rule in exact:
        if is_wrong.any():
            place = tuple(int(i) for i in np.argwhere(is_wrong)[0])
            return f"at {place} the id {ids[place]} became {masked[place]}, label {labels[place]}: {rule}"
    kept, is_mask = chosen & (masked == ids), chosen & (masked == MASK)
    other = chosen & ~kept & ~is_mask
    count, of = int(chosen.sum()), int((~is_special).sum())
    shares = (
        (count, of, 0.15, "of all tokens are chosen"),
        (int(is_mask.sum()), count, 0.8, "of the chosen become the mask"),
        (int(other.sum()), count, 0.1 * (1 - 1 / (VOCABULARY - 5)), "of the chosen become a random token"),
        (int(kept.sum()), count, 0.1, "of the chosen stay as they are"),
    )
    for found, whole, share, what in shares:
        if abs(found - share * whole) > SIGMAS * sqrt(max(whole, 1) * share * (1 - share)) + 1:
            return f"{share:.0%} {what}, got {found / max(whole, 1):.2%} of {whole}"
    again: Any = function(ids, SPECIAL, MASK, VOCABULARY, np.random.default_rng(8))
    if np.array_equal(np.asarray(again[1]), labels):
        return "another generator gave the same choice: draw from rng, so that masks differ from epoch to epoch"
    return ""


MASKING = Exercise(
    "masking",
    "Dynamic masking",
    """Choose each token that is not special with probability 0.15. Of the chosen, 80 % become mask_id, 10 % a random
token that is not special, 10 % stay.

input_ids: (B, T) integers, not to be changed. special_ids: ids that are never chosen and never drawn. mask_id: neither.
vocab_size: random ids are below it. rng: a np.random.Generator.
Returns (masked ids, labels): the labels hold the true id where a token was chosen, else -100.
Source: Devlin et al. (2019), section 3.1; Liu et al. (2019), section 4.1: drawn anew each time.""",
    "(input_ids, special_ids, mask_id, vocab_size, rng)",
    _masked,
    lambda rng: (),
    count=_count,
)
