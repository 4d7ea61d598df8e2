"""The seven heads on Numba: NumPy arrays, compiled."""
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false
# What the framework's class says of `train`, say, is less than what the first base says.

from __future__ import annotations

from ...backends.numba import Array, heads
from .. import api
from ..signatures import Native, NativeBody


class NumbaRobertaModel(NativeBody, api.RobertaModel[Array], heads.Model, engine="numba"):
    """`RobertaModel` on Numba."""


class NumbaRobertaForCausalLM(Native, api.RobertaForCausalLM[Array], heads.CausalLM, engine="numba"):
    """`RobertaForCausalLM` on Numba."""


class NumbaRobertaForMaskedLM(Native, api.RobertaForMaskedLM[Array], heads.MaskedLM, engine="numba"):
    """`RobertaForMaskedLM` on Numba."""


class NumbaRobertaForSequenceClassification(
    Native, api.RobertaForSequenceClassification[Array], heads.SequenceClassification, engine="numba"
):
    """`RobertaForSequenceClassification` on Numba."""


class NumbaRobertaForMultipleChoice(Native, api.RobertaForMultipleChoice[Array], heads.MultipleChoice, engine="numba"):
    """`RobertaForMultipleChoice` on Numba."""


class NumbaRobertaForTokenClassification(
    Native, api.RobertaForTokenClassification[Array], heads.TokenClassification, engine="numba"
):
    """`RobertaForTokenClassification` on Numba."""


class NumbaRobertaForQuestionAnswering(
    Native, api.RobertaForQuestionAnswering[Array], heads.QuestionAnswering, engine="numba"
):
    """`RobertaForQuestionAnswering` on Numba."""
