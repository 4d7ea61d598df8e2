"""The one table of parameters: head and config -> names, shapes, initial values, ties.

Every backend, reader and writer asks `parameter_table`; nobody else spells a parameter's name.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .config import RobertaConfig
from .layers import Array

HEADS = (
    "model",
    "causal_lm",
    "masked_lm",
    "sequence_classification",
    "multiple_choice",
    "token_classification",
    "question_answering",
)
#: HF's class name of each head.
CLASS_NAMES = {
    "model": "RobertaModel",
    "causal_lm": "RobertaForCausalLM",
    "masked_lm": "RobertaForMaskedLM",
    "sequence_classification": "RobertaForSequenceClassification",
    "multiple_choice": "RobertaForMultipleChoice",
    "token_classification": "RobertaForTokenClassification",
    "question_answering": "RobertaForQuestionAnswering",
}


@dataclass(frozen=True)
class Parameter:
    """One tensor of a checkpoint.

    Attributes:
        name: HF's name.
        shape: HF's shape; a dense weight is (out, in).
        initial: "normal" (mean 0, standard deviation `initializer_range`), "zeros" or "ones".
        zero_row: the row of a table that belongs to padding and starts at zero.
        tied_to: the name of the tensor that this one *is*; a tied tensor is stored once.
    """

    name: str
    shape: tuple[int, ...]
    initial: Literal["normal", "zeros", "ones"]
    zero_row: int | None = None
    tied_to: str | None = None


def parameter_table(head: str, config: RobertaConfig, add_pooling_layer: bool = True) -> dict[str, Parameter]:
    """All parameters of a head, in the order of HF's state_dict.

    Args:
        head: one of `HEADS`.
        config: sizes, decoder, position type, pruned heads, ties.
        add_pooling_layer: for the head "model" only.

    Returns:
        name -> `Parameter`.

    Raises:
        ValueError: an unknown head, or a question answering config whose `num_labels` is not 2.

    Source: HF state_dict @ 4.57.6, sections 4.1 and 4.2 of the behaviour catalogue.

    Example:
        >>> config = RobertaConfig(max_position_embeddings=514, type_vocab_size=1)
        >>> table = parameter_table("masked_lm", config)
        >>> sum(np.prod(p.shape) for p in table.values() if p.tied_to is None)
        np.int64(124697433)
        >>> table["lm_head.decoder.weight"].tied_to
        'roberta.embeddings.word_embeddings.weight'
    """
    if head not in HEADS:
        message = f"head: required one of {list(HEADS)}, got {head!r}"
        raise ValueError(message)
    if head == "question_answering" and config.num_labels != 2:
        message = (
            f"RobertaForQuestionAnswering needs num_labels=2 (start and end), got {config.num_labels}; "
            "set num_labels=2 or leave it out"
        )
        raise ValueError(message)
    has_pooler = head == "multiple_choice" or (head == "model" and add_pooling_layer)
    prefix = "" if head == "model" else "roberta."
    parameters = [*_body(prefix, config, has_pooler), *_head(head, config)]
    return {parameter.name: parameter for parameter in parameters}


def initial_values(table: dict[str, Parameter], config: RobertaConfig, seed: int) -> dict[str, Array]:
    """Draw the initial weights: the same to the bit on every backend, and for the body whatever the head.

    Each tensor has its own stream, seeded by `seed` and its name; numbers are drawn in float64, scaled, and rounded to
    float32, also for a float64 model, so that engines of different precision hold the same weights.

    Args:
        table: as `parameter_table` gives.
        config: for `initializer_range`.
        seed: a non-negative integer.

    Returns:
        name -> float32 array; tied names share one array.

    Example:
        >>> config = RobertaConfig(vocab_size=7, hidden_size=4, num_hidden_layers=0, num_attention_heads=1)
        >>> values = initial_values(parameter_table("model", config), config, seed=0)
        >>> values["embeddings.word_embeddings.weight"][1]
        array([0., 0., 0., 0.], dtype=float32)
    """
    values: dict[str, Array] = {}
    for parameter in table.values():
        if parameter.tied_to is None:
            values[parameter.name] = _draw(parameter, config.initializer_range, seed)
    return {name: values[parameter.tied_to or name] for name, parameter in table.items()}


def _draw(parameter: Parameter, deviation: float, seed: int) -> Array:
    if parameter.initial != "normal":
        return np.full(parameter.shape, 1.0 if parameter.initial == "ones" else 0.0, np.float32)
    # The name without the body's prefix: a head's body starts as the bare model's.
    name = parameter.name.removeprefix("roberta.")
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    value = (deviation * rng.standard_normal(parameter.shape)).astype(np.float32)
    if parameter.zero_row is not None:
        value[parameter.zero_row] = 0.0
    return value


def _body(prefix: str, config: RobertaConfig, has_pooler: bool) -> Iterator[Parameter]:
    D, pad = config.hidden_size, config.pad_token_id
    tables = f"{prefix}embeddings"
    yield Parameter(f"{tables}.word_embeddings.weight", (config.vocab_size, D), "normal", zero_row=pad)
    yield Parameter(f"{tables}.position_embeddings.weight", (config.max_position_embeddings, D), "normal", zero_row=pad)
    yield Parameter(f"{tables}.token_type_embeddings.weight", (config.type_vocab_size, D), "normal")
    yield from _layer_norm(f"{tables}.LayerNorm", D)
    for i in range(config.num_hidden_layers):
        yield from _layer(f"{prefix}encoder.layer.{i}", config, i)
    if has_pooler:
        yield from _linear(f"{prefix}pooler.dense", D, D)


def _layer(path: str, config: RobertaConfig, layer: int) -> Iterator[Parameter]:
    D, F, K = config.hidden_size, config.intermediate_size, config.head_size
    yield from _attention(f"{path}.attention", config, config.attention_head_count(layer) * K, is_relative=True)
    if config.add_cross_attention:
        yield from _attention(f"{path}.crossattention", config, D, is_relative=False)
    yield from _linear(f"{path}.intermediate.dense", D, F)
    yield from _linear(f"{path}.output.dense", F, D)
    yield from _layer_norm(f"{path}.output.LayerNorm", D)


def _attention(path: str, config: RobertaConfig, width: int, is_relative: bool) -> Iterator[Parameter]:
    D = config.hidden_size
    for projection in ("query", "key", "value"):
        yield from _linear(f"{path}.self.{projection}", D, width)
    if is_relative and config.position_embedding_type != "absolute":
        distances = 2 * config.max_position_embeddings - 1
        yield Parameter(f"{path}.self.distance_embedding.weight", (distances, config.head_size), "normal")
    yield from _linear(f"{path}.output.dense", width, D)
    yield from _layer_norm(f"{path}.output.LayerNorm", D)


def _head(head: str, config: RobertaConfig) -> Iterator[Parameter]:
    D, V = config.hidden_size, config.vocab_size
    if head in {"causal_lm", "masked_lm"}:
        table = "roberta.embeddings.word_embeddings.weight" if config.tie_word_embeddings else None
        yield Parameter("lm_head.bias", (V,), "zeros")
        yield from _linear("lm_head.dense", D, D)
        yield from _layer_norm("lm_head.layer_norm", D)
        yield Parameter("lm_head.decoder.weight", (V, D), "normal", tied_to=table)
        yield Parameter("lm_head.decoder.bias", (V,), "zeros", tied_to="lm_head.bias")
    elif head == "sequence_classification":
        yield from _linear("classifier.dense", D, D)
        yield from _linear("classifier.out_proj", D, config.num_labels)
    elif head == "multiple_choice":
        yield from _linear("classifier", D, 1)
    elif head == "token_classification":
        yield from _linear("classifier", D, config.num_labels)
    elif head == "question_answering":
        yield from _linear("qa_outputs", D, config.num_labels)


def _linear(path: str, in_size: int, out_size: int) -> Iterator[Parameter]:
    yield Parameter(f"{path}.weight", (out_size, in_size), "normal")
    yield Parameter(f"{path}.bias", (out_size,), "zeros")


def _layer_norm(path: str, size: int) -> Iterator[Parameter]:
    yield Parameter(f"{path}.weight", (size,), "ones")
    yield Parameter(f"{path}.bias", (size,), "zeros")
