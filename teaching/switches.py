"""The mistakes that people make, as switches: each with the line of the spec, and the line that is written instead.

What a switch does is one of `parity.mistakes`, which has more of them, or a variant that departs at the very line that
is shown: made of weights, as some are there, a mistake can be made of any engine, but departs at the weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..parity.mistakes.mutants import MUTANTS, Mutant
from ..parity.mistakes.slips import NORMS
from ..parity.mistakes.wrong_engines import LM, SUM, Place, State
from ..reference.config import RobertaConfig
from ..reference.embeddings import position_ids
from ..reference.layers import Array


@dataclass(frozen=True)
class Fault:
    """One switch.

    Attributes:
        name: for code and addresses: "tanh-gelu".
        title: for readers.
        mutant: what it does.
        correct: the line of the spec.
        wrong: the line that is written instead.
        concerns: whether a configuration has what it breaks.
    """

    name: str
    title: str
    mutant: Mutant
    correct: str
    wrong: str
    concerns: Callable[[RobertaConfig], bool] = lambda config: True


# -- what they do -----------------------------------------------------------------------------------------------------


def _named(name: str, **changes: Any) -> Mutant:
    """One of `MUTANTS`, or a variant of it."""
    return replace(next(mutant for mutant in MUTANTS if mutant.name == name), **changes)


def _not_scaled(scores: Array, at: Place) -> Array:
    return scores * np.sqrt(at.case.config.head_size)


def _heads_inside_out(context: Array, at: Place) -> Array:
    B, T, HK = context.shape
    K = at.case.config.head_size
    return context.reshape(B, T, HK // K, K).swapaxes(2, 3).reshape(B, T, HK)


def _one_too_low(inputs: dict[str, Any], config: RobertaConfig) -> dict[str, Any]:
    ids = inputs.get("input_ids")
    if ids is None or inputs.get("position_ids") is not None:
        return inputs
    rows = ids.reshape(-1, ids.shape[-1])
    past = np.zeros(len(rows), np.int64) + getattr(inputs.get("past_key_values"), "token_count", 0)
    positions = position_ids(rows, config.pad_token_id, past) - 1
    return {**inputs, "position_ids": np.maximum(positions, 0).reshape(ids.shape)}


def _untied(state: State, config: RobertaConfig) -> State:
    name = "lm_head.decoder.weight"
    drawn = np.random.default_rng(0).standard_normal(state[name].shape) * config.initializer_range
    return {**state, name: drawn.astype(state[name].dtype)}


# -- the list --------------------------------------------------------------------------------------------------------


def _has_exact_gelu(config: RobertaConfig) -> bool:
    return config.hidden_act in {"gelu", "gelu_python"}


def _has_absolute_positions(config: RobertaConfig) -> bool:
    return config.position_embedding_type == "absolute"


def _has_other_eps(eps: float) -> Callable[[RobertaConfig], bool]:
    return lambda config: config.layer_norm_eps != eps


GELU = "return 0.5 * x * (1.0 + error_function)"
NORMALIZED = 'normalized = tap("normalized", (x - mean) / np.sqrt(variance + eps))'
VARIANCE = 'variance = tap("variance", ((x - mean) ** 2).mean(-1, keepdims=True))'
POSITIONS = "return (is_token.cumsum(-1) + past_token_count[:, None]) * is_token + pad_token_id"
TOTAL = 'total = word + p["token_type_embeddings"]["weight"][token_type_ids]'
PROBS = 'probs = at("probs", masked_softmax(scores, context.is_attended))'
SCORES = 'scores = at("scores", (query @ key.swapaxes(-1, -2) + relative) / sqrt(config.head_size))'
CAUSAL = "is_visible = np.tri(T, P + T, P, dtype=bool)[None, None]"
LOGITS = 'return tap("logits", linear(normed, **p["decoder"]))'

IN_EMBEDDINGS: tuple[Fault, ...] = (
    Fault(
        "token-type-table",
        "No token types",
        _named("token type table missing"),
        TOTAL,
        "total = word",
    ),
    Fault(
        "token-types-ignored",
        "All tokens of type 0",
        _named("token types ignored"),
        "token_type_ids = np.zeros(word.shape[:2], np.int64) if inputs.token_type_ids is None else "
        "inputs.token_type_ids",
        "token_type_ids = np.zeros(word.shape[:2], np.int64)",
        lambda config: config.type_vocab_size > 1,
    ),
    Fault(
        "positions-from-zero",
        "Positions from 0",
        _named("positions from 0"),
        POSITIONS,
        "return np.arange(T)",
        _has_absolute_positions,
    ),
    Fault(
        "positions-off-by-one",
        "Positions off by one",
        Mutant(
            "positions off by one",
            "positions that start at the padding id instead of behind it",
            inputs=_one_too_low,
            place=SUM,
            needs="absolute positions, counted",
        ),
        POSITIONS,
        "return (is_token.cumsum(-1) - 1 + past_token_count[:, None]) * is_token + pad_token_id",
        _has_absolute_positions,
    ),
    Fault(
        "padding-counted",
        "Padding counted",
        _named("padding counted"),
        POSITIONS,
        "return np.arange(T) + pad_token_id + 1",
        _has_absolute_positions,
    ),
)

IN_NORMS: tuple[Fault, ...] = (
    *(
        Fault(
            f"eps-{eps}",
            f"eps {eps}",
            _named(f"eps {eps}"),
            NORMALIZED,
            f'normalized = tap("normalized", (x - mean) / np.sqrt(variance + {eps}))',
            _has_other_eps(float(eps)),
        )
        for eps in ("1e-12", "1e-6", "1e-3")
    ),
    Fault(
        "eps-outside",
        "eps outside the root",
        _named("eps outside the square root"),
        NORMALIZED,
        'normalized = tap("normalized", (x - mean) / (np.sqrt(variance) + eps))',
    ),
    Fault(
        "unbiased-variance",
        "Unbiased variance",
        _named("unbiased variance in one norm", mistake="a variance with D - 1", place=NORMS + "variance"),
        VARIANCE,
        'variance = tap("variance", x.var(-1, ddof=1, keepdims=True))',
    ),
    Fault(
        "one-pass-variance",
        "Variance in one pass",
        _named("one-pass variance"),
        VARIANCE,
        'variance = tap("variance", (x**2).mean(-1, keepdims=True) - mean**2)',
    ),
)

IN_ATTENTION: tuple[Fault, ...] = (
    Fault(
        "query-key-swapped",
        "Query and key swapped",
        _named("query and key swapped"),
        'key = tap("key", split_heads(linear(x, **p["key"]), head_size))',
        'key = tap("key", split_heads(linear(x, **p["query"]), head_size))',
    ),
    Fault(
        "value-bias",
        "A bias left out",
        _named("value bias missing"),
        'value = tap("value", split_heads(linear(x, **p["value"]), head_size))',
        'value = tap("value", split_heads(x @ p["value"]["weight"].T, head_size))',
    ),
    Fault(
        "no-scale",
        "No 1/√K",
        Mutant("no 1/sqrt(K) at the scores", "scores that are not scaled", slip=_not_scaled, place=r"self\.scores"),
        SCORES,
        'scores = at("scores", query @ key.swapaxes(-1, -2) + relative)',
    ),
    Fault(
        "distance-reversed",
        "Distance reversed",
        _named("distance reversed"),
        "distance = np.arange(S - T, S)[:, None] - np.arange(S)[None, :]",
        "distance = np.arange(S)[None, :] - np.arange(S - T, S)[:, None]",
        lambda config: config.position_embedding_type != "absolute",
    ),
    Fault(
        "key-term",
        "No key term",
        _named("key term missing"),
        'return by_query + np.einsum("bhsk,tsk->bhts", key, relation)',
        "return by_query",
        lambda config: config.position_embedding_type == "relative_key_query",
    ),
    Fault(
        "mask-ignored",
        "Mask ignored",
        _named("mask ignored", needs="padding that a token would look at"),
        "return is_visible & (inputs.attention_mask[:, None, None, :] >= 1)",
        "return is_visible",
    ),
    Fault(
        "mask-added",
        "Mask of -10 added",
        _named("additive mask of -10"),
        "scores = np.where(is_attended, scores, np.finfo(scores.dtype).min)",
        "scores = scores + np.where(is_attended, 0.0, -10.0)",
    ),
    Fault(
        "causal-mask",
        "No causal mask",
        _named("causal mask missing"),
        CAUSAL,
        "is_visible = np.ones((1, 1, T, P + T), bool)",
        lambda config: config.is_decoder and not config.add_cross_attention,  # which only a decoder may have
    ),
    Fault(
        "causal-mask-off-by-one",
        "Causal mask off by one",
        _named("causal mask off by one", place=r"\.attention\.self\.probs"),
        CAUSAL,
        "is_visible = np.tri(T, P + T, P + 1, dtype=bool)[None, None]",
        lambda config: config.is_decoder,
    ),
    Fault(
        "softmax-not-shifted",
        "Softmax not shifted",
        _named("softmax without its maximum"),
        "weights = np.exp(scores - scores.max(-1, keepdims=True))",
        "weights = np.exp(scores)",
    ),
    Fault(
        "head-off",
        "A head off",
        _named("one head off"),
        PROBS,
        f"{PROBS}; probs[:, 0] = 0.0",
    ),
    Fault(
        "heads-interleaved",
        "Heads interleaved",
        Mutant(
            "heads interleaved at the context",
            "heads merged as (K, H) instead of (H, K)",
            slip=_heads_inside_out,
            place=r"self\.context",
        ),
        "return x.swapaxes(1, 2).reshape(B, T, H * K)",
        "return x.transpose(0, 2, 3, 1).reshape(B, T, H * K)",
        lambda config: config.num_attention_heads > 1,
    ),
    Fault(
        "kernel-transposed",
        "Kernel transposed",
        _named("kernel transposed"),
        "return x @ weight.T + bias",
        "return x @ weight + bias",
        lambda config: not config.pruned_heads,
    ),
    Fault(
        "residual",
        "A residual left out",
        _named("residual dropped"),
        'total = tap("output.sum", x + context.drop(dense, config.hidden_dropout_prob))',
        'total = tap("output.sum", context.drop(dense, config.hidden_dropout_prob))',
    ),
)

IN_LAYERS: tuple[Fault, ...] = (
    Fault(
        "tanh-gelu",
        "tanh GELU",
        _named("tanh GELU"),
        GELU,
        "return 0.5 * x * (1.0 + np.tanh(sqrt(2.0 / pi) * (x + 0.044715 * x**3)))",
        _has_exact_gelu,
    ),
    Fault("quick-gelu", "Quick GELU", _named("quick GELU"), GELU, "return x * expit(1.702 * x)", _has_exact_gelu),
    Fault(
        "layer-off",
        "A layer off",
        _named("one layer less"),
        "for i in range(config.num_hidden_layers):",
        "for i in range(config.num_hidden_layers - 1):",
        lambda config: config.num_hidden_layers > 0,
    ),
)

IN_HEADS: tuple[Fault, ...] = (
    Fault(
        "last-token",
        "The last token read",
        _named("last token pooled"),
        'dense = tap("dense", linear(x[:, 0], **p["dense"]))',
        'dense = tap("dense", linear(x[:, -1], **p["dense"]))',
    ),
    Fault(
        "decoder-bias",
        "No bias of the decoder",
        _named("decoder bias dropped"),
        LOGITS,
        'return tap("logits", normed @ p["decoder"]["weight"].T)',
    ),
    Fault(
        "untied-decoder",
        "Decoder not tied",
        Mutant(
            "decoder not tied",
            "the word table is not in the file a second time, and the decoder stays as it was drawn",
            heads=LM,
            state=_untied,
            place=r"lm_head\.logits",
        ),
        'yield Parameter("lm_head.decoder.weight", (V, D), "normal", tied_to=table)',
        'yield Parameter("lm_head.decoder.weight", (V, D), "normal")',
        lambda config: config.tie_word_embeddings,
    ),
)

IN_ARITHMETIC: tuple[Fault, ...] = (
    Fault(
        "bfloat16-weights",
        "Weights of bfloat16",
        _named("weights rounded to bfloat16"),
        TOTAL,
        f"{TOTAL.replace('word', 'bfloat16(word)', 1)}, and so every weight",
    ),
    Fault(
        "bfloat16-arithmetic",
        "Arithmetic of bfloat16",
        _named("probabilities in bfloat16", mistake="a model run in half precision", place=".*"),
        TOTAL,
        "total = bfloat16(word + token_type), and so every result",
    ),
)

#: All of them, in the order of the spec.
FAULTS = (*IN_EMBEDDINGS, *IN_NORMS, *IN_ATTENTION, *IN_LAYERS, *IN_HEADS, *IN_ARITHMETIC)
