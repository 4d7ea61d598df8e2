"""The seven heads, as `reference/heads.py` has them, and the objects that bind them to parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np

from ...reference.config import RobertaConfig
from ...reference.inputs import Inputs
from ...reference.layers import Array, Dropout, dropout, keep_all
from ...reference.outputs import (
    BaseModelOutput,
    CausalLMOutput,
    MaskedLMOutput,
    MultipleChoiceModelOutput,
    Output,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)
from ...reference.taps import Tap, scope, silent
from .encoder import body, pooler
from .layers import ACTIVATIONS, layer_norm, linear


def lm_head(x: Array, p: Any, config: RobertaConfig, tap: Tap = silent) -> Array:
    """Vectors -> logits over the vocabulary, W_v LayerNorm(gelu(W x + b)) + b_v: (B, T, D) -> (B, T, V)."""
    activated = tap("gelu", ACTIVATIONS["gelu"](x, p["dense"], tap))  # B T D
    normed = tap("layer_norm.output", layer_norm(activated, **p["layer_norm"], eps=config.layer_norm_eps))  # B T D
    return tap("logits", linear(normed, p["decoder"]))  # B T V


def classification_head(x: Array, p: Any, config: RobertaConfig, tap: Tap = silent, drop: Dropout = keep_all) -> Array:
    """The first token's vector -> logits over the labels, W_o tanh(W x_0 + b) + b_o: (B, T, D) -> (B, L)."""
    first = drop(x[:, 0], config.classifier_dropout_prob)  # B D
    hidden = tap("tanh", np.tanh(tap("dense", linear(first, p["dense"]))))  # B D
    return tap("logits", linear(drop(hidden, config.classifier_dropout_prob), p["out_proj"]))  # B L


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
    logits = lm_head(result.last_hidden_state, p["lm_head"], config, scope(tap, "lm_head"))  # B T V
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
    logits = lm_head(result.last_hidden_state, p["lm_head"], config, scope(tap, "lm_head"))  # B T V
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
    logits = tap("classifier.logits", linear(drop(pooled, config.hidden_dropout_prob), p["classifier"]))  # BC 1
    return MultipleChoiceModelOutput(
        logits=logits.reshape(B, C), hidden_states=result.hidden_states, attentions=result.attentions
    )


def token_classification(
    inputs: Inputs, p: Any, config: RobertaConfig, tap: Tap = silent, drop: Dropout = keep_all
) -> TokenClassifierOutput:
    """A label for each token."""
    result = body(inputs, p["roberta"], config, scope(tap, "roberta"), drop)
    x = drop(result.last_hidden_state, config.classifier_dropout_prob)  # B T D
    logits = tap("classifier.logits", linear(x, p["classifier"]))  # B T L
    return TokenClassifierOutput(logits=logits, hidden_states=result.hidden_states, attentions=result.attentions)


def question_answering(
    inputs: Inputs, p: Any, config: RobertaConfig, tap: Tap = silent, drop: Dropout = keep_all
) -> QuestionAnsweringModelOutput:
    """Where the answer starts and where it ends."""
    result = body(inputs, p["roberta"], config, scope(tap, "roberta"), drop)
    logits = tap("qa_outputs.logits", linear(result.last_hidden_state, p["qa_outputs"]))  # B T 2
    return QuestionAnsweringModelOutput(
        start_logits=logits[..., 0],  # B T
        end_logits=logits[..., 1],  # B T
        hidden_states=result.hidden_states,
        attentions=result.attentions,
    )


#: Head -> its function.
HEAD_FUNCTIONS: Mapping[str, Callable[..., Output]] = {
    "model": model,
    "causal_lm": causal_lm,
    "masked_lm": masked_lm,
    "sequence_classification": sequence_classification,
    "multiple_choice": multiple_choice,
    "token_classification": token_classification,
    "question_answering": question_answering,
}


class Head:
    """A head: its configuration, its parameters as a tree, and `run`, which takes checked inputs.

    Attributes:
        parameters: nested mapping whose path is HF's name; read-only arrays.
        packed: the same, with every dense layer laid out for its product; see `weights.pack_dense`.
        training: whether dropout is on. Off from the start.
        rng: draws the dropout; seed it anew for a reproducible step.
    """

    head: str

    def __init__(self, config: RobertaConfig, **_options: Any) -> None:
        self.config = config
        self.parameters: dict[str, Any] = {}
        self.packed: dict[str, Any] = {}
        self.training = False
        self.rng = np.random.default_rng(0)

    def run(self, inputs: Inputs, tap: Tap = silent) -> Output:
        """`Inputs` -> the head's record."""
        drop = dropout(self.rng if self.training else None)
        return HEAD_FUNCTIONS[self.head](inputs, self.packed, self.config, tap, drop)

    def get_input_embeddings(self) -> Any:
        """The word table, (V, D), read-only."""
        body = self.parameters.get("roberta", self.parameters)
        return body["embeddings"]["word_embeddings"]["weight"]

    def train(self, mode: bool = True) -> Self:
        """Switch dropout on or off. Nothing here computes gradients: `to_backend` takes a model where they are."""
        self.training = mode
        return self

    def eval(self) -> Self:
        """Switch dropout off."""
        return self.train(False)


class Model(Head):
    """See `model`."""

    head = "model"


class CausalLM(Head):
    """See `causal_lm`."""

    head = "causal_lm"


class MaskedLM(Head):
    """See `masked_lm`."""

    head = "masked_lm"


class SequenceClassification(Head):
    """See `sequence_classification`."""

    head = "sequence_classification"


class MultipleChoice(Head):
    """See `multiple_choice`."""

    head = "multiple_choice"


class TokenClassification(Head):
    """See `token_classification`."""

    head = "token_classification"


class QuestionAnswering(Head):
    """See `question_answering`."""

    head = "question_answering"


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
