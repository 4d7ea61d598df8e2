"""The seven classes under HF's names. Calling one gives a model of the engine that is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

from ..reference.arrays import A, Flag, Given
from ..reference.attention import Cache
from ..reference.outputs import (
    BaseModelOutput,
    CausalLMOutput,
    MaskedLMOutput,
    MultipleChoiceModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)
from .faces import entry
from .generation import Generating
from .model import PublicModel
from .signatures import Faced, FacedBody

if TYPE_CHECKING:
    from . import natives  # noqa: F401  # the classes below name its classes

#: The `past_key_values` of an earlier output, or HF's tuple of (key, value) of each layer.
Past: TypeAlias = "Cache[A] | tuple[tuple[A, ...], ...] | None"

# fmt: off


class RobertaModel(
    FacedBody[
        A,
        "natives.numpy.NumpyRobertaModel",
        "natives.numba.NumbaRobertaModel",
        "natives.torch.TorchRobertaModel",
        "natives.tensorflow.TFRobertaModel",
        "natives.flax.FlaxRobertaModel",
    ]
):
    """The bare model: hidden states, and the pooled first token.

    Equation: x = body(inputs), and tanh(W x_0 + b) of the first token where the model has a pooler.

    Source: `roberta.reference.heads.model`.

    A model of the engine that is meant: `backend=`, else that of `use_backend`, `set_default_backend` or the
    environment, else NumPy. Arguments of the constructor and of `from_pretrained`: see `PublicModel`.

    Example:
        >>> from roberta import RobertaModel, RobertaConfig
        >>> config = RobertaConfig(vocab_size=11, hidden_size=4, num_hidden_layers=1, num_attention_heads=2)
        >>> model = RobertaModel(config, backend="numpy", seed=0)
        >>> model([[0, 5, 2]]).last_hidden_state.shape
        (1, 3, 4)
    """

    head = "model"

    @overload
    def __call__(
        self, input_ids: Given = None, attention_mask: Given = None, token_type_ids: Given = None,
        position_ids: Given = None, head_mask: Given = None, inputs_embeds: Given = None,
        encoder_hidden_states: Given = None, encoder_attention_mask: Given = None,
        past_key_values: Past[A] = None, use_cache: Flag = None,
        output_attentions: Flag = None, output_hidden_states: Flag = None,
        return_dict: Literal[True] | None = None,
    ) -> BaseModelOutput[A]: ...

    @overload
    def __call__(
        self, input_ids: Given = None, attention_mask: Given = None, token_type_ids: Given = None,
        position_ids: Given = None, head_mask: Given = None, inputs_embeds: Given = None,
        encoder_hidden_states: Given = None, encoder_attention_mask: Given = None,
        past_key_values: Past[A] = None, use_cache: Flag = None,
        output_attentions: Flag = None, output_hidden_states: Flag = None,
        *, return_dict: Literal[False],
    ) -> tuple[Any, ...]: ...

    @entry
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the head; see `roberta.reference.inputs.Inputs` for the arguments and their shapes.

        Returns:
            `BaseModelOutput`: `last_hidden_state` (B, T, D), `pooler_output` (B, D), and of a decoder
            `past_key_values`.
            Besides, hidden states and attentions where they are asked for; with `return_dict=False` all as a tuple.

        Raises:
            ValueError: a shape, value or combination that the head cannot take; says which, and what to do.
            TypeError: an unknown argument, or one of the wrong kind.
        """

    if TYPE_CHECKING:
        forward = __call__

