"""The seven heads on Flax, as `reference/heads.py` has them."""

from __future__ import annotations

from typing import Any, Self

import jax.numpy as jnp
from flax import nnx
from jax import Array

from ...reference.config import RobertaConfig
from ...reference.inputs import Inputs
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
from .attention import FixedCache, init_cache
from .clients import INSTEAD
from .encoder import Body
from .layers import REMEDIES, Dropout, Embedding, LayerNorm, Linear, dtypes, gelu
from .sharding import with_rows


def at_positions(x: Array, positions: Array | None = None) -> Array:
    """The vectors of the tokens that are asked for: (B, T, D), (W, 2) -> (W, D); without positions all, as they are."""
    if positions is None:
        return x  # B T D
    return x[positions[:, 0], positions[:, 1]]  # W D


class LMHead(nnx.Module):
    """Vectors -> logits over the vocabulary: W_v LayerNorm(gelu(W x + b)) + b_v."""

    def __init__(self, config: RobertaConfig, word_embeddings: Embedding) -> None:
        D, V = config.hidden_size, config.vocab_size
        self.dense = Linear(D, D)
        self.layer_norm = LayerNorm(D, config.layer_norm_eps)
        self.decoder = Linear(D, V)
        self.bias = self.decoder.bias
        if config.tie_word_embeddings:
            self.decoder.weight = word_embeddings.weight

    def __call__(self, x: Array, tap: Tap = silent) -> Array:
        """(…, D) -> (…, V)."""
        dense = tap("dense", self.dense(x))  # … D
        activated = tap("gelu", gelu(dense, tap=tap))  # … D
        normed = self.layer_norm(activated, scope(tap, "layer_norm"))  # … D
        return tap("logits", self.decoder(normed))  # … V


class ClassificationHead(nnx.Module):
    """The first token's vector -> logits over the labels: W_o tanh(W x_0 + b) + b_o."""

    def __init__(self, config: RobertaConfig, rngs: nnx.Rngs) -> None:
        self.dense = Linear(config.hidden_size, config.hidden_size)
        self.out_proj = Linear(config.hidden_size, config.num_labels)
        self.drop = Dropout(config.classifier_dropout_prob, rngs.dropout)

    def __call__(self, x: Array, tap: Tap = silent) -> Array:
        """(B, T, D) -> (B, L)."""
        first = self.drop(x[:, 0])  # B D
        hidden = tap("tanh", jnp.tanh(tap("dense", self.dense(first))))  # B D
        return tap("logits", self.out_proj(self.drop(hidden)))  # B L


