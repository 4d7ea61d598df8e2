"""The seven heads on PyTorch: each is a `torch.nn.Module`."""
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false
# What the framework's class says of `train`, say, is less than what the first base says.

from __future__ import annotations

from ...backends.pytorch import Array, heads
from .. import api
from ..signatures import Native, NativeBody


class TorchRobertaModel(NativeBody, api.RobertaModel[Array], heads.Model, engine="torch"):
    """`RobertaModel` as a `torch.nn.Module`."""


class TorchRobertaForCausalLM(Native, api.RobertaForCausalLM[Array], heads.CausalLM, engine="torch"):
    """`RobertaForCausalLM` as a `torch.nn.Module`."""


class TorchRobertaForMaskedLM(Native, api.RobertaForMaskedLM[Array], heads.MaskedLM, engine="torch"):
    """`RobertaForMaskedLM` as a `torch.nn.Module`."""


class TorchRobertaForSequenceClassification(
    Native, api.RobertaForSequenceClassification[Array], heads.SequenceClassification, engine="torch"
):
    """`RobertaForSequenceClassification` as a `torch.nn.Module`."""


class TorchRobertaForMultipleChoice(Native, api.RobertaForMultipleChoice[Array], heads.MultipleChoice, engine="torch"):
    """`RobertaForMultipleChoice` as a `torch.nn.Module`."""


class TorchRobertaForTokenClassification(
    Native, api.RobertaForTokenClassification[Array], heads.TokenClassification, engine="torch"
):
    """`RobertaForTokenClassification` as a `torch.nn.Module`."""


class TorchRobertaForQuestionAnswering(
    Native, api.RobertaForQuestionAnswering[Array], heads.QuestionAnswering, engine="torch"
):
    """`RobertaForQuestionAnswering` as a `torch.nn.Module`."""
