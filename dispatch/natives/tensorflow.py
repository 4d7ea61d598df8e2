"""The seven heads on TensorFlow: each is a `keras.Model`."""
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false
# What the framework's class says of `train`, say, is less than what the first base says.

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

from ...backends.tensorflow import Array, heads
from ...reference import outputs
from ...reference.arrays import Flag, Given
from ...reference.attention import Cache
from .. import api
from ..signatures import Native, NativeBody

#: All arguments by their names, as Keras hands over a batch.
Batch: TypeAlias = "Mapping[str, Given]"
Past: TypeAlias = "Cache[Array] | tuple[tuple[Array, ...], ...] | None"

# fmt: off


class TFRobertaModel(
    NativeBody, api.RobertaModel[Array], heads.Model, engine="tensorflow"
):
    """`RobertaModel` as a `keras.Model`."""

    if TYPE_CHECKING:

        @overload
        def __call__(
            self, input_ids: Given | Batch = None, attention_mask: Given = None, token_type_ids: Given = None,
            position_ids: Given = None, head_mask: Given = None, inputs_embeds: Given = None,
            encoder_hidden_states: Given = None, encoder_attention_mask: Given = None,
            past_key_values: Past = None, use_cache: Flag = None,
            output_attentions: Flag = None, output_hidden_states: Flag = None,
            return_dict: Literal[True] | None = None, *, training: Flag = None,
        ) -> outputs.BaseModelOutput[Array]: ...

        @overload
        def __call__(
            self, input_ids: Given | Batch = None, attention_mask: Given = None, token_type_ids: Given = None,
            position_ids: Given = None, head_mask: Given = None, inputs_embeds: Given = None,
            encoder_hidden_states: Given = None, encoder_attention_mask: Given = None,
            past_key_values: Past = None, use_cache: Flag = None,
            output_attentions: Flag = None, output_hidden_states: Flag = None,
            *, return_dict: Literal[False], training: Flag = None,
        ) -> tuple[Any, ...]: ...

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            """The call, with what Keras has besides: `training`, and a mapping of all arguments in the first."""


class TFRobertaForCausalLM(
    Native, api.RobertaForCausalLM[Array], heads.CausalLM, engine="tensorflow"
):
    """`RobertaForCausalLM` as a `keras.Model`."""

    if TYPE_CHECKING:

        @overload
        def __call__(
            self, input_ids: Given | Batch = None, attention_mask: Given = None, token_type_ids: Given = None,
            position_ids: Given = None, head_mask: Given = None, inputs_embeds: Given = None,
            encoder_hidden_states: Given = None, encoder_attention_mask: Given = None, labels: Given = None,
            past_key_values: Past = None, use_cache: Flag = None,
            output_attentions: Flag = None, output_hidden_states: Flag = None,
            return_dict: Literal[True] | None = None, positions: Given = None, *, training: Flag = None,
        ) -> outputs.CausalLMOutput[Array]: ...

        @overload
        def __call__(
            self, input_ids: Given | Batch = None, attention_mask: Given = None, token_type_ids: Given = None,
            position_ids: Given = None, head_mask: Given = None, inputs_embeds: Given = None,
            encoder_hidden_states: Given = None, encoder_attention_mask: Given = None, labels: Given = None,
            past_key_values: Past = None, use_cache: Flag = None,
            output_attentions: Flag = None, output_hidden_states: Flag = None,
            *, return_dict: Literal[False], positions: Given = None, training: Flag = None,
        ) -> tuple[Any, ...]: ...

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            """The call, with what Keras has besides: `training`, and a mapping of all arguments in the first."""


class TFRobertaForMaskedLM(
    Native, api.RobertaForMaskedLM[Array], heads.MaskedLM, engine="tensorflow"
):
    """`RobertaForMaskedLM` as a `keras.Model`."""

    if TYPE_CHECKING:

        @overload
        def __call__(
            self, input_ids: Given | Batch = None, attention_mask: Given = None, token_type_ids: Given = None,
            position_ids: Given = None, head_mask: Given = None, inputs_embeds: Given = None,
            encoder_hidden_states: Given = None, encoder_attention_mask: Given = None, labels: Given = None,
            output_attentions: Flag = None, output_hidden_states: Flag = None,
            return_dict: Literal[True] | None = None, positions: Given = None, *, training: Flag = None,
        ) -> outputs.MaskedLMOutput[Array]: ...

        @overload
        def __call__(
            self, input_ids: Given | Batch = None, attention_mask: Given = None, token_type_ids: Given = None,
            position_ids: Given = None, head_mask: Given = None, inputs_embeds: Given = None,
            encoder_hidden_states: Given = None, encoder_attention_mask: Given = None, labels: Given = None,
            output_attentions: Flag = None, output_hidden_states: Flag = None,
            *, return_dict: Literal[False], positions: Given = None, training: Flag = None,
        ) -> tuple[Any, ...]: ...

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            """The call, with what Keras has besides: `training`, and a mapping of all arguments in the first."""


