"""The seven heads on Keras, as `reference/heads.py` has them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import tensorflow as tf
from tensorflow import Tensor

from ...reference.config import RobertaConfig
from ...reference.inputs import Inputs
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
from .encoder import Body, body, parts
from .layers import Dropout, Embedding, LayerNorm, Linear, Part, gelu, keep_all, sizes
from .training import KerasModel


def at_positions(x: Tensor, positions: Tensor | None = None) -> Tensor:
    """The vectors of the tokens that are asked for: (B, T, D), (W, 2) -> (W, D); without positions all, as they are."""
    if positions is None:
        return x  # B T D
    return tf.gather_nd(x, positions)  # W D


class LMHead(Part):
    """Vectors -> logits over the vocabulary: W_v LayerNorm(gelu(W x + b)) + b_v."""

    def __init__(self, config: RobertaConfig, word_embeddings: Embedding) -> None:
        super().__init__()
        D, V = config.hidden_size, config.vocab_size
        self.dense = Linear(D, D)
        self.layer_norm = LayerNorm(D, config.layer_norm_eps)
        self.decoder = Linear(D, V, table=word_embeddings if config.tie_word_embeddings else None)

    @property
    def bias(self) -> keras.Variable:
        """The decoder's: the checkpoint has it under two names."""
        return self.decoder.bias

    def call(self, x: Tensor, tap: Tap = silent) -> Tensor:
        """(…, D) -> (…, V)."""
        dense = tap("dense", self.dense(x))  # … D
        activated = tap("gelu", gelu(dense, tap))  # … D
        normed = self.layer_norm(activated, scope(tap, "layer_norm"))  # … D
        return tap("logits", self.decoder(normed))  # … V


class ClassificationHead(Part):
    """The first token's vector -> logits over the labels: W_o tanh(W x_0 + b) + b_o."""

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__()
        self.config = config
        self.dense = Linear(config.hidden_size, config.hidden_size)
        self.out_proj = Linear(config.hidden_size, config.num_labels)

    def call(self, x: Tensor, tap: Tap = silent, drop: Dropout = keep_all) -> Tensor:
        """(B, T, D) -> (B, L)."""
        first = drop(x[:, 0], self.config.classifier_dropout_prob)  # B D
        hidden = tap("tanh", tf.tanh(tap("dense", self.dense(first))))  # B D
        return tap("logits", self.out_proj(drop(hidden, self.config.classifier_dropout_prob)))  # B L


class Head(KerasModel):
    """A head: its configuration, and `run`, which takes checked inputs."""

    roberta: Body

    def get_input_embeddings(self) -> Embedding:
        """The word table, as the layer that looks ids up in it."""
        return self.roberta.embeddings.word_embeddings


