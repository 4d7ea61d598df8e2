"""The two questions: do our engines agree with the spec, and does yours?"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from ..dispatch import checkpoint, registry
from ..dispatch.api import FACES
from ..dispatch.model import PublicModel
from ..reference.config import RobertaConfig
from ..reference.fields import ConfigOverrides
from ..reference.parameters import HEADS
from . import texts
from .cases import Case, draw_inputs
from .compare import compare_outputs, first_departure
from .report import Report, Row
from .tolerances import PRECISIONS, Budget, budgets, flat_outputs

Candidate = Callable[..., Mapping[str, Any]]


def check(
    checkpoint_or_model: Any = checkpoint.DEFAULT_CHECKPOINT,
    backends: Sequence[str] | None = None,
    heads: Sequence[str] | None = None,
    dtype: str = "float32",
) -> Report:
    """Hold engines against the spec: every head of a checkpoint, on every engine, within a derived budget.

    Heads that the checkpoint lacks get seeded weights, and their rows say so. The inputs are padded rows of text (of
    drawn ids, where the checkpoint has no vocabulary), with labels, and all hidden states are compared.

    Args:
        checkpoint_or_model: a folder, a shipped checkpoint's name, an id on the hub, or a model.
        backends: engines; None for all that are available.
        heads: such as "masked_lm"; None for all seven. A model has its own only.
        dtype: the engines' precision. Engines that lack it are an error if named, else left out.

    Returns:
        `Report`, with `.passed`, `.rows`, `.table()` and `.to_json()`.

    Raises:
        ValueError: an unknown head, engine or dtype, or another head than the model's.
        FileNotFoundError: no such checkpoint.

    Example:
        >>> from roberta.parity.cases import small_config
        >>> import roberta
        >>> model = roberta.RobertaForTokenClassification(small_config(), backend="numpy")
        >>> check(model, backends=["numpy"]).passed
        True
    """
    require_heads(heads)  # before the frameworks are loaded, which takes seconds
    names = engines(backends, dtype)
    rows = [
        row
        for head, oracle, weights, inputs in _subjects(checkpoint_or_model, heads)
        for row in _check_head(head, oracle, weights, inputs, names, dtype)
    ]
    return Report(_title(checkpoint_or_model), dtype, tuple(rows))


def compare(
    candidate: Candidate,
    reference_model: Any,
    inputs: Mapping[str, Any] | None = None,
    dtype: str = "float32",
) -> Report:
    """Hold somebody else's implementation against the spec.

    Args:
        candidate: any callable that takes NumPy arrays by HF's argument names and returns a mapping of output names to
            arrays; `hidden_states` and `attentions` may be tuples. Outputs that the spec has and it lacks fail, except
            the loss, hidden states and attentions, which are judged if given.
        reference_model: the same weights as a model of ours, on any engine; or a checkpoint of a bare model's folder.
        inputs: the arguments; None for padded rows of drawn ids.
        dtype: the precision in which the candidate computes.

    Returns:
        `Report` of one row.

    Example:
        >>> import roberta
        >>> from roberta.parity.cases import small_config
        >>> model = roberta.RobertaForMaskedLM(small_config(), backend="numpy")
        >>> port = lambda input_ids, attention_mask, **_: {"logits": model(input_ids, attention_mask).logits * 1.001}
        >>> compare(port, model).passed
        False
    """
    is_model = isinstance(reference_model, PublicModel)
    model = cast("PublicModel[Any]", reference_model) if is_model else FACES["model"].from_pretrained(reference_model)
    oracle = _oracle(model)
    given = dict(inputs) if inputs is not None else _plain_inputs(model.head, model.config)
    permitted, _ = budgets(oracle, given, dtype)
    found = flat_outputs(candidate(**given))
    required = {name for name in permitted if name.partition(".")[0] not in OPTIONAL}
    judged = {name: budget for name, budget in permitted.items() if name in found or name in required}
    row = Row(model.head, "candidate", "given", tuple(compare_outputs(found, judged)))
    return Report("candidate", dtype, (row,))


#: Outputs that a candidate may leave out.
OPTIONAL = frozenset({"loss", "hidden_states", "attentions", "cross_attentions", "past_key_values"})


def check_case(case: Case, backends: Sequence[str], dtype: str = "float32") -> Report:
    """`check` of a drawn case on named engines."""
    oracle = FACES[case.head].on("numpy")(case.config, dtype="float64", state=case.state)
    rows = _check_head(case.head, oracle, "drawn", case.inputs, backends, dtype)
    return Report(f"{case.head} case", dtype, tuple(rows))


# -- pieces ----------------------------------------------------------------------------------------------------------


def engines(backends: Sequence[str] | None, dtype: str) -> list[str]:
    """The engines that are meant, by their own names: those that are named, or all that are available.

    Raises:
        ValueError: an unknown engine or dtype, or a named engine without this dtype.
    """
    if dtype not in PRECISIONS:
        message = f"dtype: required one of {list(PRECISIONS)}, got {dtype!r}"
        raise ValueError(message)
    if backends is not None:
        names = [registry.canonical_name(name) for name in backends]
        for name in names:
            engine: Any = registry.load(name)
            if dtype not in engine.DTYPES:
                remedy = getattr(engine, "REMEDIES", {}).get(dtype, "")
                message = f"dtype: the {name} backend computes in one of {list(engine.DTYPES)}, got {dtype!r}. {remedy}"
                raise ValueError(message.rstrip(". "))
        return names
    usable = [name for name, status in registry.available_backends().items() if status.is_available]
    return [name for name in usable if dtype in registry.load(name).DTYPES]


def _subjects(subject: Any, heads: Sequence[str] | None) -> list[tuple[str, Any, str, dict[str, Any]]]:
    """What is to be checked: head, the spec's model in float64, where its weights come from, and inputs."""
    if isinstance(subject, PublicModel):
        if heads is not None and list(heads) != [subject.head]:
            remedy = "save it and give its folder, whose weights every head is built on; or a checkpoint's name"
            message = f"heads: required {[subject.head]}, the model's own, or None, got {list(heads)}; {remedy}"
            raise ValueError(message)
        return [(subject.head, _oracle(subject), "model", _plain_inputs(subject.head, subject.config))]
    folder = checkpoint.locate(subject)
    return [_from_checkpoint(folder, head) for head in require_heads(heads)]


