"""The seven heads, in the order of `reference/heads.py`, and bound to parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...reference.config import RobertaConfig
from ...reference.inputs import Inputs
from ...reference.layers import Array, Dropout, keep_all
from ...reference.outputs import (
    BaseModelOutput,
    CausalLMOutput,
    MaskedLMOutput,
    MultipleChoiceModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)
from ...reference.taps import Tap, scope, silent
from ..arrays import heads as arrays
from .encoder import body, pooler
from .layers import gelu, layer_norm, linear


def at_positions(x: Array, positions: Any = None) -> Array:
    """The vectors of the tokens that are asked for: (B, T, D), (W, 2) -> (W, D); without positions all, as they are."""
    if positions is None:
        return x  # B T D
    return x[positions[:, 0], positions[:, 1]]  # W D


def lm_head(x: Array, p: Any, config: RobertaConfig, tap: Tap = silent) -> Array:
    """W_v LayerNorm(gelu(W x + b)) + b_v, always with the exact GELU: (B, T, D) -> (B, T, V)."""
    dense = tap("dense", linear(x, **p["dense"]))  # … D
    activated = tap("gelu", gelu(dense, tap))  # … D
    normed = layer_norm(activated, **p["layer_norm"], eps=config.layer_norm_eps, tap=scope(tap, "layer_norm"))  # … D
    return tap("logits", linear(normed, **p["decoder"]))  # … V


def classification_head(x: Array, p: Any, config: RobertaConfig, tap: Tap = silent, drop: Dropout = keep_all) -> Array:
    """The first token's vector -> logits over the labels: W_o tanh(W x_0 + b) + b_o. (B, T, D) -> (B, L)."""
    first = drop(x[:, 0], config.classifier_dropout_prob)  # B D
    hidden = tap("tanh", np.tanh(tap("dense", linear(first, **p["dense"]))))  # B D
    return tap("logits", linear(drop(hidden, config.classifier_dropout_prob), **p["out_proj"]))  # B L


def model(
    inputs: Inputs, p: Any, config: RobertaConfig, tap: Tap = silent, drop: Dropout = keep_all
) -> BaseModelOutput:
    """The bare model: hidden states, and the pooled first token where the model has a pooler."""
    result = body(inputs, p, config, tap, drop)  # .last_hidden_state B T D
    pooled = pooler(result.last_hidden_state, p["pooler"], scope(tap, "pooler")) if "pooler" in p else None  # B D
    return BaseModelOutput(**result._asdict(), pooler_output=pooled)


def causal_lm(
    inputs: Inputs, p: Any, config: RobertaConfig, tap: Tap = silent, drop: Dropout = keep_all
) -> CausalLMOutput:
    """Each token predicts the next one; the causal mask comes from `config.is_decoder`."""
    result = body(inputs, p["roberta"], config, scope(tap, "roberta"), drop)
    x = at_positions(result.last_hidden_state, inputs.positions)  # B T D, or W D
    logits = lm_head(x, p["lm_head"], config, scope(tap, "lm_head"))  # B T V, or W V
    return CausalLMOutput(
        logits=logits,
        past_key_values=result.past_key_values,
        hidden_states=result.hidden_states,
        attentions=result.attentions,
        cross_attentions=result.cross_attentions,
    )


def masked_lm(
    inputs: Inputs, p: Any, config: RobertaConfig, tap: Tap = silent, drop: Dropout = keep_all
) -> MaskedLMOutput:
    """Each masked token is predicted from all the others."""
    result = body(inputs, p["roberta"], config, scope(tap, "roberta"), drop)
    x = at_positions(result.last_hidden_state, inputs.positions)  # B T D, or W D
    logits = lm_head(x, p["lm_head"], config, scope(tap, "lm_head"))  # B T V, or W V
    return MaskedLMOutput(logits=logits, hidden_states=result.hidden_states, attentions=result.attentions)


