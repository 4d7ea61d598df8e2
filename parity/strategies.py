"""Hypothesis strategies: any configuration, any weights, any inputs that a head may be given.

Needs Hypothesis (the `test` extra); nothing else in the package imports this module.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from ..reference.config import POSITION_EMBEDDING_TYPES
from ..reference.layers import ACTIVATIONS
from ..reference.parameters import HEADS, parameter_table
from .cases import PADDINGS, Case, draw_inputs, draw_state, small_config

PRIMES = (2, 3, 5, 7, 11, 13)


@st.composite
def configs(draw: st.DrawFn, head: str) -> dict[str, Any]:
    """Fields of a configuration in odd sizes: heads, head size, widths, layers, positions, activation, decoder."""
    H, K = draw(st.sampled_from((1, 2, 3, 5))), draw(st.sampled_from(PRIMES))
    pad = draw(st.integers(0, 3))
    is_decoder = draw(st.booleans())
    fields: dict[str, Any] = {
        "num_attention_heads": H,
        "hidden_size": H * K,
        "intermediate_size": draw(st.sampled_from((1, 7, 23, 41))),
        "num_hidden_layers": draw(st.integers(0, 3)),
        "vocab_size": draw(st.sampled_from((11, 53, 101))),
        "max_position_embeddings": draw(st.integers(19, 31)),
        "type_vocab_size": draw(st.integers(1, 3)),
        "layer_norm_eps": draw(st.sampled_from((1e-5, 1e-12))),
        "pad_token_id": pad,
        "hidden_act": draw(st.sampled_from(sorted(ACTIVATIONS))),
        "position_embedding_type": draw(st.sampled_from(POSITION_EMBEDDING_TYPES)),
        "is_decoder": is_decoder,
        "add_cross_attention": is_decoder and draw(st.booleans()),
        "tie_word_embeddings": draw(st.booleans()),
        "use_cache": draw(st.booleans()),
    }
    if head != "question_answering":
        fields["num_labels"] = draw(st.integers(1, 5))
    return fields


@st.composite
def cases(draw: st.DrawFn, head: str | None = None) -> Case:
    """A whole case: any head, any configuration, drawn weights, any padding and mask."""
    head = draw(st.sampled_from(HEADS)) if head is None else head
    config = small_config(**draw(configs(head)))
    seed = draw(st.integers(0, 2**31))
    state = draw_state(parameter_table(head, config), seed)
    length = draw(st.integers(1, 13))
    padding = draw(st.sampled_from(PADDINGS))
    inputs = draw_inputs(head, config, seed, padding, length)
    if not _takes_encoder(head):
        inputs = {name: value for name, value in inputs.items() if not name.startswith("encoder_")}
    variant = draw(st.sampled_from(("plain", "3-D mask", "head mask", "embeddings", "attentions")))
    return Case(head, config, state, _varied(variant, head, config, inputs, seed))


def _takes_encoder(head: str) -> bool:
    return head in {"model", "causal_lm", "masked_lm"}


def _varied(variant: str, head: str, config: Any, inputs: dict[str, Any], seed: int) -> dict[str, Any]:
    """The inputs, with one thing about them unusual."""
    rng = np.random.default_rng([seed, 3])
    shape = inputs["input_ids"].shape
    if variant == "3-D mask":
        mask = rng.integers(0, 2, (*shape, shape[-1]))
        return {**inputs, "attention_mask": mask}
    if variant == "head mask":
        return {**inputs, "head_mask": rng.random((config.num_hidden_layers, config.num_attention_heads))}
    if variant == "attentions":
        return {**inputs, "output_attentions": True}
    if variant == "embeddings":
        embeds = (0.05 * rng.standard_normal((*shape, config.hidden_size))).astype(np.float32)
        kept = {name: value for name, value in inputs.items() if name != "input_ids"}
        return {**kept, "inputs_embeds": embeds}
    return inputs
