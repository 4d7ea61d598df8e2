"""The decoder variants: causal masks, cross-attention, relative positions, and passes that go on from a cache.

No released checkpoint has their weights, so these are drawn (`cases.draw_state`), and the models are small.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..dispatch.api import FACES
from ..dispatch.inference import InferenceModel
from ..reference.inputs import LABELS
from ..reference.layers import Array
from .cases import Case, draw_case
from .checking import engines, require_heads
from .compare import Comparison, compare_outputs
from .forms import USUAL, models_of, require_forms
from .probes.real_tokens import judged
from .report import Report, Row
from .tolerances import Budget, budgets, flat_outputs

#: The heads of which HF makes decoders, and those of them that return a cache.
DECODERS = ("model", "causal_lm", "masked_lm")
CACHED = ("model", "causal_lm")
#: The outputs that have an entry for each token.
TOKENWISE = {"model": "last_hidden_state", "causal_lm": "logits"}


#: T: every split of a row is a shape of its own, and some engines compile for each.
LENGTH = 5


@dataclass(frozen=True)
class Variant:
    """One way to be a decoder.

    Attributes:
        name: for the table.
        config: fields of the configuration, besides `is_decoder`.
        heads: those that it concerns.
        is_cached: whether the row is fed in two parts, split at every place, the second on the cache of the first.
        has_embeddings: whether it is fed as `inputs_embeds`.
    """

    name: str
    config: Mapping[str, Any]
    heads: tuple[str, ...] = DECODERS
    is_cached: bool = False
    has_embeddings: bool = False

    def case(self, head: str) -> Case:
        """The variant of a head: left-padded rows, or embeddings, of which nobody can tell padding."""
        config = {**self.config, "is_decoder": True, "use_cache": self.is_cached}
        case = draw_case(head, 0, "none" if self.has_embeddings else "left", LENGTH, **config)
        given = {name: value for name, value in case.inputs.items() if not (self.is_cached and name in LABELS[head])}
        if self.has_embeddings:
            shape = (*given.pop("input_ids").shape, case.config.hidden_size)
            given["inputs_embeds"] = 0.05 * np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        return Case(head, case.config, case.state, given)


WHOLE: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("decoder", {}),
    ("cross-attention", {"add_cross_attention": True}),
    ("relative_key", {"position_embedding_type": "relative_key"}),
    ("relative_key_query", {"position_embedding_type": "relative_key_query"}),
    ("cross-attention, relative_key_query", {
        "add_cross_attention": True, "position_embedding_type": "relative_key_query",
    }),
)  # fmt: skip
VARIANTS: tuple[Variant, ...] = (
    *(Variant(name, config) for name, config in WHOLE),
    *(Variant(f"{name}, cached", config, CACHED, is_cached=True) for name, config in WHOLE),
    Variant("decoder, cached, embeddings", {}, CACHED, is_cached=True, has_embeddings=True),
)


def check_variants(
    backends: Sequence[str] | None = None,
    heads: Sequence[str] | None = None,
    dtype: str = "float32",
    forms: Sequence[str] = USUAL,
    device: str | None = None,
) -> Report:
    """Hold every decoder variant on every engine against the spec, within the derived budget.

    A cached row is compared with the pass over all its tokens at once, for every split of it; what padding gives is
    nobody's, and left out.

    Args:
        backends: engines; None for all that are available and have this dtype.
        heads: None for all that can be decoders.
        dtype: the engines' precision.
        forms: in which an engine computes, as in `check`; none is compiled here.
        device: where, as in `check`.

    Returns:
        `Report` with a row for each variant, head, engine and form.

    Raises:
        ValueError: an unknown head, engine, dtype or form.

    Example:
        >>> check_variants(["numpy"], ["masked_lm"]).passed
        True
    """
    require_forms(forms)
    wanted, names = require_heads(heads), engines(backends, dtype, device)
    chosen = [(variant, head) for variant in VARIANTS for head in variant.heads if head in wanted]
    rows = [row for pair in chosen for row in check_variant(*pair, names, dtype, forms, device)]
    return Report("decoder variants", dtype, tuple(rows))


def check_variant(
    variant: Variant,
    head: str,
    backends: Sequence[str],
    dtype: str = "float32",
    forms: Sequence[str] = USUAL,
    device: str | None = None,
) -> Iterator[Row]:
    """The rows of one variant of a head, one for each engine and form."""
    case = variant.case(head)
    oracle = FACES[head].on("numpy")(case.config, dtype="float64", state=case.state)
    permitted, _ = budgets(oracle, case.inputs, dtype)
    for name in backends:
        model = FACES[head].on(name)(case.config, dtype=dtype, device=device, state=case.state).train(False)
        for form, subject in models_of(model, forms):
            found = _split(subject, case, permitted) if variant.is_cached else _whole(subject, case, permitted)
            yield Row(head, name, "drawn", tuple(found), variant=", ".join(filter(None, (variant.name, form))))


def _whole(model: Any, case: Case, permitted: Mapping[str, Budget]) -> list[Comparison]:
    """The comparisons of a pass; of an inference form at real tokens, as it leaves the others out."""
    if isinstance(model, InferenceModel):
        permitted = {
            name: budget.judging(judged(name, budget.truth.shape, case.inputs, case.head, is_own=True))
            for name, budget in permitted.items()
        }
    return compare_outputs(flat_outputs(model(**case.inputs)), permitted)


def _split(model: Any, case: Case, permitted: Mapping[str, Budget]) -> Iterator[Comparison]:
    """The comparisons of all splits: what each token gives, and the cache at the end."""
    tokenwise = TOKENWISE[case.head]
    limits = {name: b for name, b in permitted.items() if name == tokenwise or name.startswith("past_key_values")}
    is_token = case.inputs["attention_mask"] == 1  # B T
    for count in range(1, is_token.shape[1]):
        found = in_two_parts(model, case.inputs, count, tokenwise)
        kept = {name: without_padding(name, found[name], budget.truth, is_token) for name, budget in limits.items()}
        for comparison in compare_outputs(kept, limits):
            yield replace(comparison, name=f"{comparison.name}, {count} cached")


def in_two_parts(model: Any, inputs: Mapping[str, Any], count: int, tokenwise: str) -> dict[str, Array]:
    """Outputs of a pass over the last tokens, on the cache of a pass over the first `count`; token by token joined.

    Args:
        model: a decoder.
        inputs: of the whole row, NumPy arrays.
        count: how many tokens go first.
        tokenwise: the name of the output with an entry for each token.
    """
    per_token = ("input_ids", "inputs_embeds", "token_type_ids")
    first = {name: value[:, :count] if name in per_token else value for name, value in inputs.items()}
    rest = {name: value[:, count:] if name in per_token else value for name, value in inputs.items()}
    before = model(**{**first, "attention_mask": inputs["attention_mask"][:, :count]}, use_cache=True)
    after = model(**rest, past_key_values=before.past_key_values, use_cache=True)
    parts = [flat_outputs(before)[tokenwise], flat_outputs(after)[tokenwise]]
    return {**flat_outputs(after), tokenwise: np.concatenate(parts, axis=1)}


def without_padding(name: str, value: Array, truth: Array, is_token: Any) -> Array:
    """An output with the truth at padding, which looks at whatever keys there are, and a split changes those.

    Args:
        name: of the output; of a layer's cache, parts 2 and 3 are the encoder's, which has no padding here.
        value: (B, T, …), or keys or values (B, H, S, K).
        truth: of the same shape; a value of another one is returned as it is, for the comparison to refuse.
        is_token: (B, T) booleans.
    """
    if value.shape != truth.shape or name.endswith((".2", ".3")):
        return value
    place = is_token[:, :, None] if value.ndim == 3 else is_token[:, None, :, None]
    return np.where(place, value, truth)
