"""The seven classes under HF's names. Calling one gives a model of the engine that is meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..reference.config import RobertaConfig
from ..reference.parameters import CLASS_NAMES, HEADS
from . import registry
from .model import PublicModel, public_class
from .options import require_config


class _Face(type):
    """The metaclass of the seven names: calling builds the engine's model, and `isinstance` holds for all of them."""

    head: str

    def __call__(cls, config: RobertaConfig, backend: str | None = None, **options: Any) -> Any:
        require_config(config, cls.__name__)
        return cls.on(backend)(config, **options)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, PublicModel) and instance.head == cls.head

    def on(cls, backend: str | None = None) -> type[Any]:
        """The engine's own class of this head."""
        name = registry.canonical_name(backend) if backend else registry.get_default_backend()
        return public_class(cls.head, name)

    def from_pretrained(cls, folder_or_hub_id: str | Path, *, backend: str | None = None, **options: Any) -> Any:
        """Load a checkpoint on an engine; see `PublicModel.from_pretrained` for the options."""
        return cls.on(backend).from_pretrained(folder_or_hub_id, **options)


def _face(head: str, what: str) -> _Face:
    name = CLASS_NAMES[head]
    doc = f"""{what}

    `{name}(config, backend=None, seed=0, dtype=None, device=None)` gives a model of the engine that is meant, with
    seeded weights; `{name}.from_pretrained(folder, backend=None, dtype=None)` loads one. The equation is
    `roberta.reference.heads.{head}`; the arguments of the call are those of `roberta.reference.inputs.Inputs`.

    Example:
        >>> import roberta
        >>> model = roberta.{name}.from_pretrained("austen", backend="numpy", num_labels=2)  # doctest: +SKIP
    """
    return _Face(name, (), {"head": head, "__doc__": doc, "__module__": registry.PACKAGE})


RobertaModel = _face("model", "The bare model: hidden states and the pooled first token.")
RobertaForCausalLM = _face("causal_lm", "Each token predicts the next one.")
RobertaForMaskedLM = _face("masked_lm", "Each masked token is predicted from all the others.")
RobertaForSequenceClassification = _face("sequence_classification", "A label for the whole text.")
RobertaForMultipleChoice = _face("multiple_choice", "Which of several texts fits.")
RobertaForTokenClassification = _face("token_classification", "A label for each token.")
RobertaForQuestionAnswering = _face("question_answering", "Where an answer starts and ends.")

#: Head -> its class.
FACES: dict[str, _Face] = dict(
    zip(
        HEADS,
        (
            RobertaModel,
            RobertaForCausalLM,
            RobertaForMaskedLM,
            RobertaForSequenceClassification,
            RobertaForMultipleChoice,
            RobertaForTokenClassification,
            RobertaForQuestionAnswering,
        ),
        strict=True,
    )
)
