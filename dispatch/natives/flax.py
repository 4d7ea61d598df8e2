"""The seven heads on Flax: each is an `nnx.Module`."""
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false, reportGeneralTypeIssues=false
# What the framework's class says of `train`, say, is less than what the first base says.

from __future__ import annotations

from ...backends.flax import Array, heads
from .. import api
from ..faces import metaclass_of
from ..signatures import Native, NativeBody

#: NNX's modules have a metaclass, too, which is joined with ours as the file is read: a checker cannot know.
Meta = metaclass_of(heads.Model)


class FlaxRobertaModel(NativeBody, api.RobertaModel[Array], heads.Model, metaclass=Meta, engine="flax"):
    """`RobertaModel` as an `nnx.Module`."""


class FlaxRobertaForCausalLM(Native, api.RobertaForCausalLM[Array], heads.CausalLM, metaclass=Meta, engine="flax"):
    """`RobertaForCausalLM` as an `nnx.Module`."""


class FlaxRobertaForMaskedLM(Native, api.RobertaForMaskedLM[Array], heads.MaskedLM, metaclass=Meta, engine="flax"):
    """`RobertaForMaskedLM` as an `nnx.Module`."""


class FlaxRobertaForSequenceClassification(
    Native, api.RobertaForSequenceClassification[Array], heads.SequenceClassification, metaclass=Meta, engine="flax"
):
    """`RobertaForSequenceClassification` as an `nnx.Module`."""


class FlaxRobertaForMultipleChoice(
    Native, api.RobertaForMultipleChoice[Array], heads.MultipleChoice, metaclass=Meta, engine="flax"
):
    """`RobertaForMultipleChoice` as an `nnx.Module`."""


class FlaxRobertaForTokenClassification(
    Native, api.RobertaForTokenClassification[Array], heads.TokenClassification, metaclass=Meta, engine="flax"
):
    """`RobertaForTokenClassification` as an `nnx.Module`."""


class FlaxRobertaForQuestionAnswering(
    Native, api.RobertaForQuestionAnswering[Array], heads.QuestionAnswering, metaclass=Meta, engine="flax"
):
    """`RobertaForQuestionAnswering` as an `nnx.Module`."""
