"""The seven heads on PyTorch, as `reference/heads.py` has them."""

from __future__ import annotations

from torch import Tensor, nn

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
from .encoder import Body
from .layers import LayerNorm, dropout, gelu, linear


def at_positions(x: Tensor, positions: Tensor | None = None) -> Tensor:
    """The vectors of the tokens that are asked for: (B, T, D), (W, 2) -> (W, D); without positions all, as they are."""
    if positions is None:
        return x  # B T D
    return x[positions[:, 0], positions[:, 1]]  # W D


class LMHead(nn.Module):
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

    def forward(self, x: Tensor, tap: Tap = silent) -> Tensor:
        """(…, D) -> (…, V)."""
        dense = tap("dense", self.dense(x))  # … D
        activated = tap("gelu", gelu(dense, tap))  # … D
        normed = self.layer_norm(activated, scope(tap, "layer_norm"))  # … D
        return tap("logits", self.decoder(normed))  # … V


class ClassificationHead(nn.Module):
    """The first token's vector -> logits over the labels: W_o tanh(W x_0 + b) + b_o."""

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__()
        self.dense = linear(config.hidden_size, config.hidden_size)
        self.out_proj = linear(config.hidden_size, config.num_labels)
        self.drop = dropout(config.classifier_dropout_prob)

    def forward(self, x: Tensor, tap: Tap = silent) -> Tensor:
        """(B, T, D) -> (B, L)."""
        first = self.drop(x[:, 0])  # B D
        hidden = tap("tanh", tap("dense", self.dense(first)).tanh())  # B D
        return tap("logits", self.out_proj(self.drop(hidden)))  # B L


class Head(nn.Module):
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

    def run(self, inputs: Inputs, tap: Tap = silent) -> BaseModelOutput:
        """`Inputs` -> `BaseModelOutput`."""
        result = self.body(inputs, tap)  # .last_hidden_state B T D
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
        result = self.roberta(inputs, scope(tap, "roberta"))
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
        result = self.roberta(inputs, scope(tap, "roberta"))
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
        result = self.roberta(inputs, scope(tap, "roberta"))
        logits = self.classifier(result.last_hidden_state, scope(tap, "classifier"))  # B L
        return SequenceClassifierOutput(logits=logits, hidden_states=result.hidden_states, attentions=result.attentions)


class MultipleChoice(Head):
    """Which of C texts fits: one number for each, from the pooler; no softmax. Inputs are (B, C, T)."""

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__(config)
        self.roberta = Body(config, has_pooler=True)
        self.classifier = linear(config.hidden_size, 1)
        self.drop = dropout(config.hidden_dropout_prob)

    def run(self, inputs: Inputs, tap: Tap = silent) -> MultipleChoiceModelOutput:
        """`Inputs` -> `MultipleChoiceModelOutput`."""
        B, C = inputs.tokens.shape[:2]
        result = self.roberta(inputs.flattened(), scope(tap, "roberta"))
        x = result.last_hidden_state  # BC T D
        pooled = self.roberta.pooler(x, scope(tap, "roberta.pooler"))  # BC D  # pyright: ignore[reportOptionalCall]
        logits = tap("classifier.logits", self.classifier(self.drop(pooled)))  # BC 1
        return MultipleChoiceModelOutput(
            logits=logits.reshape(B, C), hidden_states=result.hidden_states, attentions=result.attentions
        )


class TokenClassification(Head):
    """A label for each token."""

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__(config)
        self.roberta = Body(config)
        self.classifier = linear(config.hidden_size, config.num_labels)
        self.drop = dropout(config.classifier_dropout_prob)

    def run(self, inputs: Inputs, tap: Tap = silent) -> TokenClassifierOutput:
        """`Inputs` -> `TokenClassifierOutput`."""
        result = self.roberta(inputs, scope(tap, "roberta"))
        logits = tap("classifier.logits", self.classifier(self.drop(result.last_hidden_state)))  # B T L
        return TokenClassifierOutput(logits=logits, hidden_states=result.hidden_states, attentions=result.attentions)


class QuestionAnswering(Head):
    """Where the answer starts and where it ends."""

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__(config)
        self.roberta = Body(config)
        self.qa_outputs = linear(config.hidden_size, config.num_labels)

    def run(self, inputs: Inputs, tap: Tap = silent) -> QuestionAnsweringModelOutput:
        """`Inputs` -> `QuestionAnsweringModelOutput`."""
        result = self.roberta(inputs, scope(tap, "roberta"))
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
