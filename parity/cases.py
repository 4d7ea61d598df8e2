"""Cases: a head, a configuration, weights and inputs, drawn from a seed, so that a number is a reproducer.

Every dimension is another prime, gains are not 1 and biases not 0, the tables are small enough that the eps of a layer
norm matters, and rows are padded: what is symmetric or zero hides mistakes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..reference.config import RobertaConfig
from ..reference.layers import Array
from ..reference.parameters import Parameter, parameter_table

PADDINGS = ("none", "right", "left", "inner")


@dataclass(frozen=True)
class Case:
    """One thing to run.

    Attributes:
        head: which head.
        config: its configuration.
        state: HF's names -> float32 arrays.
        inputs: the arguments of the call, NumPy arrays.
        options: of the head's constructor: `add_pooling_layer` of the bare model.
    """

    head: str
    config: RobertaConfig
    state: dict[str, Array]
    inputs: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict[str, Any])


def small_config(**changes: Any) -> RobertaConfig:
    """A configuration whose every dimension is another prime (D is a multiple of H, so it is a product).

    Example:
        >>> config = small_config()
        >>> config.hidden_size, config.num_attention_heads, config.head_size
        (33, 3, 11)
    """
    sizes: dict[str, Any] = {
        "vocab_size": 101,
        "hidden_size": 33,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "intermediate_size": 47,
        "max_position_embeddings": 29,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-5,
    }
    return RobertaConfig(**{**sizes, **changes})


def draw_state(table: dict[str, Parameter], seed: int) -> dict[str, Array]:
    """Weights that hide nothing: dense ones of size 1 / sqrt(fan-in), tables of 0.05, gains 1 +- 0.3, biases 0.2."""
    rng = np.random.default_rng([seed, 1])
    state: dict[str, Array] = {}
    for name, parameter in table.items():
        value = rng.standard_normal(parameter.shape)
        if parameter.initial == "ones":
            value = 1.0 + 0.3 * value
        elif len(parameter.shape) == 1:
            value = 0.2 * value
        else:
            value = value * (0.05 if name.endswith("embeddings.weight") else parameter.shape[1] ** -0.5)
        state[name] = value.astype(np.float32)
    return {name: state[parameter.tied_to or name] for name, parameter in table.items()}


def draw_inputs(
    head: str, config: RobertaConfig, seed: int, padding: str = "right", length: int = 13
) -> dict[str, Any]:
    """Ids, masks, types and labels for a head.

    Args:
        head: which head.
        config: sizes.
        seed: of the draw.
        padding: one of `PADDINGS`: where the rows are padded, by different amounts.
        length: T.

    Returns:
        HF's argument names -> NumPy arrays: B = 3, and C = 2 choices for multiple choice.
    """
    rng = np.random.default_rng([seed, 2])
    shape = (3, 2, length) if head == "multiple_choice" else (3, length)
    others = [i for i in range(config.vocab_size) if i != config.pad_token_id]
    ids = rng.choice(others, shape)
    is_padding = _padding(shape, padding)
    ids[is_padding] = config.pad_token_id
    inputs: dict[str, Any] = {
        "input_ids": ids,
        "attention_mask": (~is_padding).astype(np.int64),
        "token_type_ids": rng.integers(0, config.type_vocab_size, shape),
    }
    if config.add_cross_attention:
        inputs["encoder_hidden_states"] = rng.standard_normal((3, 7, config.hidden_size)).astype(np.float32)
        inputs["encoder_attention_mask"] = np.repeat([[1, 1, 1, 1, 1, 0, 0]], 3, axis=0)
    return inputs | draw_labels(head, config, rng, shape)


def _padding(shape: tuple[int, ...], padding: str) -> Any:
    """Row r has r pads (the first has none), at its right, its left or its middle."""
    T = shape[-1]
    row = np.arange(int(np.prod(shape[:-1]))).reshape(*shape[:-1], 1) % 4
    place = np.arange(T)
    if padding == "right":
        return place >= T - row
    if padding == "left":
        return place < row
    if padding == "inner":
        return (place >= T // 2) & (place < T // 2 + row)
    return np.zeros(shape, bool)


def draw_labels(head: str, config: RobertaConfig, rng: np.random.Generator, shape: tuple[int, ...]) -> dict[str, Any]:
    """Labels for a head: one in five tokens does not count."""
    B = shape[0]
    if head in {"causal_lm", "masked_lm", "token_classification"}:
        count = config.num_labels if head == "token_classification" else config.vocab_size
        labels = rng.integers(0, count, shape)
        return {"labels": np.where(rng.random(shape) < 0.2, -100, labels)}
    if head == "sequence_classification":
        return {"labels": rng.standard_normal(B) if config.num_labels == 1 else rng.integers(0, config.num_labels, B)}
    if head == "multiple_choice":
        return {"labels": rng.integers(0, shape[1], B)}
    if head == "question_answering":
        return {name: rng.integers(0, shape[-1] + 2, B) for name in ("start_positions", "end_positions")}
    return {}


def draw_case(head: str, seed: int, padding: str = "right", length: int = 13, **config: Any) -> Case:
    """A whole case from a seed: `draw_case("masked_lm", 7)` is the same everywhere.

    Example:
        >>> draw_case("question_answering", 0).inputs["input_ids"].shape
        (3, 13)
    """
    settings = {"num_labels": 3} if head in {"sequence_classification", "token_classification"} else {}
    chosen = small_config(**{**settings, **config})
    state = draw_state(parameter_table(head, chosen), seed)
    return Case(head, chosen, state, draw_inputs(head, chosen, seed, padding, length))