def sequence_classification(
    inputs: Inputs, p: Any, config: RobertaConfig, tap: Tap = silent, drop: Dropout = keep_all
) -> SequenceClassifierOutput:
    """A label for the whole text, or, with one label, a number."""
    result = body(inputs, p["roberta"], config, scope(tap, "roberta"), drop)
    x = result.last_hidden_state  # B T D
    logits = classification_head(x, p["classifier"], config, scope(tap, "classifier"), drop)  # B L
    return SequenceClassifierOutput(logits=logits, hidden_states=result.hidden_states, attentions=result.attentions)


def multiple_choice(
    inputs: Inputs, p: Any, config: RobertaConfig, tap: Tap = silent, drop: Dropout = keep_all
) -> MultipleChoiceModelOutput:
    """Which of C texts fits: one number for each, from the pooler; no softmax. Inputs are (B, C, T)."""
    B, C = inputs.tokens.shape[:2]
    result = body(inputs.flattened(), p["roberta"], config, scope(tap, "roberta"), drop)
    pooled = pooler(result.last_hidden_state, p["roberta"]["pooler"], scope(tap, "roberta.pooler"))  # BC D
    logits = tap("classifier.logits", linear(drop(pooled, config.hidden_dropout_prob), **p["classifier"]))  # BC 1
    return MultipleChoiceModelOutput(
        logits=logits.reshape(B, C), hidden_states=result.hidden_states, attentions=result.attentions
    )


def token_classification(
    inputs: Inputs, p: Any, config: RobertaConfig, tap: Tap = silent, drop: Dropout = keep_all
) -> TokenClassifierOutput:
    """A label for each token."""
    result = body(inputs, p["roberta"], config, scope(tap, "roberta"), drop)
    x = drop(result.last_hidden_state, config.classifier_dropout_prob)  # B T D
    logits = tap("classifier.logits", linear(x, **p["classifier"]))  # B T L
    return TokenClassifierOutput(logits=logits, hidden_states=result.hidden_states, attentions=result.attentions)


def question_answering(
    inputs: Inputs, p: Any, config: RobertaConfig, tap: Tap = silent, drop: Dropout = keep_all
) -> QuestionAnsweringModelOutput:
    """Where the answer starts and where it ends."""
    result = body(inputs, p["roberta"], config, scope(tap, "roberta"), drop)
    logits = tap("qa_outputs.logits", linear(result.last_hidden_state, **p["qa_outputs"]))  # B T 2
    return QuestionAnsweringModelOutput(
        start_logits=logits[..., 0],  # B T
        end_logits=logits[..., 1],  # B T
        hidden_states=result.hidden_states,
        attentions=result.attentions,
    )


# -- bound to parameters ---------------------------------------------------------------------------------------------


class Head(arrays.Head):
    """A head of this engine.

    Attributes:
        packed: the parameters, with every dense layer laid out for its product; see `weights.pack_dense`.
    """

    backend = "numba"

    def __init__(self, config: RobertaConfig, **options: Any) -> None:
        super().__init__(config, **options)
        self.packed: dict[str, Any] = {}

    @property
    def tree(self) -> dict[str, Any]:
        """The parameters as the equation reads them."""
        return self.packed


class Model(Head):
    """See `model`."""

    equation = model


class CausalLM(Head):
    """See `causal_lm`."""

    equation = causal_lm


class MaskedLM(Head):
    """See `masked_lm`."""

    equation = masked_lm


class SequenceClassification(Head):
    """See `sequence_classification`."""

    equation = sequence_classification


class MultipleChoice(Head):
    """See `multiple_choice`."""

    equation = multiple_choice


class TokenClassification(Head):
    """See `token_classification`."""

    equation = token_classification


class QuestionAnswering(Head):
    """See `question_answering`."""

    equation = question_answering


#: Head -> its class, in the order of `reference/heads.py`.
HEADS: dict[str, type[Head]] = {
    "model": Model,
    "causal_lm": CausalLM,
    "masked_lm": MaskedLM,
    "sequence_classification": SequenceClassification,
    "multiple_choice": MultipleChoice,
    "token_classification": TokenClassification,
    "question_answering": QuestionAnswering,
}