class Head(nnx.Module):
    """A head: its configuration, and `run`, which takes checked inputs.

    Attributes:
        config: static for NNX: a compiled function is compiled anew where it has another one.
        rngs: one stream, "dropout", that all dropouts share. `nnx.reseed(model, dropout=1)` begins another.
        computes_in: see `compute_in`.
    """

    roberta: Body
    computes_in: str | None = None

    def __init__(self, config: RobertaConfig) -> None:
        self.config = config
        self.rngs = nnx.Rngs(dropout=0)

    def __getattr__(self, name: str) -> Any:
        """Called for what there is not: of what transformers' Flax classes have, the error says what to type."""
        hint = f": {INSTEAD[name]}" if name in INSTEAD else ""
        message = f"{type(self).__name__!r} object has no attribute {name!r}{hint}"
        raise AttributeError(message)

    @property
    def base_model(self) -> Body:
        """The body: of a bare model, itself."""
        return self.roberta

    @property
    def options(self) -> dict[str, Any]:
        """What it was built with besides the config. Kept as a tuple, as NNX wants what is static to have a hash."""
        return dict(self._options)

    @options.setter
    def options(self, options: dict[str, Any]) -> None:
        self._options = tuple(options.items())

    def run(self, inputs: Inputs, tap: Tap = silent) -> Output:
        """`Inputs` -> the head's record."""
        raise NotImplementedError

    def get_input_embeddings(self) -> Embedding:
        """The word table, as the module that looks ids up in it."""
        return self.base_model.embeddings.word_embeddings

    @property
    def training(self) -> bool:
        """Whether dropout is on, by whatever of NNX it was switched. Off from the start."""
        return not self.base_model.embeddings.drop.deterministic

    def train(self, mode: bool = True) -> Self:  # pyright: ignore[reportIncompatibleMethodOverride]  # NNX's returns None
        """Switch dropout on or off."""
        self.set_attributes(Dropout, deterministic=not mode)
        # layers of NNX's own, which a subclass may have added
        self.set_attributes(nnx.Dropout, deterministic=not mode, raise_if_not_found=False)
        self.set_attributes(nnx.BatchNorm, use_running_average=not mode, raise_if_not_found=False)
        return self

    def eval(self) -> Self:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Switch dropout off."""
        return self.train(False)

    @property
    def is_gradient_checkpointing(self) -> bool:
        """Whether activations are computed again in the backward pass."""
        return self.base_model.recomputes

    def gradient_checkpointing_enable(self) -> None:
        """Keep of each layer its input only, and compute the rest again in the backward pass: `nnx.remat` over layers.

        The gradients are the same, dropout included. Say it before a function is compiled with the model.

        Source: Chen et al. (2016), arXiv:1604.06174.
        """
        self.base_model.recomputes = True

    def gradient_checkpointing_disable(self) -> None:
        """Keep all activations."""
        self.base_model.recomputes = False

    @property
    def compute_dtype(self) -> str:
        """The dtype of everything but the parameters, such as "bfloat16"."""
        return self.computes_in or self.get_input_embeddings().weight.dtype.name

    def compute_in(self, dtype: Any) -> Self:
        """Compute in another dtype than that of the parameters, which stay as they are: NNX's dtype and param_dtype.

        Args:
            dtype: such as "bfloat16" or `jnp.bfloat16`; None for the parameters' own.

        Raises:
            ValueError: a dtype that the engine lacks.

        Example:
            >>> import roberta
            >>> config = roberta.RobertaConfig(11, 4, 1, 1, 7)
            >>> model = roberta.RobertaForMaskedLM(config, backend="flax").compute_in("bfloat16")
            >>> model.dtype, model([[0, 5, 2]]).logits.dtype.name
            ('float32', 'bfloat16')
        """
        name = None if dtype is None else str(getattr(dtype, "__name__", dtype))
        if name is not None and name not in dtypes():
            remedy = f". {REMEDIES[name]}" if name in REMEDIES else ""
            message = f"compute_in: the flax backend computes in one of {list(dtypes())}, got {dtype!r}{remedy}"
            raise ValueError(message)
        self.computes_in = name
        self.base_model.embeddings.dtype = name
        return self

    def init_cache(self, batch_size: int, max_length: int) -> FixedCache:
        """An empty cache of fixed size, with which every step of a compiled decoder has the same shapes.

        What it gives is what the growing cache gives. A mask has one column for each of the M slots; those of tokens
        to come may be 1, as nobody sees them yet. More tokens than slots are an error, and NaN inside `jit`.
        Another engine that is given such a cache takes what is in it.

        Args:
            batch_size: B.
            max_length: M, how many tokens there will be at most.

        Raises:
            ValueError: no decoder, or less than one slot.

        Example:
            >>> import jax.numpy as jnp, roberta
            >>> from flax import nnx
            >>> config = roberta.RobertaConfig(11, 4, 1, 1, 7, is_decoder=True)
            >>> model = roberta.RobertaForCausalLM(config, backend="flax")
            >>> step = nnx.jit(lambda model, ids, past: model(ids, past_key_values=past))
            >>> output = step(model, jnp.array([[0, 5, 6]]), model.init_cache(1, 8))
            >>> output = step(model, jnp.array([[7]]), output.past_key_values)
            >>> int(output.past_key_values.taken)
            4
        """
        return init_cache(self.config, batch_size, max_length, self.compute_dtype)


class Model(Head, Body):  # pyright: ignore[reportIncompatibleMethodOverride]  # as said above
    """The bare model: hidden states, and the pooled first token where the model has a pooler."""

    def __init__(self, config: RobertaConfig, add_pooling_layer: bool = True) -> None:
        Head.__init__(self, config)
        Body.__init__(self, config, self.rngs, self.computes_in, has_pooler=add_pooling_layer)

    @property
    def base_model(self) -> Body:
        """Itself."""
        return self

    def run(self, inputs: Inputs, tap: Tap = silent) -> BaseModelOutput:
        """`Inputs` -> `BaseModelOutput`."""
        result = self.body(inputs, self.config, tap)  # .last_hidden_state B T D
        pooled = self.pooler(result.last_hidden_state, scope(tap, "pooler")) if self.pooler else None  # B D
        return BaseModelOutput(**result._asdict(), pooler_output=pooled)


class CausalLM(Head):
    """Each token predicts the next one; the causal mask comes from `config.is_decoder`."""

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__(config)
        self.roberta = Body(config, self.rngs, self.computes_in)
        self.lm_head = LMHead(config, self.roberta.embeddings.word_embeddings)

    def run(self, inputs: Inputs, tap: Tap = silent) -> CausalLMOutput:
        """`Inputs` -> `CausalLMOutput`."""
        result = self.roberta(inputs, self.config, scope(tap, "roberta"))
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
        self.roberta = Body(config, self.rngs, self.computes_in)
        self.lm_head = LMHead(config, self.roberta.embeddings.word_embeddings)

    def run(self, inputs: Inputs, tap: Tap = silent) -> MaskedLMOutput:
        """`Inputs` -> `MaskedLMOutput`."""
        result = self.roberta(inputs, self.config, scope(tap, "roberta"))
        x = at_positions(result.last_hidden_state, inputs.positions)  # B T D, or W D
        logits = self.lm_head(x, scope(tap, "lm_head"))  # B T V, or W V
        return MaskedLMOutput(logits=logits, hidden_states=result.hidden_states, attentions=result.attentions)


class SequenceClassification(Head):
    """A label for the whole text, or, with one label, a number."""

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__(config)
        self.roberta = Body(config, self.rngs, self.computes_in)
        self.classifier = ClassificationHead(config, self.rngs)

    def run(self, inputs: Inputs, tap: Tap = silent) -> SequenceClassifierOutput:
        """`Inputs` -> `SequenceClassifierOutput`."""
        result = self.roberta(inputs, self.config, scope(tap, "roberta"))
        logits = self.classifier(result.last_hidden_state, scope(tap, "classifier"))  # B L
        return SequenceClassifierOutput(logits=logits, hidden_states=result.hidden_states, attentions=result.attentions)


class MultipleChoice(Head):
    """Which of C texts fits: one number for each, from the pooler; no softmax. Inputs are (B, C, T)."""

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__(config)
        self.roberta = Body(config, self.rngs, self.computes_in, has_pooler=True)
        self.classifier = Linear(config.hidden_size, 1)
        self.drop = Dropout(config.hidden_dropout_prob, self.rngs.dropout)

    def run(self, inputs: Inputs, tap: Tap = silent) -> MultipleChoiceModelOutput:
        """`Inputs` -> `MultipleChoiceModelOutput`."""
        B, C = inputs.tokens.shape[:2]
        result = self.roberta(inputs.flattened(), self.config, scope(tap, "roberta"))
        x = result.last_hidden_state  # BC T D
        pooled = self.roberta.pooler(x, scope(tap, "roberta.pooler"))  # BC D  # pyright: ignore[reportOptionalCall]
        logits = tap("classifier.logits", self.classifier(self.drop(pooled)))  # BC 1
        logits = logits.reshape(B, C, out_sharding=with_rows(logits[:, 0]))  # B C
        return MultipleChoiceModelOutput(
            logits=logits, hidden_states=result.hidden_states, attentions=result.attentions
        )


class TokenClassification(Head):
    """A label for each token."""

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__(config)
        self.roberta = Body(config, self.rngs, self.computes_in)
        self.classifier = Linear(config.hidden_size, config.num_labels)
        self.drop = Dropout(config.classifier_dropout_prob, self.rngs.dropout)

    def run(self, inputs: Inputs, tap: Tap = silent) -> TokenClassifierOutput:
        """`Inputs` -> `TokenClassifierOutput`."""
        result = self.roberta(inputs, self.config, scope(tap, "roberta"))
        logits = tap("classifier.logits", self.classifier(self.drop(result.last_hidden_state)))  # B T L
        return TokenClassifierOutput(logits=logits, hidden_states=result.hidden_states, attentions=result.attentions)


class QuestionAnswering(Head):
    """Where the answer starts and where it ends."""

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__(config)
        self.roberta = Body(config, self.rngs, self.computes_in)
        self.qa_outputs = Linear(config.hidden_size, config.num_labels)

    def run(self, inputs: Inputs, tap: Tap = silent) -> QuestionAnsweringModelOutput:
        """`Inputs` -> `QuestionAnsweringModelOutput`."""
        result = self.roberta(inputs, self.config, scope(tap, "roberta"))
        logits = tap("qa_outputs.logits", self.qa_outputs(result.last_hidden_state))  # B T 2
        return QuestionAnsweringModelOutput(
            start_logits=logits[..., 0],  # B T
            end_logits=logits[..., 1],  # B T
            hidden_states=result.hidden_states,
            attentions=result.attentions,
        )


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
