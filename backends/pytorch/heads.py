"""The seven heads on PyTorch, as `reference/heads.py` has them."""

from __future__ import annotations

from torch import Tensor, nn

from ...reference.config import RobertaConfig
from ...reference.inputs import Inputs
from ...reference.outputs import (
    CausalLMOutput,
    MaskedLMOutput,
    MultipleChoiceModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)
from ...reference.taps import Tap, scope, silent
from .clients import Clients
from .encoder import Body
from .layers import LayerNorm, Part, dropout, gelu, linear


def at_positions(x: Tensor, positions: Tensor | None = None) -> Tensor:
    """The vectors of the tokens that are asked for: (B, T, D), (W, 2) -> (W, D); without positions all, as they are."""
    if positions is None:
        return x  # B T D
    return x[positions[:, 0], positions[:, 1]]  # W D


class LMHead(Part):
    """Vectors -> logits over the vocabulary: W_v LayerNorm(gelu(W x + b)) + b_v."""

    def __init__(self, config: RobertaConfig, word_embeddings: nn.Embedding) -> None:
        super().__init__()
        D, V = config.hidden_size, config.vocab_size
        self.dense = linear(D, D)
        self.layer_norm = LayerNorm(D, config.layer_norm_eps)
        self.decoder = linear(D, V)
        self.bias = self.decoder.bias
        if config.tie_word_embeddings:
            self.decoder.weight = word_embeddings.weight

    def forward(self, x: Tensor, *, tap: Tap = silent) -> Tensor:
        """(…, D) -> (…, V)."""
        dense = tap("dense", self.dense(x))  # … D
        activated = tap("gelu", gelu(dense, tap))  # … D
        normed = self.hear(self.layer_norm, scope(tap, "layer_norm"), activated)  # … D
        return tap("logits", self.decoder(normed))  # … V


class ClassificationHead(Part):
    """The first token's vector -> logits over the labels: W_o tanh(W x_0 + b) + b_o."""

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__()
        self.dense = linear(config.hidden_size, config.hidden_size)
        self.out_proj = linear(config.hidden_size, config.num_labels)
        self.dropout = dropout(config.classifier_dropout_prob)

    def forward(self, x: Tensor, *, tap: Tap = silent) -> Tensor:
        """(B, T, D) -> (B, L)."""
        first = self.dropout(x[:, 0])  # B D
        hidden = tap("tanh", tap("dense", self.dense(first)).tanh())  # B D
        return tap("logits", self.out_proj(self.dropout(hidden)))  # B L


class Head(Clients, Part):
    """A head: its configuration, and `run`, which takes checked inputs."""

    roberta: Body

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__()
        self.config = config

    def get_input_embeddings(self) -> nn.Embedding:
        """The word table, as the module that looks ids up in it."""
        return self.roberta.embeddings.word_embeddings


class Model(Body):
    """The bare model: hidden states, and the pooled first token where the model has a pooler."""

    def __init__(self, config: RobertaConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config, has_pooler=add_pooling_layer)

    def get_input_embeddings(self) -> nn.Embedding:
        """The word table, as the module that looks ids up in it."""
        return self.embeddings.word_embeddings


class CausalLM(Head):
    """Each token predicts the next one; the causal mask comes from `config.is_decoder`."""

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__(config)
        self.roberta = Body(config)
        self.lm_head = LMHead(config, self.roberta.embeddings.word_embeddings)

    def run(self, inputs: Inputs, tap: Tap = silent) -> CausalLMOutput:
        """`Inputs` -> `CausalLMOutput`."""
        result = self.hear(self.roberta, scope(tap, "roberta"), inputs=inputs)
        x = at_positions(result.last_hidden_state, inputs.positions)  # B T D, or W D
        logits = self.hear(self.lm_head, scope(tap, "lm_head"), x)  # B T V, or W V
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
        result = self.hear(self.roberta, scope(tap, "roberta"), inputs=inputs)
        x = at_positions(result.last_hidden_state, inputs.positions)  # B T D, or W D
        logits = self.hear(self.lm_head, scope(tap, "lm_head"), x)  # B T V, or W V
        return MaskedLMOutput(logits=logits, hidden_states=result.hidden_states, attentions=result.attentions)