class RobertaForCausalLM(
    Faced[
        A,
        "natives.numpy.NumpyRobertaForCausalLM",
        "natives.numba.NumbaRobertaForCausalLM",
        "natives.torch.TorchRobertaForCausalLM",
        "natives.tensorflow.TFRobertaForCausalLM",
        "natives.flax.FlaxRobertaForCausalLM",
    ], Generating
):
    """Each token predicts the next one; a decoder looks at none behind it.

    Equation: logits = W_v LayerNorm(gelu(W x + b)) + b_v; the loss is the mean cross-entropy of token t + 1 at token t.

    Source: `roberta.reference.heads.causal_lm`.

    A model of the engine that is meant: `backend=`, else that of `use_backend`, `set_default_backend` or the
    environment, else NumPy. Arguments of the constructor and of `from_pretrained`: see `PublicModel`.

    Example:
        >>> from roberta import RobertaForCausalLM, RobertaConfig
        >>> config = RobertaConfig(11, 4, 1, 2, is_decoder=True)
        >>> model = RobertaForCausalLM(config, backend="numpy", seed=0)
        >>> model([[0, 5, 2]]).logits.shape
        (1, 3, 11)
    """

    head = "causal_lm"

    @overload
    def __call__(
        self, input_ids: Given = None, attention_mask: Given = None, token_type_ids: Given = None,
        position_ids: Given = None, head_mask: Given = None, inputs_embeds: Given = None,
        encoder_hidden_states: Given = None, encoder_attention_mask: Given = None, labels: Given = None,
        past_key_values: Past[A] = None, use_cache: Flag = None,
        output_attentions: Flag = None, output_hidden_states: Flag = None,
        return_dict: Literal[True] | None = None, positions: Given = None,
    ) -> CausalLMOutput[A]: ...

    @overload
    def __call__(
        self, input_ids: Given = None, attention_mask: Given = None, token_type_ids: Given = None,
        position_ids: Given = None, head_mask: Given = None, inputs_embeds: Given = None,
        encoder_hidden_states: Given = None, encoder_attention_mask: Given = None, labels: Given = None,
        past_key_values: Past[A] = None, use_cache: Flag = None,
        output_attentions: Flag = None, output_hidden_states: Flag = None,
        *, return_dict: Literal[False], positions: Given = None,
    ) -> tuple[Any, ...]: ...

    @entry
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the head; see `roberta.reference.inputs.Inputs` for the arguments and their shapes.

        Returns:
            `CausalLMOutput`: `loss` () where there are `labels` (B, T), `logits` (B, T, V), and of a decoder
            `past_key_values`. With `positions` (W, 2) the logits are (W, V).
            Besides, hidden states and attentions where they are asked for; with `return_dict=False` all as a tuple.

        Raises:
            ValueError: a shape, value or combination that the head cannot take; says which, and what to do.
            TypeError: an unknown argument, or one of the wrong kind.
        """

    if TYPE_CHECKING:
        forward = __call__

class RobertaForMaskedLM(
    Faced[
        A,
        "natives.numpy.NumpyRobertaForMaskedLM",
        "natives.numba.NumbaRobertaForMaskedLM",
        "natives.torch.TorchRobertaForMaskedLM",
        "natives.tensorflow.TFRobertaForMaskedLM",
        "natives.flax.FlaxRobertaForMaskedLM",
    ]
):
    """Each masked token is predicted from all the others.

    Equation: logits = W_v LayerNorm(gelu(W x + b)) + b_v; the loss is the mean cross-entropy where a label is not -100.

    Source: `roberta.reference.heads.masked_lm`.

    A model of the engine that is meant: `backend=`, else that of `use_backend`, `set_default_backend` or the
    environment, else NumPy. Arguments of the constructor and of `from_pretrained`: see `PublicModel`.

    Example:
        >>> from roberta import RobertaForMaskedLM, RobertaConfig
        >>> config = RobertaConfig(vocab_size=11, hidden_size=4, num_hidden_layers=1, num_attention_heads=2)
        >>> model = RobertaForMaskedLM(config, backend="numpy", seed=0)
        >>> model([[0, 5, 2]]).logits.shape
        (1, 3, 11)
    """

    head = "masked_lm"

    @overload
    def __call__(
        self, input_ids: Given = None, attention_mask: Given = None, token_type_ids: Given = None,
        position_ids: Given = None, head_mask: Given = None, inputs_embeds: Given = None,
        encoder_hidden_states: Given = None, encoder_attention_mask: Given = None, labels: Given = None,
        output_attentions: Flag = None, output_hidden_states: Flag = None,
        return_dict: Literal[True] | None = None, positions: Given = None,
    ) -> MaskedLMOutput[A]: ...

    @overload
    def __call__(
        self, input_ids: Given = None, attention_mask: Given = None, token_type_ids: Given = None,
        position_ids: Given = None, head_mask: Given = None, inputs_embeds: Given = None,
        encoder_hidden_states: Given = None, encoder_attention_mask: Given = None, labels: Given = None,
        output_attentions: Flag = None, output_hidden_states: Flag = None,
        *, return_dict: Literal[False], positions: Given = None,
    ) -> tuple[Any, ...]: ...

    @entry
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the head; see `roberta.reference.inputs.Inputs` for the arguments and their shapes.

        Returns:
            `MaskedLMOutput`: `loss` () where there are `labels` (B, T), `logits` (B, T, V). With `positions` (W, 2)
            the logits are (W, V), and the labels (W,).
            Besides, hidden states and attentions where they are asked for; with `return_dict=False` all as a tuple.

        Raises:
            ValueError: a shape, value or combination that the head cannot take; says which, and what to do.
            TypeError: an unknown argument, or one of the wrong kind.
        """

    if TYPE_CHECKING:
        forward = __call__

