"""What was varied, and what never was: the properties of a probe's inputs, and those that a head could be asked for.

`Finding.varied` holds the facts of one probe, `Audit.coverage()` those of all that were judged, and `unvaried` says in
words what is missing there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from ...reference.config import RobertaConfig
from ...reference.inputs import LABELS, SIGNATURES
from .drawing import CACHED
from .probe import Call, Probe

Facts = Mapping[str, tuple[Any, ...]]


def varied(probe: Probe, config: RobertaConfig) -> dict[str, tuple[Any, ...]]:
    """The facts of a probe's inputs.

    Args:
        probe: what is asked.
        config: whose tables the ids, types and positions are rows of.

    Returns:
        Name of a property -> its values over all calls, in order of appearance: numbers ("length", "batch"), or words
        ("padding": "left").

    Example:
        >>> from roberta.parity.probes.battery import battery
        >>> from roberta.parity.cases import small_config
        >>> config = small_config()
        >>> probes = {probe.name: probe for probe in battery("model", config)}
        >>> facts = varied(probes["padding on the left"], config)
        >>> facts["length"], facts["batch"], facts["padding"]
        ((13,), (3,), ('none', 'left'))
    """
    found: dict[str, dict[Any, None]] = {}
    for call in probe.calls:
        for name, value in _facts(call, config):
            found.setdefault(name, {})[value] = None
    facts = {name: tuple(values) for name, values in found.items()}
    return {**facts, "calls": (len(probe.calls),), "weights": ("its own" if probe.state is None else "the probe's",)}


def unvaried(coverage: Facts, head: str, config: RobertaConfig) -> tuple[str, ...]:
    """What was never varied, in words.

    Args:
        coverage: property -> its values, as `Audit.coverage` gives them.
        head: which head.
        config: its configuration.

    Returns:
        Such as "padding on the left", "token type 1", "a second call".

    Example:
        >>> from roberta.parity.cases import small_config
        >>> unvaried({}, "model", small_config())[:4]
        ('a row of one token', 'an odd length', 'an even length', 'the longest row, 27 tokens')
    """
    return tuple(words for name, words, holds in _kinds(head, config) if not any(map(holds, coverage.get(name, ()))))


def all_kinds(head: str, config: RobertaConfig) -> dict[str, tuple[str, ...]]:
    """Everything that can be varied for a head and configuration: property -> its kinds, in words.

    Example:
        >>> from roberta.parity.cases import small_config
        >>> all_kinds("model", small_config())["padding"]
        ('rows without padding', 'padding on the right', 'padding on the left', 'padding inside', 'a row of nobody')
    """
    found: dict[str, list[str]] = {}
    for name, words, _ in _kinds(head, config):
        found.setdefault(name, []).append(words)
    return {name: tuple(words) for name, words in found.items()}


# -- the facts of a call -----------------------------------------------------------------------------------------------


def _facts(call: Call, config: RobertaConfig) -> Iterator[tuple[str, Any]]:
    given = call.inputs
    ids, mask = given.get("input_ids"), given.get("attention_mask")
    shape = given["inputs_embeds"].shape[:-1] if ids is None else ids.shape
    yield "batch", shape[0]
    yield "length", shape[-1]
    if len(shape) == 3:
        yield "choices", shape[1]
    yield "tokens", "embeddings" if ids is None else "ids"
    yield "mask", "none" if mask is None else "two axes" if mask.ndim == len(shape) else "three axes"
    if mask is not None and mask.ndim == len(shape):
        yield from (("padding", where) for where in _paddings(mask.reshape(-1, mask.shape[-1])))
    if ids is not None:
        yield from _of_ids(ids, mask, config)
    yield from _of_tables(given, config)
    for name in ("head_mask", "encoder_hidden_states", "output_attentions", "output_hidden_states"):
        if given.get(name) is not None:
            yield name, "given"
    if given.get("encoder_hidden_states") is not None:
        source = given.get("encoder_attention_mask")
        yield "encoder_attention_mask", "none" if source is None else "two axes" if source.ndim == 2 else "three axes"
    elif config.add_cross_attention:
        yield "encoder_hidden_states", "none"
    yield "labels", "given" if {"labels", "start_positions"} & given.keys() else "none"
    yield "cache", "continued" if call.continues else "none"


def _paddings(mask: Any) -> Iterator[str]:
    """Where each row is masked: (B, S), each place once."""
    for row in mask:
        attended = np.flatnonzero(row)
        if not attended.size:
            yield "whole row"
            continue
        first, last = attended[0], attended[-1]
        places = {"left": first > 0, "right": last < len(row) - 1, "inside": attended.size < last - first + 1}
        yield from [where for where, is_there in places.items() if is_there] or ["none"]


def _of_ids(ids: Any, mask: Any, config: RobertaConfig) -> Iterator[tuple[str, Any]]:
    yield "distinct ids", len(np.unique(ids))
    rows = {"first row": 0, "last row": config.vocab_size - 1}
    yield from (("ids", where) for where, row in rows.items() if (ids == row).any())
    is_pad = ids == config.pad_token_id
    if mask is None or mask.ndim != ids.ndim or mask.shape != ids.shape:
        return
    if (is_pad & (mask == 1)).any():
        yield "ids", "padding attended to"
    if (~is_pad & (mask == 0)).any():
        yield "ids", "tokens masked"


def _of_tables(given: Mapping[str, Any], config: RobertaConfig) -> Iterator[tuple[str, Any]]:
    """Token types and positions: which rows of their tables."""
    types, positions = given.get("token_type_ids"), given.get("position_ids")
    yield "token_type_ids", "left out" if types is None else "given"
    yield from (("token types", int(row)) for row in ([0] if types is None else np.unique(types)))
    if config.position_embedding_type == "absolute":
        yield "positions", "counted" if positions is None else "given"
    if positions is not None:
        last = config.max_position_embeddings - 1
        yield from (
            ("position rows", where) for where, row in (("first", 0), ("last", last)) if (positions == row).any()
        )
        if len(np.unique(positions)) == last + 1:
            yield "position rows", "all"


# -- what there is -----------------------------------------------------------------------------------------------------

#: Property, words, and whether a value is of this kind.
Kind = tuple[str, str, Callable[[Any], bool]]


def _is(wanted: Any) -> Callable[[Any], bool]:
    return lambda value: value == wanted


def _kinds(head: str, config: RobertaConfig) -> Iterator[Kind]:
    names = SIGNATURES[head]
    yield from _sizes(head, config)
    yield from _masks()
    yield from _rows(config)
    if "inputs_embeds" in names:
        yield "tokens", "embeddings given", _is("embeddings")
    if "head_mask" in names and config.num_hidden_layers and not (config.add_cross_attention and config.pruned_heads):
        yield "head_mask", "a head mask", _is("given")
    yield "output_hidden_states", "hidden states asked for", _is("given")
    if config.num_hidden_layers:
        yield "output_attentions", "attentions asked for", _is("given")
    if LABELS[head]:
        yield "labels", "labels", _is("given")
    if config.add_cross_attention and "encoder_hidden_states" in names:
        yield "encoder_hidden_states", "an encoder to look at", _is("given")
        yield "encoder_hidden_states", "no encoder to look at", _is("none")
        yield "encoder_attention_mask", "no encoder mask", _is("none")
        yield "encoder_attention_mask", "an encoder mask of two axes", _is("two axes")
        yield "encoder_attention_mask", "an encoder mask of three axes", _is("three axes")
    if config.is_decoder and head in CACHED:
        yield "cache", "a call on a cache", _is("continued")
    yield "calls", "a second call", lambda count: count > 1
    yield "weights", "weights that magnify", _is("the probe's")


def _sizes(head: str, config: RobertaConfig) -> Iterator[Kind]:
    usable = config.usable_length
    yield "length", "a row of one token", _is(1)
    if usable > 2:
        yield "length", "an odd length", lambda T: T > 1 and T % 2 == 1
    if usable > 1:
        yield "length", "an even length", lambda T: T % 2 == 0
    yield "length", f"the longest row, {usable} tokens", _is(usable)
    yield "batch", "a batch of one", _is(1)
    yield "batch", "an odd batch", lambda B: B > 1 and B % 2 == 1
    yield "batch", "an even batch", lambda B: B % 2 == 0
    if head == "multiple_choice":
        yield "choices", "one choice", _is(1)
        yield "choices", "more than two choices", lambda C: C > 2


def _masks() -> Iterator[Kind]:
    yield "mask", "no mask given", _is("none")
    yield "mask", "a mask of three axes", _is("three axes")
    yield "padding", "rows without padding", _is("none")
    yield "padding", "padding on the right", _is("right")
    yield "padding", "padding on the left", _is("left")
    yield "padding", "padding inside", _is("inside")
    yield "padding", "a row of nobody", _is("whole row")


def _rows(config: RobertaConfig) -> Iterator[Kind]:
    """Rows of the tables: the ends of each, and what comes of the padding id."""
    yield "ids", "the first row of the word table", _is("first row")
    yield "ids", "the last row of the word table", _is("last row")
    yield "ids", "padding ids attended to", _is("padding attended to")
    if config.vocab_size > 1:
        yield "ids", "tokens masked that are no padding", _is("tokens masked")
    yield "token_type_ids", "token types left out", _is("left out")
    yield "token_type_ids", "token types given", _is("given")
    yield from (("token types", f"token type {row}", _is(row)) for row in range(config.type_vocab_size))
    if config.position_embedding_type == "absolute":
        yield "positions", "positions counted", _is("counted")
        yield "positions", "positions given", _is("given")
        yield "position rows", "the first row of the position table", _is("first")
        yield "position rows", "the last row of the position table", _is("last")
        yield "position rows", "every row of the position table", _is("all")