class SequenceClassification(Head):
    """A label for the whole text, or, with one label, a number."""

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__(config)
        self.roberta = Body(config)
        self.classifier = ClassificationHead(config)

    def run(self, inputs: Inputs, tap: Tap = silent) -> SequenceClassifierOutput:
        """`Inputs` -> `SequenceClassifierOutput`."""
        result = self.hear(self.roberta, scope(tap, "roberta"), inputs=inputs)
        logits = self.hear(self.classifier, scope(tap, "classifier"), result.last_hidden_state)  # B L
        return SequenceClassifierOutput(logits=logits, hidden_states=result.hidden_states, attentions=result.attentions)


class MultipleChoice(Head):
    """Which of C texts fits: one number for each, from the pooler; no softmax. Inputs are (B, C, T)."""

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__(config)
        self.roberta = Body(config, has_pooler=True)
        self.classifier = linear(config.hidden_size, 1)
        self.dropout = dropout(config.hidden_dropout_prob)

    def run(self, inputs: Inputs, tap: Tap = silent) -> MultipleChoiceModelOutput:
        """`Inputs` -> `MultipleChoiceModelOutput`."""
        B, C = inputs.tokens.shape[:2]
        result = self.hear(self.roberta, scope(tap, "roberta"), inputs=inputs.flattened())
        pooler, x = self.roberta.pooler, result.last_hidden_state  # BC T D
        pooled = self.hear(pooler, scope(tap, "roberta.pooler"), x)  # BC D  # pyright: ignore[reportArgumentType]
        logits = tap("classifier.logits", self.classifier(self.dropout(pooled)))  # BC 1
        return MultipleChoiceModelOutput(
            logits=logits.reshape(B, C), hidden_states=result.hidden_states, attentions=result.attentions
        )


class TokenClassification(Head):
    """A label for each token."""

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__(config)
        self.roberta = Body(config)
        self.classifier = linear(config.hidden_size, config.num_labels)
        self.dropout = dropout(config.classifier_dropout_prob)

    def run(self, inputs: Inputs, tap: Tap = silent) -> TokenClassifierOutput:
        """`Inputs` -> `TokenClassifierOutput`."""
        result = self.hear(self.roberta, scope(tap, "roberta"), inputs=inputs)
        logits = tap("classifier.logits", self.classifier(self.dropout(result.last_hidden_state)))  # B T L
        return TokenClassifierOutput(logits=logits, hidden_states=result.hidden_states, attentions=result.attentions)


class QuestionAnswering(Head):
    """Where the answer starts and where it ends."""

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__(config)
        self.roberta = Body(config)
        self.qa_outputs = linear(config.hidden_size, config.num_labels)

    def run(self, inputs: Inputs, tap: Tap = silent) -> QuestionAnsweringModelOutput:
        """`Inputs` -> `QuestionAnsweringModelOutput`."""
        result = self.hear(self.roberta, scope(tap, "roberta"), inputs=inputs)
        logits = tap("qa_outputs.logits", self.qa_outputs(result.last_hidden_state))  # B T 2
        return QuestionAnsweringModelOutput(
            start_logits=logits[..., 0],  # B T
            end_logits=logits[..., 1],  # B T
            hidden_states=result.hidden_states,
            attentions=result.attentions,
        )


#: Head -> its class, in the order of `reference/heads.py`.
HEADS: dict[str, type[nn.Module]] = {
    "model": Model,
    "causal_lm": CausalLM,
    "masked_lm": MaskedLM,
    "sequence_classification": SequenceClassification,
    "multiple_choice": MultipleChoice,
    "token_classification": TokenClassification,
    "question_answering": QuestionAnswering,
}
