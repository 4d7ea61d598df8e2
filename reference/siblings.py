"""The configurations of the families that are RoBERTa under another name: other defaults, another `model_type`."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from .config import RobertaConfig
from .family import MEMBERS

__all__ = ["CONFIGS", "CamembertConfig", "XLMRobertaConfig"]


class CamembertConfig(RobertaConfig):
    """What a CamemBERT is, in numbers: `RobertaConfig` with a vocabulary of 30,522 unless it is said.

    (camembert-base itself has `vocab_size=32005`, `max_position_embeddings=514`, `type_vocab_size=1`,
    `layer_norm_eps=1e-5`, `bos_token_id=5` and `eos_token_id=6`; its config.json says so.)

    Source: Martin et al. (2020), "CamemBERT: a Tasty French Language Model"; HF `CamembertConfig` @ 4.57.6.

    Example:
        >>> CamembertConfig().vocab_size, CamembertConfig().model_type
        (30522, 'camembert')
    """

    model_type = "camembert"

    if not TYPE_CHECKING:

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **_completed(self.model_type, args, kwargs))


class XLMRobertaConfig(RobertaConfig):
    """What an XLM-RoBERTa is, in numbers: `RobertaConfig` with a vocabulary of 30,522 unless it is said.

    (xlm-roberta-base itself has `vocab_size=250002`, `max_position_embeddings=514`, `type_vocab_size=1` and
    `layer_norm_eps=1e-5`; its config.json says so.)

    Source: Conneau et al. (2020), "Unsupervised Cross-lingual Representation Learning at Scale"; HF
    `XLMRobertaConfig` @ 4.57.6.

    Example:
        >>> XLMRobertaConfig(vocab_size=100, hidden_size=8, num_attention_heads=2).model_type
        'xlm-roberta'
    """

    model_type = "xlm-roberta"

    if not TYPE_CHECKING:

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **_completed(self.model_type, args, kwargs))


#: `model_type` -> the class of its configurations.
CONFIGS: dict[str, type[RobertaConfig]] = {
    "roberta": RobertaConfig,
    "camembert": CamembertConfig,
    "xlm-roberta": XLMRobertaConfig,
}


def _completed(model_type: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments with the family's defaults where none is given; the vocabulary is the first position."""
    return kwargs if args else {**MEMBERS[model_type].defaults, **kwargs}


def _signature(kind: type[RobertaConfig]) -> inspect.Signature:
    """RobertaConfig's, with the family's defaults."""
    written, defaults = inspect.signature(RobertaConfig), MEMBERS[kind.model_type].defaults
    parameters = [
        parameter.replace(default=defaults.get(name, parameter.default))
        for name, parameter in written.parameters.items()
    ]
    return written.replace(parameters=parameters)


for _kind in (CamembertConfig, XLMRobertaConfig):
    _kind.__signature__ = _signature(_kind)  # pyright: ignore[reportAttributeAccessIssue]
