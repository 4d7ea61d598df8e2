"""CamemBERT and XLM-RoBERTa: `roberta.dispatch.api`'s seven classes under the names of their siblings.

They compute the same, take and give the same, and load each other's folders. What differs is what `save_pretrained`
writes: the `model_type` of the class's configuration, and the class's name. Calling one gives a model of the engine
that is meant; `TFCamembertForMaskedLM` and the like are those of one engine.
"""

from __future__ import annotations

from ..reference.arrays import A
from ..reference.siblings import CamembertConfig, XLMRobertaConfig
from . import api


class CamembertModel(api.RobertaModel[A]):
    """`RobertaModel` under CamemBERT's name: the bare model."""

    is_sibling = True
    config_class = CamembertConfig


class CamembertForCausalLM(api.RobertaForCausalLM[A]):
    """`RobertaForCausalLM` under CamemBERT's name: each token predicts the next one."""

    is_sibling = True
    config_class = CamembertConfig


class CamembertForMaskedLM(api.RobertaForMaskedLM[A]):
    """`RobertaForMaskedLM` under CamemBERT's name: masked tokens are guessed."""

    is_sibling = True
    config_class = CamembertConfig


class CamembertForSequenceClassification(api.RobertaForSequenceClassification[A]):
    """`RobertaForSequenceClassification` under CamemBERT's name: a label for the whole text."""

    is_sibling = True
    config_class = CamembertConfig


class CamembertForMultipleChoice(api.RobertaForMultipleChoice[A]):
    """`RobertaForMultipleChoice` under CamemBERT's name: which of several texts fits."""

    is_sibling = True
    config_class = CamembertConfig


class CamembertForTokenClassification(api.RobertaForTokenClassification[A]):
    """`RobertaForTokenClassification` under CamemBERT's name: a label for each token."""

    is_sibling = True
    config_class = CamembertConfig


class CamembertForQuestionAnswering(api.RobertaForQuestionAnswering[A]):
    """`RobertaForQuestionAnswering` under CamemBERT's name: where an answer begins and ends."""

    is_sibling = True
    config_class = CamembertConfig


class XLMRobertaModel(api.RobertaModel[A]):
    """`RobertaModel` under XLM-RoBERTa's name: the bare model."""

    is_sibling = True
    config_class = XLMRobertaConfig


class XLMRobertaForCausalLM(api.RobertaForCausalLM[A]):
    """`RobertaForCausalLM` under XLM-RoBERTa's name: each token predicts the next one."""

    is_sibling = True
    config_class = XLMRobertaConfig


class XLMRobertaForMaskedLM(api.RobertaForMaskedLM[A]):
    """`RobertaForMaskedLM` under XLM-RoBERTa's name: masked tokens are guessed."""

    is_sibling = True
    config_class = XLMRobertaConfig


class XLMRobertaForSequenceClassification(api.RobertaForSequenceClassification[A]):
    """`RobertaForSequenceClassification` under XLM-RoBERTa's name: a label for the whole text."""

    is_sibling = True
    config_class = XLMRobertaConfig


class XLMRobertaForMultipleChoice(api.RobertaForMultipleChoice[A]):
    """`RobertaForMultipleChoice` under XLM-RoBERTa's name: which of several texts fits."""

    is_sibling = True
    config_class = XLMRobertaConfig


class XLMRobertaForTokenClassification(api.RobertaForTokenClassification[A]):
    """`RobertaForTokenClassification` under XLM-RoBERTa's name: a label for each token."""

    is_sibling = True
    config_class = XLMRobertaConfig


class XLMRobertaForQuestionAnswering(api.RobertaForQuestionAnswering[A]):
    """`RobertaForQuestionAnswering` under XLM-RoBERTa's name: where an answer begins and ends."""

    is_sibling = True
    config_class = XLMRobertaConfig