class RobertaForSequenceClassification(
    Faced[
        A,
        "natives.numpy.NumpyRobertaForSequenceClassification",
        "natives.numba.NumbaRobertaForSequenceClassification",
        "natives.torch.TorchRobertaForSequenceClassification",
        "natives.tensorflow.TFRobertaForSequenceClassification",
        "natives.flax.FlaxRobertaForSequenceClassification",
    ]
):
    """A label for the whole text, or, with one label, a number.

    Equation: logits = W_o tanh(W x_0 + b) + b_o; the loss goes by `config.problem_type`.

    Source: `roberta.reference.heads.sequence_classification`.

    A model of the engine that is meant: `backend=`, else that of `use_backend`, `set_default_backend` or the
    environment, else NumPy. Arguments of the constructor and of `from_pretrained`: see `PublicModel`.

    Example:
        >>> from roberta import RobertaForSequenceClassification, RobertaConfig
        >>> config = RobertaConfig(vocab_size=11, hidden_size=4, num_hidden_layers=1, num_attention_heads=2)
        >>> model = RobertaForSequenceClassification(config, backend="numpy", seed=0)
        >>> model([[0, 5, 2]]).logits.shape
        (1, 2)
    """

    head = "sequence_classification"

    @overload
    def __call__(
        self, input_ids: Given = None, attention_mask: Given = None, token_type_ids: Given = None,
        position_ids: Given = None, head_mask: Given = None, inputs_embeds: Given = None,
        labels: Given = None,
        output_attentions: Flag = None, output_hidden_states: Flag = None,
        return_dict: Literal[True] | None = None,
    ) -> SequenceClassifierOutput[A]: ...

    @overload
    def __call__(
        self, input_ids: Given = None, attention_mask: Given = None, token_type_ids: Given = None,
        position_ids: Given = None, head_mask: Given = None, inputs_embeds: Given = None,
        labels: Given = None,
        output_attentions: Flag = None, output_hidden_states: Flag = None,
        *, return_dict: Literal[False],
    ) -> tuple[Any, ...]: ...

    @entry
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the head; see `roberta.reference.inputs.Inputs` for the arguments and their shapes.

        Returns:
            `SequenceClassifierOutput`: `loss` () where there are `labels` (B,) or (B, L), `logits` (B, L).
            Besides, hidden states and attentions where they are asked for; with `return_dict=False` all as a tuple.

        Raises:
            ValueError: a shape, value or combination that the head cannot take; says which, and what to do.
            TypeError: an unknown argument, or one of the wrong kind.
        """

    if TYPE_CHECKING:
        forward = __call__

class RobertaForMultipleChoice(
    Faced[
        A,
        "natives.numpy.NumpyRobertaForMultipleChoice",
        "natives.numba.NumbaRobertaForMultipleChoice",
        "natives.torch.TorchRobertaForMultipleChoice",
        "natives.tensorflow.TFRobertaForMultipleChoice",
        "natives.flax.FlaxRobertaForMultipleChoice",
    ]
):
    """Which of C texts fits.

    Equation: logit of a choice = w · tanh(W x_0 + b) + b_o; the loss is the cross-entropy over the choices.

    Source: `roberta.reference.heads.multiple_choice`.

    A model of the engine that is meant: `backend=`, else that of `use_backend`, `set_default_backend` or the
    environment, else NumPy. Arguments of the constructor and of `from_pretrained`: see `PublicModel`.

    Example:
        >>> from roberta import RobertaForMultipleChoice, RobertaConfig
        >>> config = RobertaConfig(vocab_size=11, hidden_size=4, num_hidden_layers=1, num_attention_heads=2)
        >>> model = RobertaForMultipleChoice(config, backend="numpy", seed=0)
        >>> model([[[0, 5, 2], [0, 6, 2]]]).logits.shape
        (1, 2)
    """

    head = "multiple_choice"

    @overload
    def __call__(
        self, input_ids: Given = None, token_type_ids: Given = None, attention_mask: Given = None,
        labels: Given = None, position_ids: Given = None, head_mask: Given = None, inputs_embeds: Given = None,
        output_attentions: Flag = None, output_hidden_states: Flag = None,
        return_dict: Literal[True] | None = None,
    ) -> MultipleChoiceModelOutput[A]: ...

    @overload
    def __call__(
        self, input_ids: Given = None, token_type_ids: Given = None, attention_mask: Given = None,
        labels: Given = None, position_ids: Given = None, head_mask: Given = None, inputs_embeds: Given = None,
        output_attentions: Flag = None, output_hidden_states: Flag = None,
        *, return_dict: Literal[False],
    ) -> tuple[Any, ...]: ...

    @entry
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the head; see `roberta.reference.inputs.Inputs` for the arguments and their shapes.

        Returns:
            `MultipleChoiceModelOutput`: `loss` () where there are `labels` (B,), `logits` (B, C).
            Besides, hidden states and attentions where they are asked for; with `return_dict=False` all as a tuple.

        Raises:
            ValueError: a shape, value or combination that the head cannot take; says which, and what to do.
            TypeError: an unknown argument, or one of the wrong kind.
        """

    if TYPE_CHECKING:
        forward = __call__

