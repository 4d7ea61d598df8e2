"""What `generate` returns with `return_dict_in_generate=True`: HF's names, in HF's order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...reference.arrays import A
from ...reference.outputs import Output

_REQUIRED: Any = None


@dataclass(eq=False)
class GenerateDecoderOnlyOutput(Output[A]):
    """Of one continuation a row: the ids, what was asked for at each step, and the cache.

    Attributes:
        sequences: (R, T + new) ids; of a prompt of embeddings only what is new.
        scores: a step each, (R, V): the logits after all rules.
        logits: a step each, (R, V): the logits as the model gave them.
        attentions: a step each, and of each layer, as a call returns them.
        hidden_states: likewise.
        past_key_values: of all tokens but the last; go on from it with the whole `sequences` as `input_ids`.

    Source: HF `GenerateDecoderOnlyOutput` @ 4.57.6.
    """

    sequences: A = _REQUIRED
    scores: tuple[A, ...] | None = None
    logits: tuple[A, ...] | None = None
    attentions: tuple[Any, ...] | None = None
    hidden_states: tuple[Any, ...] | None = None
    past_key_values: Any = None


@dataclass(eq=False)
class GenerateBeamDecoderOnlyOutput(Output[A]):
    """Of beam search: the best sequences of each row, in order, and what was asked for at each step.

    Attributes:
        sequences: (R, T + longest) ids, R = B * num_return_sequences; the shorter ones are padded.
        sequences_scores: (R,), with `output_scores`: the sum of the scores of a sequence's tokens, over its length to
            the power of `length_penalty`.
        scores: a step each, (B * K, V): the log-probabilities after all rules, without those of earlier tokens.
        logits: a step each, (B * K, V), as the model gave them.
        beam_indices: (R, longest), from which row of `scores` each token was taken; -1 behind the end.
        attentions: a step each, and of each layer, as a call returns them.
        hidden_states: likewise.
        past_key_values: of the beams that were pursued last.

    Source: HF `GenerateBeamDecoderOnlyOutput` @ 4.57.6.
    """

    sequences: A = _REQUIRED
    sequences_scores: A | None = None
    scores: tuple[A, ...] | None = None
    logits: tuple[A, ...] | None = None
    beam_indices: A | None = None
    attentions: tuple[Any, ...] | None = None
    hidden_states: tuple[Any, ...] | None = None
    past_key_values: Any = None
