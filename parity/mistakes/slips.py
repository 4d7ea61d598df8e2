"""Slips: mistakes in code that a port would write, at the very value where the spec has it right.

Each is a function of a value and its place; what it needs besides was computed before (`wrong_engines.Place`). Where a
port computes in float32 whatever its precision, so does the slip.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...reference.layers import ACTIVATIONS, Array, dropout, softmax
from ...reference.special import expit
from ...reference.taps import silent
from ..arithmetic import nearest
from .wrong_engines import CACHED, DECODER, GOES_ON, LM, Mutant, Place, Slip

FIRST = r"encoder\.layer\.0\."
NORMS = r"(LayerNorm|layer_norm)\."
EVERY_PROBS = r"attention\.self\.probs"
POOLED = ("model", "sequence_classification", "multiple_choice")


# -- layer norm ------------------------------------------------------------------------------------------------------


def _one_pass(variance: Array, at: Place) -> Any:
    x = at.normed.astype(np.float32)
    return np.maximum(np.square(x).mean(-1, keepdims=True) - np.square(x.mean(-1, keepdims=True)), 0.0)


def _unbiased(variance: Array, at: Place) -> Any:
    D = at.normed.shape[-1]
    return variance * (D / (D - 1))


def _eps_outside(normalized: Array, at: Place) -> Any:
    variance, eps = at.beside("variance"), at.case.config.layer_norm_eps
    return normalized * np.sqrt(variance + eps) / (np.sqrt(variance) + eps)


def _not_normed(output: Array, at: Place) -> Any:
    return at.normed


# -- attention -------------------------------------------------------------------------------------------------------


def _additive_mask(hidden: float) -> Slip:
    def slip(probs: Array, at: Place) -> Any:
        attended = True if at.attended is None else at.attended
        return softmax(at.beside("scores") + np.where(attended, 0.0, hidden).astype(probs.dtype))

    return slip


def _not_shifted(probs: Array, at: Place) -> Any:
    scores = at.beside("scores").astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        weights = np.exp(scores) if at.attended is None else np.where(at.attended, np.exp(scores), np.float32(0.0))
        return weights / weights.sum(-1, keepdims=True)


def _attending(allowed: Callable[[int, int, int], Any]) -> Slip:
    """Besides what the mask hides, only these keys are seen: of T, S and P, the number of cached tokens."""

    def slip(probs: Array, at: Place) -> Any:
        mask = at.case.inputs.get("attention_mask")
        if mask is not None and mask.ndim == 3:
            return probs
        T, S = probs.shape[-2:]
        is_key = True if mask is None else mask[:, None, None, :] >= 1
        scores = at.beside("scores")
        return softmax(np.where(allowed(T, S, S - T) & is_key, scores, np.finfo(scores.dtype).min))

    return slip


def _half_scale(scores: Array, at: Place) -> Any:
    K = at.case.config.head_size
    return scores * (float(np.float16(K**-0.5)) * math.sqrt(K))


def _scaled_by_every_call(scores: Array, at: Place) -> Any:
    return scores * at.case.config.head_size ** (-0.5 * (at.memory["calls"] - 1))


def _first_keys(count: int) -> Slip:
    def slip(probs: Array, at: Place) -> Any:
        return np.where(np.arange(probs.shape[-1]) < count, probs, 0.0)

    return slip


def _one_head_off(probs: Array, at: Place) -> Any:
    return np.where(np.arange(probs.shape[1])[:, None, None] == 0, 0.0, probs)


def _first_mask(probs: Array, at: Place) -> Any:
    attended = at.memory.setdefault(at.name, at.attended)
    if attended is None or np.broadcast_shapes(attended.shape, probs.shape) != probs.shape:
        return probs
    scores = at.beside("scores")
    return softmax(np.where(attended, scores, np.finfo(scores.dtype).min))


# -- activations, products, dropout ----------------------------------------------------------------------------------

#: Abramowitz and Stegun, 7.1.25: within 2.5e-5. Their 7.1.26, within 1.5e-7, errs no more than libraries do in float32.
P, POLYNOMIAL = 0.47047, (0.7478556, -0.0958798, 0.3480242, 0.0)


def _approximate_erf(erf: Array, at: Place) -> Any:
    x = at.beside("dense") / math.sqrt(2.0)
    t = 1.0 / (1.0 + P * np.abs(x))
    return np.sign(x) * (1.0 - np.polyval(POLYNOMIAL, t) * np.exp(-x * x))


def _quick_gelu(activated: Array, at: Place) -> Any:
    return at.beside("dense") * expit(1.702 * at.beside("dense"))


def _activation_of_the_body(activated: Array, at: Place) -> Any:
    return ACTIVATIONS[at.case.config.hidden_act](at.beside("dense"), silent)


def _cast(dtype: str) -> Slip:
    return lambda value, _: nearest(value, dtype)


def _accumulated_in(dtype: str) -> Slip:
    """The dense layer with its sum in this dtype, one term after another."""

    def slip(dense: Array, at: Place) -> Any:
        x, weight = at.last, at.parameter("weight")
        total = np.zeros(dense.shape, dense.dtype)
        for k in range(weight.shape[1]):
            total = nearest(total + x[..., k : k + 1] * weight[:, k], dtype)
        return total + at.parameter("bias")

    return slip


def _dropped(value: Array, at: Place) -> Any:
    return dropout(np.random.default_rng(0))(value, 0.1)


def _without_residual(total: Array, at: Place) -> Any:
    return at.last


def _of_the_last_token(dense: Array, at: Place) -> Any:
    return at.last[:, -1] @ at.parameter("weight").T + at.parameter("bias")


# -- only where nobody looks -----------------------------------------------------------------------------------------


def _last_row_of_odd_batches(x: Array, at: Place) -> Any:
    B = len(x)
    is_lost = (np.arange(B) == B - 1) & (B % 2 == 1) & (B > 1)
    return np.where(is_lost[:, None, None], 0.0, x)


def _last_token_of_even_rows(x: Array, at: Place) -> Any:
    T = x.shape[1]
    is_lost = (np.arange(T) == T - 1) & (T % 2 == 0)
    return np.where(is_lost[:, None], 0.0, x)


def _rows_from_the_fifth(x: Array, at: Place) -> Any:
    return np.concatenate([x[:4], np.broadcast_to(x[:1], x[4:].shape)])


# -- the list --------------------------------------------------------------------------------------------------------

IN_NORMS: tuple[Mutant, ...] = (
    Mutant(
        "one-pass variance",
        "E[x^2] - E[x]^2 in float32, as a framework's own layer norm has it",
        slip=_one_pass,
        place=NORMS + "variance",
        needs="a row whose mean is large beside its deviation",
    ),
    Mutant(
        "unbiased variance in one norm",
        "one layer norm of another origin",
        slip=_unbiased,
        place=FIRST + r"output\.LayerNorm\.variance",
    ),
    Mutant(
        "eps outside the square root",
        "(x - mean) / (sqrt(variance) + eps)",
        slip=_eps_outside,
        place=NORMS + "normalized",
    ),
    Mutant(
        "no layer norm of the embeddings",
        "a layer norm taken for the first layer's own",
        slip=_not_normed,
        place=r"embeddings\.LayerNorm\.output",
    ),
)

IN_ATTENTION: tuple[Mutant, ...] = (
    *(
        Mutant(
            f"additive mask of {name}",
            "hidden scores lowered by a number, not replaced",
            slip=_additive_mask(hidden),
            place=EVERY_PROBS,
            needs="a hidden key whose score is far above the others",
        )
        for name, hidden in (("-10", -10.0), ("-100", -100.0), ("-1e4", -1e4))
    ),
    Mutant(
        "softmax without its maximum",
        "exp(scores) in float32",
        slip=_not_shifted,
        place=EVERY_PROBS,
        needs="a score above 88, or all of a row's below -87",
    ),
    Mutant(
        "causal mask off by one",
        "a decoder that sees the next token",
        heads=CACHED,
        slip=_attending(lambda T, S, past: np.tri(T, S, past + 1, dtype=bool)),
        case=DECODER,
        place=EVERY_PROBS,
        needs="a decoder",
    ),
    Mutant(
        "causal mask without the cached tokens",
        "a triangle that begins at the first key",
        heads=CACHED,
        slip=_attending(lambda T, S, past: np.tri(T, S, 0, dtype=bool)),
        case=GOES_ON,
        place=EVERY_PROBS,
        needs="a call on a cache",
    ),
    Mutant(
        "scale rounded to half",
        "1/sqrt(K) as a constant of half precision",
        slip=_half_scale,
        place=r"self\.scores",
        needs="a head size whose root is no power of two",
    ),
    Mutant("scores in float16", "a kernel of half precision", slip=_cast("float16"), place=r"self\.scores"),
    Mutant(
        "probabilities in bfloat16",
        "a kernel of half precision",
        slip=_cast("bfloat16"),
        place=EVERY_PROBS,
    ),
    Mutant(
        "second call",
        "the scale is folded into the query weights by every call",
        slip=_scaled_by_every_call,
        place=r"self\.scores",
        needs="a second call",
    ),
    Mutant(
        "mask of the first call",
        "a captured graph that keeps it",
        slip=_first_mask,
        place=EVERY_PROBS,
        needs="two calls of one shape with different masks",
    ),
    *(
        Mutant(
            name,
            "a kernel that forgets the last block of keys",
            slip=_first_keys(count),
            case=case,
            place=EVERY_PROBS,
            needs=f"rows of more than {count} tokens",
        )
        for name, count, case in (
            ("wrong beyond 8 tokens", 8, {}),
            ("wrong beyond 64 tokens", 64, {"max_position_embeddings": 79}),
        )
    ),
    Mutant("one head off", "a head pruned in one layer", slip=_one_head_off, place=FIRST + EVERY_PROBS),
    Mutant(
        "attention dropout left on",
        "a model in training mode",
        slip=_dropped,
        place=r"attention\.self\.probs",
    ),
)

IN_LAYERS: tuple[Mutant, ...] = (
    Mutant(
        "approximate erf",
        "Abramowitz and Stegun's 7.1.25, which is within 2.5e-5",
        slip=_approximate_erf,
        place=r"\.erf",
        needs="the exact GELU at arguments around -3",
    ),
    Mutant(
        "rounded erf",
        "an error function of half precision",
        slip=_cast("float16"),
        place=r"\.erf",
        needs="the exact GELU",
    ),
    Mutant(
        "quick GELU",
        "x sigmoid(1.702 x)",
        slip=_quick_gelu,
        place=r"intermediate\.output",
        needs="the exact GELU",
    ),
    *(
        Mutant(
            f"accumulation in {dtype}",
            "one product whose sum is kept in half precision",
            slip=_accumulated_in(dtype),
            place=FIRST + r"intermediate\.dense",
        )
        for dtype in ("bfloat16", "float16")
    ),
    Mutant(
        "dropout left on", "a model in training mode", slip=_dropped, place=r"layer\.\d+\.(attention\.)?output\.dense"
    ),
    Mutant(
        "residual dropped",
        "one sum of a layer left out",
        slip=_without_residual,
        place=FIRST + r"attention\.output\.sum",
    ),
    Mutant(
        "last token pooled",
        "the last token taken for the first",
        heads=POOLED,
        slip=_of_the_last_token,
        place=r"(pooler|classifier)\.dense",
        needs="more than one token",
    ),
    Mutant(
        "hidden_act in lm_head",
        "the head's exact GELU taken from the configuration",
        heads=LM,
        slip=_activation_of_the_body,
        case={"hidden_act": "relu"},
        place=r"lm_head\.gelu",
        needs="a hidden_act that is not gelu",
    ),
)

ELSEWHERE: tuple[Mutant, ...] = (
    Mutant(
        "wrong only for odd batches",
        "rows computed in pairs",
        slip=_last_row_of_odd_batches,
        place=r"embeddings\.LayerNorm\.output",
        needs="an odd batch of more than one row",
    ),
    Mutant(
        "wrong at even sizes",
        "a window about a middle",
        slip=_last_token_of_even_rows,
        place=r"embeddings\.LayerNorm\.output",
        needs="an even number of tokens, the last of them real",
    ),
    Mutant(
        "wrong from the fifth row",
        "a tile of four rows",
        slip=_rows_from_the_fifth,
        place=r"embeddings\.LayerNorm\.output",
        needs="a batch of more than four rows",
    ),
)

SLIPS = (*IN_NORMS, *IN_ATTENTION, *IN_LAYERS, *ELSEWHERE)
