"""The seven heads on TensorFlow: each is a `keras.Model`."""
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false
# What the framework's class says of `train`, say, is less than what the first base says.

from __future__ import annotations

from ...backends.tensorflow import Array, heads
from .. import api
from ..signatures import Native, NativeBody


class TFRobertaModel(NativeBody, api.RobertaModel[Array], heads.Model, engine="tensorflow"):
    """`RobertaModel` as a `keras.Model`."""


class TFRobertaForCausalLM(Native, api.RobertaForCausalLM[Array], heads.CausalLM, engine="tensorflow"):
    """`RobertaForCausalLM` as a `keras.Model`."""


class TFRobertaForMaskedLM(Native, api.RobertaForMaskedLM[Array], heads.MaskedLM, engine="tensorflow"):
    """`RobertaForMaskedLM` as a `keras.Model`."""


class TFRobertaForSequenceClassification(
    Native, api.RobertaForSequenceClassification[Array], heads.SequenceClassification, engine="tensorflow"
):
    """`RobertaForSequenceClassification` as a `keras.Model`."""


class TFRobertaForMultipleChoice(
    Native, api.RobertaForMultipleChoice[Array], heads.MultipleChoice, engine="tensorflow"
):
    """`RobertaForMultipleChoice` as a `keras.Model`."""


class TFRobertaForTokenClassification(
    Native, api.RobertaForTokenClassification[Array], heads.TokenClassification, engine="tensorflow"
):
    """`RobertaForTokenClassification` as a `keras.Model`."""


class TFRobertaForQuestionAnswering(
    Native, api.RobertaForQuestionAnswering[Array], heads.QuestionAnswering, engine="tensorflow"
):
    """`RobertaForQuestionAnswering` as a `keras.Model`."""