def require_heads(heads: Sequence[str] | None) -> Sequence[str]:
    """The heads that are meant: those that are named, or all.

    Raises:
        ValueError: an unknown head.
    """
    for head in heads or ():
        if head not in HEADS:
            message = f"heads: required some of {list(HEADS)}, got {head!r}"
            raise ValueError(message)
    return heads or HEADS


def _from_checkpoint(folder: Path, head: str) -> tuple[str, Any, str, dict[str, Any]]:
    with warnings.catch_warnings():
        # The report marks what is seeded; a warning for each of seven heads would say it again.
        warnings.simplefilter("ignore")
        overrides: ConfigOverrides = {"num_labels": 2} if head == "question_answering" else {}
        oracle = FACES[head].from_pretrained(folder, backend="numpy", dtype="float64", **overrides)
    missing = oracle.load_report.missing
    # A head's own layers are seeded, the body is not: such a row still compares the checkpoint's body.
    weights = "seeded head" if missing else "checkpoint"
    return head, oracle, weights, _text_inputs(folder, head, oracle.config)


def _oracle(model: Any) -> Any:
    return model.to_backend("numpy", dtype="float64").eval()


def _plain_inputs(head: str, config: RobertaConfig) -> dict[str, Any]:
    length = min(13, config.usable_length)
    return draw_inputs(head, config, seed=0, length=length)


def _text_inputs(folder: Path, head: str, config: RobertaConfig) -> dict[str, Any]:
    """Real text where the checkpoint has a vocabulary, with labels; else drawn ids."""
    length = min(texts.LENGTH, config.usable_length)
    encoded = texts.encoded_sentences(folder, head, length)
    if encoded is None:
        return _plain_inputs(head, config)
    return draw_inputs(head, config, seed=0, length=length) | encoded


def _check_head(
    head: str, oracle: Any, weights: str, inputs: Mapping[str, Any], names: Sequence[str], dtype: str
) -> list[Row]:
    asked = {**inputs, "output_hidden_states": True}
    permitted, tap_budgets = budgets(oracle, asked, dtype)
    rows: list[Row] = []
    for name in names:
        model = oracle.to_backend(name, dtype=dtype)
        comparisons = tuple(compare_outputs(flat_outputs(model(**asked)), permitted))
        departed = None
        if not all(comparison.passed for comparison in comparisons):
            departed = _first_tap(model, asked, tap_budgets)
        rows.append(Row(head, name, weights, comparisons, departed))
    return rows


def _first_tap(model: Any, inputs: Mapping[str, Any], tap_budgets: Mapping[str, Budget]) -> str | None:
    to_numpy = model.engine.to_numpy
    departed = first_departure({name: to_numpy(value) for name, value in model.tape(**inputs).items()}, tap_budgets)
    return departed.name if departed else None


def _title(subject: Any) -> str:
    return type(subject).__name__ if hasattr(subject, "load_report") else str(inspect.cleandoc(str(subject)))
