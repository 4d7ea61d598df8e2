"""roberta: an executable specification of RoBERTa, and the engines that are held to it.

Importing it imports no framework: names are looked up when they are used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import parity, plot, tasks, teaching
    from .dispatch.api import (
        RobertaForCausalLM,
        RobertaForMaskedLM,
        RobertaForMultipleChoice,
        RobertaForQuestionAnswering,
        RobertaForSequenceClassification,
        RobertaForTokenClassification,
        RobertaModel,
    )
    from .dispatch.family import (
        CamembertForCausalLM,
        CamembertForMaskedLM,
        CamembertForMultipleChoice,
        CamembertForQuestionAnswering,
        CamembertForSequenceClassification,
        CamembertForTokenClassification,
        CamembertModel,
        XLMRobertaForCausalLM,
        XLMRobertaForMaskedLM,
        XLMRobertaForMultipleChoice,
        XLMRobertaForQuestionAnswering,
        XLMRobertaForSequenceClassification,
        XLMRobertaForTokenClassification,
        XLMRobertaModel,
    )

    # isort: off
    from .dispatch.natives.flax import (
        FlaxRobertaForCausalLM as FlaxRobertaForCausalLM,
        FlaxRobertaForMaskedLM as FlaxRobertaForMaskedLM,
        FlaxRobertaForMultipleChoice as FlaxRobertaForMultipleChoice,
        FlaxRobertaForQuestionAnswering as FlaxRobertaForQuestionAnswering,
        FlaxRobertaForSequenceClassification as FlaxRobertaForSequenceClassification,
        FlaxRobertaForTokenClassification as FlaxRobertaForTokenClassification,
        FlaxRobertaModel as FlaxRobertaModel,
    )
    from .dispatch.natives.numba import (
        NumbaRobertaForCausalLM as NumbaRobertaForCausalLM,
        NumbaRobertaForMaskedLM as NumbaRobertaForMaskedLM,
        NumbaRobertaForMultipleChoice as NumbaRobertaForMultipleChoice,
        NumbaRobertaForQuestionAnswering as NumbaRobertaForQuestionAnswering,
        NumbaRobertaForSequenceClassification as NumbaRobertaForSequenceClassification,
        NumbaRobertaForTokenClassification as NumbaRobertaForTokenClassification,
        NumbaRobertaModel as NumbaRobertaModel,
    )
    from .dispatch.natives.numpy import (
        NumpyRobertaForCausalLM as NumpyRobertaForCausalLM,
        NumpyRobertaForMaskedLM as NumpyRobertaForMaskedLM,
        NumpyRobertaForMultipleChoice as NumpyRobertaForMultipleChoice,
        NumpyRobertaForQuestionAnswering as NumpyRobertaForQuestionAnswering,
        NumpyRobertaForSequenceClassification as NumpyRobertaForSequenceClassification,
        NumpyRobertaForTokenClassification as NumpyRobertaForTokenClassification,
        NumpyRobertaModel as NumpyRobertaModel,
    )
    from .dispatch.natives.tensorflow import (
        TFRobertaForCausalLM as TFRobertaForCausalLM,
        TFRobertaForMaskedLM as TFRobertaForMaskedLM,
        TFRobertaForMultipleChoice as TFRobertaForMultipleChoice,
        TFRobertaForQuestionAnswering as TFRobertaForQuestionAnswering,
        TFRobertaForSequenceClassification as TFRobertaForSequenceClassification,
        TFRobertaForTokenClassification as TFRobertaForTokenClassification,
        TFRobertaModel as TFRobertaModel,
    )
    from .dispatch.natives.torch import (
        TorchRobertaForCausalLM as TorchRobertaForCausalLM,
        TorchRobertaForMaskedLM as TorchRobertaForMaskedLM,
        TorchRobertaForMultipleChoice as TorchRobertaForMultipleChoice,
        TorchRobertaForQuestionAnswering as TorchRobertaForQuestionAnswering,
        TorchRobertaForSequenceClassification as TorchRobertaForSequenceClassification,
        TorchRobertaForTokenClassification as TorchRobertaForTokenClassification,
        TorchRobertaModel as TorchRobertaModel,
    )

    from .dispatch.natives.siblings import *  # noqa: F403

    # isort: on
    from .dispatch.registry import available_backends, get_default_backend, set_default_backend, use_backend
    from .dispatch.tokenizers import load_tokenizer
    from .reference.config import RobertaConfig
    from .reference.siblings import CamembertConfig, XLMRobertaConfig
    from .tasks import Predictor, fill_mask, task
    from .tokenizer import (
        CamembertTokenizer,
        CamembertTokenizerFast,
        RobertaTokenizer,
        RobertaTokenizerFast,
        XLMRobertaTokenizer,
        XLMRobertaTokenizerFast,
    )

__version__ = "0.1.0"
__all__ = [
    "CamembertConfig",
    "CamembertForCausalLM",
    "CamembertForMaskedLM",
    "CamembertForMultipleChoice",
    "CamembertForQuestionAnswering",
    "CamembertForSequenceClassification",
    "CamembertForTokenClassification",
    "CamembertModel",
    "CamembertTokenizer",
    "CamembertTokenizerFast",
    "Predictor",
    "RobertaConfig",
    "RobertaForCausalLM",
    "RobertaForMaskedLM",
    "RobertaForMultipleChoice",
    "RobertaForQuestionAnswering",
    "RobertaForSequenceClassification",
    "RobertaForTokenClassification",
    "RobertaModel",
    "RobertaTokenizer",
    "RobertaTokenizerFast",
    "XLMRobertaConfig",
    "XLMRobertaForCausalLM",
    "XLMRobertaForMaskedLM",
    "XLMRobertaForMultipleChoice",
    "XLMRobertaForQuestionAnswering",
    "XLMRobertaForSequenceClassification",
    "XLMRobertaForTokenClassification",
    "XLMRobertaModel",
    "XLMRobertaTokenizer",
    "XLMRobertaTokenizerFast",
    "available_backends",
    "fill_mask",
    "get_default_backend",
    "load_tokenizer",
    "parity",
    "plot",
    "set_default_backend",
    "task",
    "tasks",
    "teaching",
    "use_backend",
]

_HEADS = tuple(name for name in __all__ if name.endswith("Model") or "For" in name)
_TOKENIZERS = tuple(name for name in __all__ if name.endswith(("Tokenizer", "TokenizerFast")))
_HOMES = {
    **{name: ".dispatch.api" if name.startswith("Roberta") else ".dispatch.family" for name in _HEADS},
    **dict.fromkeys(("CamembertConfig", "XLMRobertaConfig"), ".reference.siblings"),
    **dict.fromkeys(
        ("available_backends", "get_default_backend", "set_default_backend", "use_backend"), ".dispatch.registry"
    ),
    **dict.fromkeys(("Predictor", "fill_mask", "task"), ".tasks"),
    "RobertaConfig": ".reference.config",
    "load_tokenizer": ".dispatch.tokenizers",
    **dict.fromkeys(_TOKENIZERS, ".tokenizer"),
}
#: Prefix -> engine: `roberta.TorchRobertaForMaskedLM` is the native class, for subclassing and unpickling.
_PREFIXES = {"Torch": "torch", "TF": "tensorflow", "Numpy": "numpy", "Numba": "numba", "Flax": "flax"}


if not TYPE_CHECKING:  # what is not there is an error to a checker, too

    def __getattr__(name: str) -> Any:
        if name in _HOMES:
            return getattr(import_module(_HOMES[name], __name__), name)
        if name in ("parity", "plot", "tasks", "teaching"):
            return import_module(f".{name}", __name__)
        for prefix, backend in _PREFIXES.items():
            if name.removeprefix(prefix) in _HEADS and name.startswith(prefix):
                face = name.removeprefix(prefix)
                return getattr(import_module(_HOMES[face], __name__), face).on(backend)
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)


def __dir__() -> list[str]:
    return [*__all__, *(prefix + head for prefix in _PREFIXES for head in _HEADS)]