class TFRobertaForSequenceClassification(
    Native, api.RobertaForSequenceClassification[Array], heads.SequenceClassification, engine="tensorflow"
):
    """`RobertaForSequenceClassification` as a `keras.Model`."""

    if TYPE_CHECKING:

        @overload
        def __call__(
            self, input_ids: Given | Batch = None, attention_mask: Given = None, token_type_ids: Given = None,
            position_ids: Given = None, head_mask: Given = None, inputs_embeds: Given = None,
            labels: Given = None,
            output_attentions: Flag = None, output_hidden_states: Flag = None,
            return_dict: Literal[True] | None = None, *, training: Flag = None,
        ) -> outputs.SequenceClassifierOutput[Array]: ...

        @overload
        def __call__(
            self, input_ids: Given | Batch = None, attention_mask: Given = None, token_type_ids: Given = None,
            position_ids: Given = None, head_mask: Given = None, inputs_embeds: Given = None,
            labels: Given = None,
            output_attentions: Flag = None, output_hidden_states: Flag = None,
            *, return_dict: Literal[False], training: Flag = None,
        ) -> tuple[Any, ...]: ...

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            """The call, with what Keras has besides: `training`, and a mapping of all arguments in the first."""


class TFRobertaForMultipleChoice(
    Native, api.RobertaForMultipleChoice[Array], heads.MultipleChoice, engine="tensorflow"
):
    """`RobertaForMultipleChoice` as a `keras.Model`."""

    if TYPE_CHECKING:

        @overload
        def __call__(
            self, input_ids: Given | Batch = None, token_type_ids: Given = None, attention_mask: Given = None,
            labels: Given = None, position_ids: Given = None, head_mask: Given = None, inputs_embeds: Given = None,
            output_attentions: Flag = None, output_hidden_states: Flag = None,
            return_dict: Literal[True] | None = None, *, training: Flag = None,
        ) -> outputs.MultipleChoiceModelOutput[Array]: ...

        @overload
        def __call__(
            self, input_ids: Given | Batch = None, token_type_ids: Given = None, attention_mask: Given = None,
            labels: Given = None, position_ids: Given = None, head_mask: Given = None, inputs_embeds: Given = None,
            output_attentions: Flag = None, output_hidden_states: Flag = None,
            *, return_dict: Literal[False], training: Flag = None,
        ) -> tuple[Any, ...]: ...

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            """The call, with what Keras has besides: `training`, and a mapping of all arguments in the first."""


class TFRobertaForTokenClassification(
    Native, api.RobertaForTokenClassification[Array], heads.TokenClassification, engine="tensorflow"
):
    """`RobertaForTokenClassification` as a `keras.Model`."""

    if TYPE_CHECKING:

        @overload
        def __call__(
            self, input_ids: Given | Batch = None, attention_mask: Given = None, token_type_ids: Given = None,
            position_ids: Given = None, head_mask: Given = None, inputs_embeds: Given = None,
            labels: Given = None,
            output_attentions: Flag = None, output_hidden_states: Flag = None,
            return_dict: Literal[True] | None = None, *, training: Flag = None,
        ) -> outputs.TokenClassifierOutput[Array]: ...

        @overload
        def __call__(
            self, input_ids: Given | Batch = None, attention_mask: Given = None, token_type_ids: Given = None,
            position_ids: Given = None, head_mask: Given = None, inputs_embeds: Given = None,
            labels: Given = None,
            output_attentions: Flag = None, output_hidden_states: Flag = None,
            *, return_dict: Literal[False], training: Flag = None,
        ) -> tuple[Any, ...]: ...

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            """The call, with what Keras has besides: `training`, and a mapping of all arguments in the first."""


class TFRobertaForQuestionAnswering(
    Native, api.RobertaForQuestionAnswering[Array], heads.QuestionAnswering, engine="tensorflow"
):
    """`RobertaForQuestionAnswering` as a `keras.Model`."""

    if TYPE_CHECKING:

        @overload
        def __call__(
            self, input_ids: Given | Batch = None, attention_mask: Given = None, token_type_ids: Given = None,
            position_ids: Given = None, head_mask: Given = None, inputs_embeds: Given = None,
            start_positions: Given = None, end_positions: Given = None,
            output_attentions: Flag = None, output_hidden_states: Flag = None,
            return_dict: Literal[True] | None = None, *, training: Flag = None,
        ) -> outputs.QuestionAnsweringModelOutput[Array]: ...

        @overload
        def __call__(
            self, input_ids: Given | Batch = None, attention_mask: Given = None, token_type_ids: Given = None,
            position_ids: Given = None, head_mask: Given = None, inputs_embeds: Given = None,
            start_positions: Given = None, end_positions: Given = None,
            output_attentions: Flag = None, output_hidden_states: Flag = None,
            *, return_dict: Literal[False], training: Flag = None,
        ) -> tuple[Any, ...]: ...

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            """The call, with what Keras has besides: `training`, and a mapping of all arguments in the first."""
