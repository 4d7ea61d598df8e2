"""The seven heads on NumPy: the spec itself."""
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false
# What the framework's class says of `train`, say, is less than what the first base says.

from __future__ import annotations

from ...backends.numpy import Array, heads
from .. import api
from ..signatures import Native, NativeBody


class NumpyRobertaModel(NativeBody, api.RobertaModel[Array], heads.Model, engine="numpy"):
    """`RobertaModel` on NumPy."""


class NumpyRobertaForCausalLM(Native, api.RobertaForCausalLM[Array], heads.CausalLM, engine="numpy"):
    """`RobertaForCausalLM` on NumPy."""


class NumpyRobertaForMaskedLM(Native, api.RobertaForMaskedLM[Array], heads.MaskedLM, engine="numpy"):
    """`RobertaForMaskedLM` on NumPy."""


class NumpyRobertaForSequenceClassification(
    Native, api.RobertaForSequenceClassification[Array], heads.SequenceClassification, engine="numpy"
):
    """`RobertaForSequenceClassification` on NumPy."""


class NumpyRobertaForMultipleChoice(Native, api.RobertaForMultipleChoice[Array], heads.MultipleChoice, engine="numpy"):
    """`RobertaForMultipleChoice` on NumPy."""


class NumpyRobertaForTokenClassification(
    Native, api.RobertaForTokenClassification[Array], heads.TokenClassification, engine="numpy"
):
    """`RobertaForTokenClassification` on NumPy."""


class NumpyRobertaForQuestionAnswering(
    Native, api.RobertaForQuestionAnswering[Array], heads.QuestionAnswering, engine="numpy"
):
    """`RobertaForQuestionAnswering` on NumPy."""
