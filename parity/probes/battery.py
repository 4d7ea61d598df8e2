"""The battery: what every candidate is asked, of the shapes, masks, positions and weights in which ports go wrong.

Each probe changes one thing about a small padded batch. Base probes have ids and a mask only, so that a candidate that
takes nothing else is still asked them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...reference.config import RobertaConfig
from ...reference.embeddings import Integers
from ...reference.inputs import LABELS
from ...reference.losses import IGNORE_INDEX
from ...reference.parameters import HEADS
from ..cases import draw_labels
from . import texts
from .drawing import LENGTH, ROWS, SOURCE, Draw, Given, Sizes, padded
from .magnifying import magnified, magnifying, other_eps, tiny
from .probe import Call, Probe
from .real_tokens import FIRST
from .uneven import asked_for, uneven

#: A row of so many tokens is worth more than that the others are long.
LONG = 80


def battery(
    head: str,
    config: RobertaConfig,
    *,
    seed: int = 0,
    tokens: int | None = None,
    folder: Path | None = None,
    is_own: bool = False,
) -> tuple[Probe, ...]:
    """The probes that make sense for a head and a configuration.

    Args:
        head: which head.
        config: its configuration.
        seed: of the draw: the same seed, the same probes to the bit.
        tokens: the most tokens of all calls together, padding included; None: no limit. The longest row and the ones
            that go through the position table shrink first, and say so in `remark`; then all rows.
        folder: a checkpoint, for real text where it has a vocabulary.
        is_own: whether the candidate is a model of this library, which has arguments of its own.

    Returns:
        Probes of distinct names, valid as `dispatch.checks` has it. Some mask the first token, of which a head that
        reads it warns.

    Raises:
        ValueError: an unknown head, or fewer tokens than the smallest battery has.

    Example:
        >>> from roberta.parity.cases import small_config
        >>> probes = battery("masked_lm", small_config())
        >>> [probe.name for probe in probes][:4]
        ['text', 'one token', 'two tokens', 'even sizes']
        >>> sum(probe.token_count for probe in battery("masked_lm", small_config(), tokens=900)) <= 900
        True
    """
    if head not in HEADS:
        message = f"head: required one of {list(HEADS)}, got {head!r}"
        raise ValueError(message)
    states = magnifying(head, config, seed)
    needed = 0
    for sizes in _from_large_to_small(config):
        probes = tuple(_probes(Draw(head, config, seed, sizes, states), folder, is_own))
        needed = sum(probe.token_count for probe in probes)
        if tokens is None or needed <= tokens:
            return probes
    message = f"tokens: required at least {needed}, which the smallest battery of {head} has, got {tokens}"
    raise ValueError(f"{message}; give more, or None for no limit")


def _from_large_to_small(config: RobertaConfig) -> Iterator[Sizes]:
    """The longest row is halved down to `LONG`, then all rows are shortened, then the longest again with each."""
    usable = config.usable_length
    longest, length, text = usable, min(LENGTH, usable), min(texts.LENGTH, usable)
    while longest > LONG:
        yield Sizes(length, text, longest)
        longest //= 2
    yield Sizes(length, text, longest)
    for shorter in [min(T, usable) for T in (LENGTH, 11, 7, 5, 3, 2)]:
        rest = min(LONG, usable)
        while rest > shorter:
            yield Sizes(shorter, shorter, rest)
            rest //= 2
        yield Sizes(shorter, shorter, shorter)


def _probes(draw: Draw, folder: Path | None, is_own: bool) -> Iterator[Probe]:
    asks: tuple[Callable[[Draw], Iterator[Probe]], ...] = (
        _shapes, _paddings, _masks, uneven, *([asked_for] if is_own else []), _types, _positions, _vocabulary, _again,
        _embeddings, _asked, _labels, _caches, _sources, _choices, _magnified,
    )  # fmt: skip
    yield _text(draw, folder)
    for ask in asks:
        yield from ask(draw)


def _one(name: str, catches: tuple[str, ...], inputs: Given, **more: Any) -> Probe:
    return Probe(name, catches, (Call(inputs),), **more)


# -- sizes -------------------------------------------------------------------------------------------------------------

EVERYWHERE = (
    "kernel transposed", "query and key swapped", "heads interleaved", "bias twice", "one layer less",
    "layer norms swapped", "no 1/sqrt(K)", "unbiased variance", "mask inverted", "weights in bfloat16",
    "accumulation in bfloat16", "constant output",
)  # fmt: skip
#: Head -> what goes wrong there alone.
OWN: Mapping[str, tuple[str, ...]] = {
    "causal_lm": ("decoder bias dropped",),
    "masked_lm": ("decoder bias dropped",),
    "question_answering": ("start and end swapped",),
    "multiple_choice": ("choices transposed",),
}
#: Kind of positions -> what goes wrong there alone.
POSITIONS: Mapping[str, tuple[str, ...]] = {
    "absolute": ("positions from 0",),
    "relative_key": ("distance reversed",),
    "relative_key_query": ("distance reversed", "key term missing"),
}


def _text(draw: Draw, folder: Path | None) -> Probe:
    length, config = draw.sizes.text, draw.config
    encoded = texts.encoded_sentences(folder, draw.head, length) if folder is not None and length > 2 else None
    batch = draw.batch("text") if encoded is None else encoded | draw.besides("text", ROWS)
    remark = "drawn ids: there is no vocabulary" if encoded is None else ""
    # No token of a decoder looks at what comes after it, hidden or not.
    order = "causal mask missing" if config.is_decoder else "mask ignored"
    catches = (*EVERYWHERE, order, *OWN.get(draw.head, ()), *POSITIONS[config.position_embedding_type])
    return _one("text", catches, batch, remark=remark)


def _shapes(draw: Draw) -> Iterator[Probe]:
    usable, longest = draw.config.usable_length, draw.sizes.longest
    squeezed = () if draw.head in FIRST else ("an axis of 1 squeezed away",)  # such a head's outputs have no tokens
    yield _one("one token", ("one token taken for none", *squeezed), draw.batch("one token", draw.shape(length=1)))
    if usable > 1:
        shape = draw.shape(length=2)
        yield _one("two tokens", ("an axis taken for another",), draw.batch("two tokens", shape, "none"))
    even = draw.shape(4, max(draw.sizes.length // 2 * 2, 1))
    yield _one("even sizes", ("wrong at even sizes",), draw.batch("even sizes", even))
    yield _one("batch of one", ("an axis of 1 squeezed away",), draw.batch("batch of one", draw.shape(1)))
    odd = ("wrong from the fifth row", *(["wrong only for odd batches"] if draw.head != "multiple_choice" else []))
    yield _one("batch of five", odd, draw.batch("batch of five", draw.shape(5)))
    remark = f"{longest} tokens: the allowance did not admit {usable}" if longest < usable else ""
    batch = draw.batch("longest row", draw.shape(1, longest, 1), "none")
    limits = [f"wrong beyond {count} tokens" for count in (8, 64) if longest > count]
    yield _one(
        "longest row",
        ("wrong only for long rows", *limits, *_absolute(draw, "a position table cut short")),
        batch,
        remark=remark,
    )


def _absolute(draw: Draw, *mistakes: str) -> tuple[str, ...]:
    """Mistakes that only absolute positions have."""
    return mistakes if draw.config.position_embedding_type == "absolute" else ()


# -- masks -------------------------------------------------------------------------------------------------------------


def _paddings(draw: Draw) -> Iterator[Probe]:
    yield _one("no padding", ("wrong without padding", "NaN injected"), draw.batch("no padding", padding="none"))
    batch = draw.batch("padding on the left", padding="left")
    if draw.head in FIRST:  # its logits are read from padding, and not judged
        batch["output_hidden_states"] = True
    yield _one("padding on the left", ("left padding", "mask ignored", *_absolute(draw, "padding counted")), batch)
    inside = ("wrong with padding inside", "left padding", "mask ignored", *_absolute(draw, "padding counted"))
    yield _one("padding inside", inside, draw.batch("padding inside", padding="inside"))


def _masks(draw: Draw) -> Iterator[Probe]:
    batch = draw.batch("no mask", padding="none")
    del batch["attention_mask"]
    yield _one("no mask", ("a mask that must be given",), batch)
    batch = draw.batch("masked tokens", padding="none")
    batch["attention_mask"] = (~padded(draw.shape(), "inside")).astype(np.int64)
    counted = _absolute(draw, "positions counted from the mask")
    catches = ("a mask made from the ids", "mask ignored without padding", *counted)
    yield _one("masked tokens", catches, batch)
    yield _one("row of nobody", ("NaN from a row that may look at nobody",), _with_row_of_nobody(draw))
    batch = draw.batch("mask of three axes", padding="none")
    batch["attention_mask"] = _who_sees_whom(draw, "mask of three axes")
    causal = ("a causal mask under a mask that replaces it",) if draw.config.is_decoder else ()
    yield _one("mask of three axes", ("a mask of two axes only", *causal), batch)


def _with_row_of_nobody(draw: Draw) -> Given:
    batch = draw.batch("row of nobody")
    batch["attention_mask"][1] = 0
    return batch


def _who_sees_whom(draw: Draw, name: str) -> Integers:
    """(…, T, T): seven in ten tokens, and each itself."""
    shape = draw.shape()
    is_seen = draw.rng(f"{name}, mask").random((*shape, shape[-1])) < 0.7
    return (is_seen | np.eye(shape[-1], dtype=bool)).astype(np.int64)


# -- token types, positions, vocabulary --------------------------------------------------------------------------------


def _types(draw: Draw) -> Iterator[Probe]:
    batch, count = draw.batch("token types"), draw.config.type_vocab_size
    shape = batch["input_ids"].shape
    every = draw.rng("token types, types").permutation(np.arange(math.prod(shape)) % count).reshape(shape)
    yield _one("token types", ("token types ignored",), {**batch, "token_type_ids": every})
    if count > 1:
        batch = draw.batch("last token type")
        last = np.full(shape, count - 1)
        yield _one("last token type", ("token types ignored", "token type 1"), {**batch, "token_type_ids": last})


def _positions(draw: Draw) -> Iterator[Probe]:
    if draw.config.position_embedding_type != "absolute":
        return
    M = draw.config.max_position_embeddings
    shape = draw.shape()
    batch = draw.batch("positions given", shape)
    order = draw.rng("positions given, positions").permutation(_spread(M, math.prod(shape)))
    yield _one("positions given", ("given positions ignored",), {**batch, "position_ids": order.reshape(shape)})
    if draw.head != "multiple_choice":
        one = np.sort(_spread(M, shape[-1]))[None, ::-1].copy()
        batch = draw.batch("positions of one row", shape)
        yield _one("positions of one row", ("positions not broadcast",), {**batch, "position_ids": one})
    yield _every_position(draw)


def _every_position(draw: Draw) -> Probe:
    """Rows of tokens that go through the position table, as far as the allowance goes."""
    M, T = draw.config.max_position_embeddings, draw.sizes.length
    count = M if draw.sizes.longest == draw.config.usable_length else min(M, ROWS * T)
    shape = draw.shape(-(-count // T), T, 1)
    batch = draw.batch("every position", shape, "none")
    positions = draw.rng("every position, positions").permutation(_spread(M, math.prod(shape))).reshape(shape)
    left_out = M - np.unique(positions).size
    remark = f"the allowance did not admit {left_out} of {M} rows of the table" if left_out else ""
    catches = ("a position table cut short", "one row of the position table")
    return _one("every position", catches, {**batch, "position_ids": positions}, remark=remark)


def _spread(size: int, count: int) -> Integers:
    """`count` rows of a table of `size`, the first and the last among them, all of them where there is room."""
    if count >= size:
        return np.arange(count) % size
    return np.linspace(0, size - 1, count).astype(np.int64) if count > 1 else np.array([size - 1])


def _vocabulary(draw: Draw) -> Iterator[Probe]:
    V, pad = draw.config.vocab_size, draw.config.pad_token_id
    batch = draw.batch("ends of the vocabulary", padding="none")
    ends = [row for row in dict.fromkeys((V - 1, 0, min(1, V - 1), V // 2, max(V - 2, 0))) if row != pad or V == 1]
    flat = batch["input_ids"].reshape(-1)
    flat[: len(ends)] = ends[: len(flat)]
    yield _one("ends of the vocabulary", ("last vocabulary row", "one row of the word table"), batch)
    batch = draw.batch("padding id attended to", padding="none")
    batch["input_ids"][..., draw.sizes.length // 2] = pad
    yield _one("padding id attended to", ("a mask made from the ids", *_absolute(draw, "padding counted")), batch)


# -- more than one call ------------------------------------------------------------------------------------------------


def _again(draw: Draw) -> Iterator[Probe]:
    call = Call(draw.batch("called twice"))
    yield Probe("called twice", ("second call", "weights changed by a call"), (call, call))
    batch = draw.batch("rows in another order")
    moved = {name: value if value is True else np.roll(value, 1, axis=0) for name, value in batch.items()}
    catches = ("rows that see each other", "wrong by place in the batch", "mask of the first call", "reused buffer")
    yield Probe("rows in another order", catches, (Call(batch), Call(moved)))
    first = Call(draw.batch("other shapes between"))
    short = draw.batch("other shapes between, short", draw.shape(2, max(draw.sizes.length // 2, 1)), "none")
    yield Probe("other shapes between", ("reused buffer", "second call"), (first, Call(short), first))


def _caches(draw: Draw) -> Iterator[Probe]:
    T = draw.sizes.length
    if not draw.is_cached or T < 2:
        return
    plain, left = draw.batch("cache", padding="none"), draw.batch("cache, left", padding="left")
    vectors = draw.embedded("cache, embeddings", 0.05)
    vectors["attention_mask"] = np.ones_like(vectors["attention_mask"])
    offset = ("positions that do not go on from the cache", "causal mask without the cached tokens")
    yield Probe("cache", offset, _split(plain, (T // 2,)))
    yield Probe("cache, token by token", (*offset, "second call"), _split(plain, tuple(range(max(T - 2, 1), T))))
    yield Probe("cache, padding on the left", (*offset, "left padding"), _split(left, (T // 2,)))
    yield Probe("cache, embeddings", offset, _split(vectors, (T // 2,)))


#: Arguments that have an entry for each token of the call; a mask has one for each cached token, too.
PER_TOKEN = ("input_ids", "inputs_embeds", "token_type_ids", "position_ids")


def _split(batch: Given, places: tuple[int, ...]) -> tuple[Call, ...]:
    """A batch in parts, each on the cache of those before."""
    ends = (*places, batch["attention_mask"].shape[1])
    calls: list[Call] = []
    for start, end in zip((0, *places), ends, strict=True):
        part = {name: value[:, start:end] if name in PER_TOKEN else value for name, value in batch.items()}
        calls.append(Call({**part, "attention_mask": batch["attention_mask"][:, :end]}, continues=start > 0))
    return tuple(calls)


# -- other arguments ---------------------------------------------------------------------------------------------------


def _embeddings(draw: Draw) -> Iterator[Probe]:
    if not draw.takes("inputs_embeds"):
        return
    catches = _absolute(draw, "positions of embeddings")
    yield _one("embeddings", ("vectors ignored", *catches), draw.embedded("embeddings", 0.05))
    yield _one("embeddings of mean 1e3", ("one-pass variance",), draw.embedded("embeddings of mean 1e3", 1.0, 1e3))
    small = draw.embedded("tiny embeddings", tiny(draw.config))
    yield _one("tiny embeddings", other_eps(draw.config), small)


def _asked(draw: Draw) -> Iterator[Probe]:
    states = {**draw.batch("hidden states"), "output_hidden_states": True}
    yield _one("hidden states", ("hidden states of other layers",), states)
    if draw.config.num_hidden_layers == 0:
        return
    yield _one("attentions", ("scores for probabilities",), {**draw.batch("attentions"), "output_attentions": True})
    if draw.config.add_cross_attention and draw.config.pruned_heads:
        return  # such a model refuses a head mask
    shape = (draw.config.num_hidden_layers, draw.config.num_attention_heads)
    mask = draw.rng("head mask, mask").random(shape).astype(np.float32)
    mask[0, 0] = 0.0
    catches = ("head mask ignored", "head mask of another layer")
    yield _one("head mask", catches, {**draw.batch("head mask"), "head_mask": mask})


def _labels(draw: Draw) -> Iterator[Probe]:
    if not LABELS[draw.head]:
        return
    # A loss over whole rows would judge what stands at padding.
    padding = "none" if draw.head == "question_answering" else "right"
    batch = draw.batch("labels", padding=padding)
    shape = batch["input_ids"].shape
    labels: Given = draw_labels(draw.head, draw.config, draw.rng("labels, labels"), shape)
    if draw.head == "sequence_classification":
        labels = {"labels": _sequence_labels(draw, labels["labels"])}
    elif labels.get("labels", np.empty(0)).shape == shape:
        labels = {"labels": np.where(batch["attention_mask"] == 1, labels["labels"], IGNORE_INDEX)}
    uncounted = ("labels that do not count, counted",) if labels.get("labels", np.empty(0)).shape == shape else ()
    shifted = ("labels not shifted",) if draw.head == "causal_lm" else ()
    catches = ("a sum for a mean", *uncounted, *shifted)
    yield _one("labels", catches, {**batch, **labels})


def _sequence_labels(draw: Draw, labels: Any) -> Any:
    """Labels of the kind that the configuration names."""
    kind, shape = draw.config.problem_type, (ROWS, draw.config.num_labels)
    if kind == "single_label_classification":
        return draw.rng("labels, classes").integers(0, draw.config.num_labels, ROWS)
    if kind == "multi_label_classification":
        return draw.rng("labels, several").integers(0, 2, shape).astype(np.float32)
    if kind == "regression" and draw.config.num_labels > 1:
        return draw.rng("labels, numbers").standard_normal(shape).astype(np.float32)
    return labels.astype(np.float32) if np.issubdtype(labels.dtype, np.floating) else labels


def _sources(draw: Draw) -> Iterator[Probe]:
    if not draw.has_source:
        return
    batch = draw.batch("source, mask of three axes")
    mask = draw.rng("source, mask").integers(0, 2, (*batch["input_ids"].shape, SOURCE))
    mask[..., 0] = 1
    yield _one("source, mask of three axes", ("encoder mask ignored",), {**batch, "encoder_attention_mask": mask})
    unmasked = draw.batch("source without a mask")
    del unmasked["encoder_attention_mask"]
    yield _one("source without a mask", ("an encoder mask that must be given",), unmasked)
    alone = draw.batch("no source")
    del alone["encoder_attention_mask"], alone["encoder_hidden_states"]
    yield _one("no source", ("cross-attention without a source",), alone)


def _choices(draw: Draw) -> Iterator[Probe]:
    if draw.head == "multiple_choice":
        alone = draw.batch("one choice", draw.shape(ROWS, choices=1))
        yield _one("one choice", ("an axis of 1 squeezed away", "wrong only for odd batches"), alone)
        five = draw.batch("five choices", draw.shape(2, choices=5))
        yield _one("five choices", ("choices transposed", "a number of choices taken for granted"), five)


# -- weights of their own ----------------------------------------------------------------------------------------------


def _magnified(draw: Draw) -> Iterator[Probe]:
    for name, state in draw.states.items():
        yield _one(name, magnified(draw.config)[name], _to_magnify(draw, name), state=state)


def _to_magnify(draw: Draw, name: str) -> Given:
    if name == "tiny tables":  # the word table is large, and often the decoder as well
        return draw.embedded(name, tiny(draw.config))
    batch = draw.batch(name, padding="none")
    if name.endswith("scores"):  # most keys are hidden, so that one of them has the largest score
        is_hidden = np.arange(draw.sizes.length) > draw.sizes.length // 4
        batch["attention_mask"] = np.where(is_hidden, 0, batch["attention_mask"])
    if name == "activations alike":  # of a head with few outputs, no other would show an error of two roundings
        batch["output_hidden_states"] = True
    return batch
