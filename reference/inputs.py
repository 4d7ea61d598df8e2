"""What a head is called with: HF's signatures, and the record in which the arguments travel.

The boundary (`roberta.dispatch`) converts and checks the arguments once; below it, every engine receives an `Inputs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

_TOKENS = ("input_ids", "attention_mask", "token_type_ids", "position_ids", "head_mask", "inputs_embeds")
_ENCODER = ("encoder_hidden_states", "encoder_attention_mask")
_CACHE = ("past_key_values", "use_cache")
_RETURNS = ("output_attentions", "output_hidden_states", "return_dict")
_WANTED = ("positions",)  # ours: behind HF's, so that positional calls mean the same

#: Head -> names of its arguments, in HF's order, so that positional calls mean the same. All default to None.
SIGNATURES: Mapping[str, tuple[str, ...]] = {
    "model": (*_TOKENS, *_ENCODER, *_CACHE, *_RETURNS),
    "causal_lm": (*_TOKENS, *_ENCODER, "labels", *_CACHE, *_RETURNS, *_WANTED),
    "masked_lm": (*_TOKENS, *_ENCODER, "labels", *_RETURNS, *_WANTED),
    "sequence_classification": (*_TOKENS, "labels", *_RETURNS),
    "multiple_choice": (
        "input_ids", "token_type_ids", "attention_mask", "labels", "position_ids", "head_mask", "inputs_embeds",
        *_RETURNS,
    ),
    "token_classification": (*_TOKENS, "labels", *_RETURNS),
    "question_answering": (*_TOKENS, "start_positions", "end_positions", *_RETURNS),
}  # fmt: skip

#: Head -> its label arguments.
LABELS: Mapping[str, tuple[str, ...]] = {
    head: tuple(name for name in names if name in {"labels", "start_positions", "end_positions"})
    for head, names in SIGNATURES.items()
}


@dataclass
class Inputs:
    """The arguments of one pass, in the engine's own arrays; the axes are those of `roberta.reference`.

    Attributes:
        input_ids: (B, T) integers in [0, V); None where `inputs_embeds` is given.
        attention_mask: (B, S) or (B, T, S); 1 attend, 0 do not. None: attend to all. With a cache, S counts the cached
            tokens too. A (B, T, S) mask replaces a decoder's causal mask.
        token_type_ids: (B, T) integers; None: zeros.
        position_ids: (B, T) or (1, T) integers; None: counted from `pad_token_id + 1`.
        head_mask: (H,), (N, H) or (N, B, H, T, S), the last with axes of 1 where it does not vary; multiplies the
            attention probabilities.
        inputs_embeds: (B, T, D), in place of the rows of the word table.
        encoder_hidden_states: (B, E, D), for cross-attention.
        encoder_attention_mask: (B, E) or (B, T, E).
        past_key_values: an `attention.Cache`.
        use_cache: whether to return one.
        output_attentions: whether to return the attention probabilities.
        output_hidden_states: whether to return the output of every layer.
        positions: (W, 2) integers, a row and a token each, as `argwhere` gives them: where logits of a language model
            are wanted. None: at every token.
    """

    input_ids: Any = None
    attention_mask: Any = None
    token_type_ids: Any = None
    position_ids: Any = None
    head_mask: Any = None
    inputs_embeds: Any = None
    encoder_hidden_states: Any = None
    encoder_attention_mask: Any = None
    past_key_values: Any = None
    use_cache: bool = False
    output_attentions: bool = False
    output_hidden_states: bool = False
    positions: Any = None

    @property
    def tokens(self) -> Any:
        """Whichever of `input_ids` and `inputs_embeds` is given: its first two axes are B and T."""
        return self.inputs_embeds if self.input_ids is None else self.input_ids

    def flattened(self) -> Inputs:
        """Multiple choice: (B, C, T, …) -> (BC, T, …), so that each choice is a row of its own."""
        rows = {
            name: None if value is None else value.reshape(-1, *value.shape[2:])
            for name in ("input_ids", "attention_mask", "token_type_ids", "position_ids", "inputs_embeds")
            for value in [getattr(self, name)]
        }
        return replace(self, **rows)
