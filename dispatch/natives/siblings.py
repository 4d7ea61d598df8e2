"""What a type checker is told of CamemBERT's and XLM-RoBERTa's classes of one engine: they are RoBERTa's.

At run time it is empty: `roberta.TFCamembertForMaskedLM` is made when it is asked for, a subclass of both
`CamembertForMaskedLM` and `TFRobertaForMaskedLM`.
"""
# ruff: noqa: F401  # it hands names on, which are there for a checker only
# isort: skip_file
# pyright: reportUnusedImport=false, reportUnsupportedDunderAll=false

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .flax import (
        FlaxRobertaForCausalLM as FlaxCamembertForCausalLM,
        FlaxRobertaForMaskedLM as FlaxCamembertForMaskedLM,
        FlaxRobertaForMultipleChoice as FlaxCamembertForMultipleChoice,
        FlaxRobertaForQuestionAnswering as FlaxCamembertForQuestionAnswering,
        FlaxRobertaForSequenceClassification as FlaxCamembertForSequenceClassification,
        FlaxRobertaForTokenClassification as FlaxCamembertForTokenClassification,
        FlaxRobertaModel as FlaxCamembertModel,
        FlaxRobertaForCausalLM as FlaxXLMRobertaForCausalLM,
        FlaxRobertaForMaskedLM as FlaxXLMRobertaForMaskedLM,
        FlaxRobertaForMultipleChoice as FlaxXLMRobertaForMultipleChoice,
        FlaxRobertaForQuestionAnswering as FlaxXLMRobertaForQuestionAnswering,
        FlaxRobertaForSequenceClassification as FlaxXLMRobertaForSequenceClassification,
        FlaxRobertaForTokenClassification as FlaxXLMRobertaForTokenClassification,
        FlaxRobertaModel as FlaxXLMRobertaModel,
    )
    from .numba import (
        NumbaRobertaForCausalLM as NumbaCamembertForCausalLM,
        NumbaRobertaForMaskedLM as NumbaCamembertForMaskedLM,
        NumbaRobertaForMultipleChoice as NumbaCamembertForMultipleChoice,
        NumbaRobertaForQuestionAnswering as NumbaCamembertForQuestionAnswering,
        NumbaRobertaForSequenceClassification as NumbaCamembertForSequenceClassification,
        NumbaRobertaForTokenClassification as NumbaCamembertForTokenClassification,
        NumbaRobertaModel as NumbaCamembertModel,
        NumbaRobertaForCausalLM as NumbaXLMRobertaForCausalLM,
        NumbaRobertaForMaskedLM as NumbaXLMRobertaForMaskedLM,
        NumbaRobertaForMultipleChoice as NumbaXLMRobertaForMultipleChoice,
        NumbaRobertaForQuestionAnswering as NumbaXLMRobertaForQuestionAnswering,
        NumbaRobertaForSequenceClassification as NumbaXLMRobertaForSequenceClassification,
        NumbaRobertaForTokenClassification as NumbaXLMRobertaForTokenClassification,
        NumbaRobertaModel as NumbaXLMRobertaModel,
    )
    from .numpy import (
        NumpyRobertaForCausalLM as NumpyCamembertForCausalLM,
        NumpyRobertaForMaskedLM as NumpyCamembertForMaskedLM,
        NumpyRobertaForMultipleChoice as NumpyCamembertForMultipleChoice,
        NumpyRobertaForQuestionAnswering as NumpyCamembertForQuestionAnswering,
        NumpyRobertaForSequenceClassification as NumpyCamembertForSequenceClassification,
        NumpyRobertaForTokenClassification as NumpyCamembertForTokenClassification,
        NumpyRobertaModel as NumpyCamembertModel,
        NumpyRobertaForCausalLM as NumpyXLMRobertaForCausalLM,
        NumpyRobertaForMaskedLM as NumpyXLMRobertaForMaskedLM,
        NumpyRobertaForMultipleChoice as NumpyXLMRobertaForMultipleChoice,
        NumpyRobertaForQuestionAnswering as NumpyXLMRobertaForQuestionAnswering,
        NumpyRobertaForSequenceClassification as NumpyXLMRobertaForSequenceClassification,
        NumpyRobertaForTokenClassification as NumpyXLMRobertaForTokenClassification,
        NumpyRobertaModel as NumpyXLMRobertaModel,
    )
    from .tensorflow import (
        TFRobertaForCausalLM as TFCamembertForCausalLM,
        TFRobertaForMaskedLM as TFCamembertForMaskedLM,
        TFRobertaForMultipleChoice as TFCamembertForMultipleChoice,
        TFRobertaForQuestionAnswering as TFCamembertForQuestionAnswering,
        TFRobertaForSequenceClassification as TFCamembertForSequenceClassification,
        TFRobertaForTokenClassification as TFCamembertForTokenClassification,
        TFRobertaModel as TFCamembertModel,
        TFRobertaForCausalLM as TFXLMRobertaForCausalLM,
        TFRobertaForMaskedLM as TFXLMRobertaForMaskedLM,
        TFRobertaForMultipleChoice as TFXLMRobertaForMultipleChoice,
        TFRobertaForQuestionAnswering as TFXLMRobertaForQuestionAnswering,
        TFRobertaForSequenceClassification as TFXLMRobertaForSequenceClassification,
        TFRobertaForTokenClassification as TFXLMRobertaForTokenClassification,
        TFRobertaModel as TFXLMRobertaModel,
    )
    from .torch import (
        TorchRobertaForCausalLM as TorchCamembertForCausalLM,
        TorchRobertaForMaskedLM as TorchCamembertForMaskedLM,
        TorchRobertaForMultipleChoice as TorchCamembertForMultipleChoice,
        TorchRobertaForQuestionAnswering as TorchCamembertForQuestionAnswering,
        TorchRobertaForSequenceClassification as TorchCamembertForSequenceClassification,
        TorchRobertaForTokenClassification as TorchCamembertForTokenClassification,
        TorchRobertaModel as TorchCamembertModel,
        TorchRobertaForCausalLM as TorchXLMRobertaForCausalLM,
        TorchRobertaForMaskedLM as TorchXLMRobertaForMaskedLM,
        TorchRobertaForMultipleChoice as TorchXLMRobertaForMultipleChoice,
        TorchRobertaForQuestionAnswering as TorchXLMRobertaForQuestionAnswering,
        TorchRobertaForSequenceClassification as TorchXLMRobertaForSequenceClassification,
        TorchRobertaForTokenClassification as TorchXLMRobertaForTokenClassification,
        TorchRobertaModel as TorchXLMRobertaModel,
    )