class Model(KerasModel):
    """The bare model: hidden states, and the pooled first token where the model has a pooler."""

    def __init__(self, config: RobertaConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        self.embeddings, self.encoder, self.pooler = parts(config, add_pooling_layer)

    def get_input_embeddings(self) -> Embedding:
        """The word table, as the layer that looks ids up in it."""
        return self.embeddings.word_embeddings

    def run(self, inputs: Inputs, tap: Tap = silent) -> BaseModelOutput:
        """`Inputs` -> `BaseModelOutput`."""
        result = body(inputs, self, self.config, tap, self.drop)  # .last_hidden_state B T D
        pooled = self.pooler(result.last_hidden_state, scope(tap, "pooler")) if self.pooler else None  # B D
        return BaseModelOutput(**result._asdict(), pooler_output=pooled)


class CausalLM(Head):
    """Each token predicts the next one; the causal mask comes from `config.is_decoder`."""

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__(config)
        self.roberta = Body(config)
        self.lm_head = LMHead(config, self.roberta.embeddings.word_embeddings)

    def run(self, inputs: Inputs, tap: Tap = silent) -> CausalLMOutput:
        """`Inputs` -> `CausalLMOutput`."""
        result = self.roberta(inputs, scope(tap, "roberta"), self.drop)
        x = at_positions(result.last_hidden_state, inputs.positions)  # B T D, or W D
        logits = self.lm_head(x, scope(tap, "lm_head"))  # B T V, or W V
        return CausalLMOutput(
            logits=logits,
            past_key_values=result.past_key_values,
            hidden_states=result.hidden_states,
            attentions=result.attentions,
            cross_attentions=result.cross_attentions,
        )


class MaskedLM(Head):
    """Each masked token is predicted from all the others."""

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__(config)
        self.roberta = Body(config)
        self.lm_head = LMHead(config, self.roberta.embeddings.word_embeddings)

    def run(self, inputs: Inputs, tap: Tap = silent) -> MaskedLMOutput:
        """`Inputs` -> `MaskedLMOutput`."""
        result = self.roberta(inputs, scope(tap, "roberta"), self.drop)
        x = at_positions(result.last_hidden_state, inputs.positions)  # B T D, or W D
        logits = self.lm_head(x, scope(tap, "lm_head"))  # B T V, or W V
        return MaskedLMOutput(logits=logits, hidden_states=result.hidden_states, attentions=result.attentions)


class SequenceClassification(Head):
    """A label for the whole text, or, with one label, a number."""

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__(config)
        self.roberta = Body(config)
        self.classifier = ClassificationHead(config)

    def run(self, inputs: Inputs, tap: Tap = silent) -> SequenceClassifierOutput:
        """`Inputs` -> `SequenceClassifierOutput`."""
        drop = self.drop
        result = self.roberta(inputs, scope(tap, "roberta"), drop)
        logits = self.classifier(result.last_hidden_state, scope(tap, "classifier"), drop)  # B L
        return SequenceClassifierOutput(logits=logits, hidden_states=result.hidden_states, attentions=result.attentions)


class MultipleChoice(Head):
    """Which of C texts fits: one number for each, from the pooler; no softmax. Inputs are (B, C, T)."""

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__(config)
        self.roberta = Body(config, has_pooler=True)
        self.classifier = Linear(config.hidden_size, 1)

    def run(self, inputs: Inputs, tap: Tap = silent) -> MultipleChoiceModelOutput:
        """`Inputs` -> `MultipleChoiceModelOutput`."""
        B, C = sizes(inputs.tokens)[:2]
        drop = self.drop
        result = self.roberta(flattened(inputs), scope(tap, "roberta"), drop)
        pooled = self.roberta.pooler(result.last_hidden_state, scope(tap, "roberta.pooler"))  # BC D
        logits = tap("classifier.logits", self.classifier(drop(pooled, self.config.hidden_dropout_prob)))  # BC 1
        return MultipleChoiceModelOutput(
            logits=tf.reshape(logits, [B, C]), hidden_states=result.hidden_states, attentions=result.attentions
        )


def flattened(inputs: Inputs) -> Inputs:
    """(B, C, T, …) -> (BC, T, …), so that each choice is a row of its own."""
    names = ("input_ids", "attention_mask", "token_type_ids", "position_ids", "inputs_embeds")
    given = {name: getattr(inputs, name) for name in names}
    rows = {name: tf.reshape(x, [-1, *sizes(x)[2:]]) for name, x in given.items() if x is not None}
    return replace(inputs, **rows)


class TokenClassification(Head):
    """A label for each token."""

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__(config)
        self.roberta = Body(config)
        self.classifier = Linear(config.hidden_size, config.num_labels)

    def run(self, inputs: Inputs, tap: Tap = silent) -> TokenClassifierOutput:
        """`Inputs` -> `TokenClassifierOutput`."""
        drop = self.drop
        result = self.roberta(inputs, scope(tap, "roberta"), drop)
        x = drop(result.last_hidden_state, self.config.classifier_dropout_prob)  # B T D
        logits = tap("classifier.logits", self.classifier(x))  # B T L
        return TokenClassifierOutput(logits=logits, hidden_states=result.hidden_states, attentions=result.attentions)


class QuestionAnswering(Head):
    """Where the answer starts and where it ends."""

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__(config)
        self.roberta = Body(config)
        self.qa_outputs = Linear(config.hidden_size, config.num_labels)

    def run(self, inputs: Inputs, tap: Tap = silent) -> QuestionAnsweringModelOutput:
        """`Inputs` -> `QuestionAnsweringModelOutput`."""
        result = self.roberta(inputs, scope(tap, "roberta"), self.drop)
        logits = tap("qa_outputs.logits", self.qa_outputs(result.last_hidden_state))  # B T 2
        return QuestionAnsweringModelOutput(
            start_logits=logits[..., 0],  # B T
            end_logits=logits[..., 1],  # B T
            hidden_states=result.hidden_states,
            attentions=result.attentions,
        )


#: Head -> its class, in the order of `reference/heads.py`.
HEADS: dict[str, type[Any]] = {
    "model": Model,
    "causal_lm": CausalLM,
    "masked_lm": MaskedLM,
    "sequence_classification": SequenceClassification,
    "multiple_choice": MultipleChoice,
    "token_classification": TokenClassification,
    "question_answering": QuestionAnswering,
}
