"""The forms of an engine, each with a row of its own: what honest ones give passes, and what lost its way does not."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import roberta
from roberta.dispatch import registry
from roberta.dispatch.api import FACES
from roberta.parity.cases import draw_case, small_config
from roberta.parity.checking import check
from roberta.parity.forms import FORMS, forms_of
from roberta.parity.mistakes.mutants import MUTANTS
from roberta.parity.padding import left_out
from roberta.parity.probes.battery import battery
from roberta.parity.probes.uneven import row_kinds
from roberta.parity.selftest import effect

HEADS = ("model", "masked_lm", "sequence_classification", "question_answering")
Planted = tuple[str, Callable[..., Any]]


@pytest.fixture
def flat_backend(backend: str) -> str:
    if not hasattr(registry.load(backend), "Inference"):
        pytest.skip("an engine without an inference form gives the model itself")
    return backend


@cache
def model_of(head: str) -> Any:
    case = draw_case(head, 3)
    return FACES[head](case.config, backend="numpy", state=case.state)


# -- mistakes in the way back ------------------------------------------------------------------------------------------


def flat_with(change: Callable[[Any], Any]) -> Callable[[ModuleType], Planted]:
    """What is counted on the host, changed before anything is computed."""

    def plant(module: ModuleType) -> Planted:
        right = module.flat_batch
        return "flat_batch", lambda *given, **named: change(right(*given, **named))

    return plant


def filled_with(value: float) -> Callable[[ModuleType], Planted]:
    """Another number at padding."""

    def plant(module: ModuleType) -> Planted:
        right = module.answer

        def wrong(head: str, x: Any, states: Any, flat: Any, inputs: Any, parts: Any) -> Any:
            whole = parts.whole
            return right(head, x, states, flat, inputs, parts._replace(whole=lambda given, _: whole(given, value)))

        return "answer", wrong

    return plant


#: Heads of which tokens are computed that nobody looks at.
READS_FIRST = ("model", "sequence_classification")
#: One that reads all tokens, and one that reads the first.
PAIR = ("masked_lm", "sequence_classification")
#: A mistake -> how to plant it in an engine's file, and the heads on which it shows.
MISTAKES: dict[str, tuple[Callable[[ModuleType], Planted], tuple[str, ...]]] = {
    "rows mixed up": (flat_with(lambda flat: flat._replace(places=np.roll(flat.places, 1))), PAIR),
    "a key left out": (
        flat_with(lambda flat: flat._replace(key_counts=np.maximum(flat.key_counts - 1, 1))), PAIR,
    ),
    "tokens that only look taken for keys": (
        flat_with(lambda flat: flat._replace(key_counts=flat.counts)), READS_FIRST,
    ),
    "a row of nobody that looks at its own": (
        flat_with(lambda flat: flat._replace(is_uniform=np.zeros_like(flat.is_uniform))), READS_FIRST,
    ),
    "tokens put in order": (
        flat_with(lambda flat: flat if flat.wanted is None else flat._replace(wanted=np.sort(flat.wanted))),
        ("masked_lm",),
    ),
    "the next token of the last layer": (
        flat_with(
            lambda flat: flat
            if flat.wanted is None
            else flat._replace(wanted=np.minimum(flat.wanted + 1, len(flat.places) - 1))
        ),
        PAIR,
    ),
    "something at padding": (filled_with(0.25), ("model",)),
    "an answer may start at padding": (filled_with(0.0), ("question_answering",)),
}  # fmt: skip


def verdict(head: str, backend: str) -> Any:
    (row,) = check(model_of(head), backends=[backend], forms=["inference"]).rows
    return row


@pytest.mark.parametrize("head", HEADS)
def test_an_honest_form_passes(head: str, flat_backend: str) -> None:
    row = verdict(head, flat_backend)
    assert row.passed, str(row.worst)
    assert row.variant == "inference"


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_form_that_lost_its_way_is_refused(mistake: str, flat_backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(registry.load(flat_backend).Inference.__module__)
    plant, heads = MISTAKES[mistake]
    monkeypatch.setattr(module, *plant(module))
    assert [head for head in heads if verdict(head, flat_backend).passed] == []


def test_the_probes_name_the_mistakes_that_were_planted() -> None:
    named = {name for probe in battery("masked_lm", small_config(), is_own=True) for name in probe.catches}
    at_padding = {"something at padding", "an answer may start at padding"}  # judged in all calls of an inference form
    assert set(MISTAKES) - at_padding <= named


#: One mutant of each kind that needs no slip in code; `roberta selftest` lets all of them loose.
FEW = ("tanh GELU", "eps 1e-12", "padding counted", "mask ignored", "weights in bfloat16")


@pytest.mark.parametrize("mutant", [one for one in MUTANTS if one.name in FEW], ids=lambda mutant: mutant.name)
def test_mutants_are_caught_in_the_inference_form(mutant: Any, flat_backend: str) -> None:
    assert effect(mutant, mutant.heads[-1], 1, flat_backend, "float32", "inference") > 1


# -- which forms there are ---------------------------------------------------------------------------------------------

#: What PyTorch's compiler imports of its own package.
COMPILING = pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")


@COMPILING
def test_every_compiler_of_an_engine_has_a_row_and_passes(backend: str) -> None:
    if not hasattr(registry.load(backend), "compiled_forms"):
        pytest.skip("an engine without compilers")
    report = check(model_of("masked_lm"), backends=[backend], forms=["compiled"])
    if missing := [row.skipped for row in report.rows if row.skipped]:
        pytest.skip(missing[0])
    assert report.passed, str(report)
    assert {row.variant for row in report.rows} == set(
        registry.load(backend).compiled_forms(model_of("masked_lm").to_backend(backend))
    )


@COMPILING
@pytest.mark.torch
def test_without_a_compiler_the_row_says_so_and_is_no_pass_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from roberta.backends.pytorch import compiled

    monkeypatch.setattr(compiled, "_cpp_compiler", lambda: None)
    report = check(model_of("model"), backends=["torch"], forms=["plain", "compiled"])
    plain, skipped = report.rows
    assert (plain.variant, skipped.variant, report.passed) == ("", "torch.compile", True)
    assert "install g++" in skipped.skipped
    assert "install g++" in str(report)
    assert any("install g++" in cell for column in report.table().columns for cell in map(str, column.cells))
    assert "install g++" in json.loads(report.to_json())["rows"][1]["skipped"]
    assert not check(model_of("model"), backends=["torch"], forms=["compiled"]).passed


@pytest.mark.torch
def test_a_program_that_errs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from roberta.backends import pytorch

    def halved(model: Any) -> dict[str, Any]:
        return {"torch.compile": lambda **inputs: {"logits": model(**inputs).logits * (1 - 1e-4)}}

    monkeypatch.setattr(pytorch, "compiled_forms", halved)
    assert not check(model_of("masked_lm"), backends=["torch"], forms=["compiled"]).passed


def test_an_engine_without_forms_has_a_row_for_its_model() -> None:
    assert [row.variant for row in check(model_of("model"), backends=["numpy"], forms=FORMS).rows] == [""]
    assert not check(model_of("model"), backends=["numpy"], forms=["inference"]).passed


@pytest.mark.parametrize("forms", [["plain", "jit"], []])
def test_unknown_forms_are_named_with_what_is_allowed(forms: list[str]) -> None:
    with pytest.raises(ValueError, match=r"forms: required some of \['plain', 'inference', 'compiled'\], got"):
        check(model_of("model"), backends=["numpy"], forms=forms)
    with pytest.raises(ValueError, match="forms: required"):
        roberta.parity.check_variants(["numpy"], forms=forms)


def test_forms_come_in_their_order(flat_backend: str) -> None:
    names = [name for name, _ in forms_of(model_of("model").to_backend(flat_backend))]
    assert names == ["", "inference"]


# -- what stands at padding --------------------------------------------------------------------------------------------


class Twin:
    """As much of an inference form as `left_out` reads."""

    def __init__(self, head: str, **options: Any) -> None:
        self.head, self.config, self.options = head, small_config(), options


MASK = np.array([[1, 1, 0], [0, 0, 0], [0, 1, 1]])
IDS = np.array([[5, 6, 1], [5, 6, 7], [1, 6, 7]])


@pytest.mark.parametrize(
    ("head", "more", "expected"),
    [
        ("masked_lm", {}, [[0, 0, 1], [1, 1, 1], [1, 0, 0]]),
        ("sequence_classification", {}, [[0, 0, 1], [0, 0, 0], [0, 0, 0]]),  # which reads each first token
        ("masked_lm", {"positions": np.array([[1, 2]])}, [[0, 0, 1], [0, 0, 0], [1, 0, 0]]),
        ("masked_lm", {"labels": IDS}, None),  # a loss may count what stands at padding
        ("masked_lm", {"output_attentions": True}, None),
    ],
)
def test_what_is_left_out(head: str, more: dict[str, Any], expected: Any) -> None:
    found = left_out(Twin(head), {"input_ids": IDS, "attention_mask": MASK, **more})
    assert (found is None) if expected is None else np.array_equal(found, np.array(expected, bool))


def test_rows_of_many_kinds_are_of_many_kinds() -> None:
    mask, padding = row_kinds(8, 12)
    assert sorted(set(mask.sum(-1))) == [0, 1, 6, 8, 11, 12]
    assert not (mask & padding).any()
    assert row_kinds(8, 1)[0].sum(-1).tolist() == [1, 0, 1, 1, 1, 0, 1, 1]