class RobertaForTokenClassification(
    Faced[
        A,
        "natives.numpy.NumpyRobertaForTokenClassification",
        "natives.numba.NumbaRobertaForTokenClassification",
        "natives.torch.TorchRobertaForTokenClassification",
        "natives.tensorflow.TFRobertaForTokenClassification",
        "natives.flax.FlaxRobertaForTokenClassification",
    ]
):
    """A label for each token.

    Equation: logits = W x + b; the loss is the mean cross-entropy where a label is not -100.

    Source: `roberta.reference.heads.token_classification`.

    A model of the engine that is meant: `backend=`, else that of `use_backend`, `set_default_backend` or the
    environment, else NumPy. Arguments of the constructor and of `from_pretrained`: see `PublicModel`.

    Example:
        >>> from roberta import RobertaForTokenClassification, RobertaConfig
        >>> config = RobertaConfig(vocab_size=11, hidden_size=4, num_hidden_layers=1, num_attention_heads=2)
        >>> model = RobertaForTokenClassification(config, backend="numpy", seed=0)
        >>> model([[0, 5, 2]]).logits.shape
        (1, 3, 2)
    """

    head = "token_classification"

    @overload
    def __call__(
        self, input_ids: Given = None, attention_mask: Given = None, token_type_ids: Given = None,
        position_ids: Given = None, head_mask: Given = None, inputs_embeds: Given = None,
        labels: Given = None,
        output_attentions: Flag = None, output_hidden_states: Flag = None,
        return_dict: Literal[True] | None = None,
    ) -> TokenClassifierOutput[A]: ...

    @overload
    def __call__(
        self, input_ids: Given = None, attention_mask: Given = None, token_type_ids: Given = None,
        position_ids: Given = None, head_mask: Given = None, inputs_embeds: Given = None,
        labels: Given = None,
        output_attentions: Flag = None, output_hidden_states: Flag = None,
        *, return_dict: Literal[False],
    ) -> tuple[Any, ...]: ...

    @entry
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the head; see `roberta.reference.inputs.Inputs` for the arguments and their shapes.

        Returns:
            `TokenClassifierOutput`: `loss` () where there are `labels` (B, T), `logits` (B, T, L).
            Besides, hidden states and attentions where they are asked for; with `return_dict=False` all as a tuple.

        Raises:
            ValueError: a shape, value or combination that the head cannot take; says which, and what to do.
            TypeError: an unknown argument, or one of the wrong kind.
        """

    if TYPE_CHECKING:
        forward = __call__

class RobertaForQuestionAnswering(
    Faced[
        A,
        "natives.numpy.NumpyRobertaForQuestionAnswering",
        "natives.numba.NumbaRobertaForQuestionAnswering",
        "natives.torch.TorchRobertaForQuestionAnswering",
        "natives.tensorflow.TFRobertaForQuestionAnswering",
        "natives.flax.FlaxRobertaForQuestionAnswering",
    ]
):
    """Where an answer starts and ends.

    Equation: (start, end) logits = W x + b; the loss is the mean of the two cross-entropies.

    Source: `roberta.reference.heads.question_answering`.

    A model of the engine that is meant: `backend=`, else that of `use_backend`, `set_default_backend` or the
    environment, else NumPy. Arguments of the constructor and of `from_pretrained`: see `PublicModel`.

    Example:
        >>> from roberta import RobertaForQuestionAnswering, RobertaConfig
        >>> config = RobertaConfig(vocab_size=11, hidden_size=4, num_hidden_layers=1, num_attention_heads=2)
        >>> model = RobertaForQuestionAnswering(config, backend="numpy", seed=0)
        >>> model([[0, 5, 2]]).start_logits.shape
        (1, 3)
    """

    head = "question_answering"

    @overload
    def __call__(
        self, input_ids: Given = None, attention_mask: Given = None, token_type_ids: Given = None,
        position_ids: Given = None, head_mask: Given = None, inputs_embeds: Given = None,
        start_positions: Given = None, end_positions: Given = None,
        output_attentions: Flag = None, output_hidden_states: Flag = None,
        return_dict: Literal[True] | None = None,
    ) -> QuestionAnsweringModelOutput[A]: ...

    @overload
    def __call__(
        self, input_ids: Given = None, attention_mask: Given = None, token_type_ids: Given = None,
        position_ids: Given = None, head_mask: Given = None, inputs_embeds: Given = None,
        start_positions: Given = None, end_positions: Given = None,
        output_attentions: Flag = None, output_hidden_states: Flag = None,
        *, return_dict: Literal[False],
    ) -> tuple[Any, ...]: ...

    @entry
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the head; see `roberta.reference.inputs.Inputs` for the arguments and their shapes.

        Returns:
            `QuestionAnsweringModelOutput`: `loss` () where there are `start_positions` and `end_positions` (B,),
            `start_logits` and `end_logits` (B, T).
            Besides, hidden states and attentions where they are asked for; with `return_dict=False` all as a tuple.

        Raises:
            ValueError: a shape, value or combination that the head cannot take; says which, and what to do.
            TypeError: an unknown argument, or one of the wrong kind.
        """

    if TYPE_CHECKING:
        forward = __call__


#: Head -> its class.
FACES: dict[str, type[PublicModel[Any]]] = {
    "model": RobertaModel,
    "causal_lm": RobertaForCausalLM,
    "masked_lm": RobertaForMaskedLM,
    "sequence_classification": RobertaForSequenceClassification,
    "multiple_choice": RobertaForMultipleChoice,
    "token_classification": RobertaForTokenClassification,
    "question_answering": RobertaForQuestionAnswering,
}
