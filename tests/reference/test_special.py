"""Without SciPy the forward pass is the same: a browser has none, and no compiled package but NumPy and `regex`."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from math import erf, exp
from pathlib import Path

import numpy as np
import pytest
import roberta
from roberta.parity.tolerances import budgets
from roberta.reference import special
from roberta.reference.layers import ACTIVATIONS, silu
from roberta.reference.taps import silent
from scipy import special as scipys

SENTENCE = "He was the eldest <mask> of a clergyman, and had no <mask> of his own."
FUNCTIONS = {"erf": (special.math_erf, scipys.erf, erf), "expit": (special.math_expit, scipys.expit, None)}
U = {"float32": 2.0**-24, "float64": 2.0**-53}


def grid(dtype: str) -> np.ndarray:
    """Numbers of every size, of both signs, and all that is special."""
    powers = np.logspace(-320, 4, 20_011)
    near = np.linspace(-30, 30, 60_013)
    ends = [0.0, -0.0, np.inf, -np.inf, np.nan, np.finfo(dtype).max, np.finfo(dtype).tiny, np.finfo(dtype).min]
    with np.errstate(over="ignore", under="ignore"):
        return np.concatenate([powers, -powers, near, ends]).astype(dtype)


def test_with_scipy_they_are_scipys():
    assert (special.erf, special.expit, special.SOURCE) == (scipys.erf, scipys.expit, "scipy")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_stand_in_is_within_two_units_of_scipys(name, dtype):
    ours, theirs, _ = FUNCTIONS[name]
    x = grid(dtype)
    found, wanted = ours(x), theirs(x)
    # a result below the smallest normal number has no relative precision
    with np.errstate(invalid="ignore"):
        error = np.abs(found.astype(np.float64) - wanted)
    assert found.dtype == dtype
    assert np.array_equal(np.isnan(found), np.isnan(wanted))
    assert (error[np.isfinite(x)] <= (4 * U[dtype] * np.abs(wanted) + np.finfo(dtype).tiny)[np.isfinite(x)]).all()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_numbers_and_arrays_of_any_shape_keep_their_dtype(name):
    ours, theirs, _ = FUNCTIONS[name]
    for x in (0.5, np.float32(0.5), np.zeros((2, 0, 3), np.float32), np.ones((2, 3)), np.float64(-2.0)):
        assert np.shape(ours(x)) == np.shape(x)
        assert np.result_type(ours(x)) == np.result_type(x) == np.result_type(theirs(x))


def test_in_float32_it_is_the_double_rounded_once():
    x = np.linspace(-4, 4, 1009).astype(np.float32)
    assert np.array_equal(special.math_erf(x), np.array([erf(float(v)) for v in x], np.float32))
    wanted = np.array([1 / (1 + exp(-float(v))) for v in x])
    assert np.abs(special.math_expit(x) - wanted).max() <= U["float32"]


def test_the_activations_do_not_care_whose_they_are(monkeypatch):
    x = np.linspace(-9, 9, 4001).astype(np.float32)
    right = {name: function(x, silent) for name, function in ACTIVATIONS.items()}
    monkeypatch.setattr("roberta.reference.layers.erf", special.math_erf)
    monkeypatch.setattr("roberta.reference.layers.expit", special.math_expit)
    for name, function in ACTIVATIONS.items():
        assert np.abs(function(x, silent) - right[name]).max() <= 4 * U["float32"] * 9, name
    assert silu(np.float32(-200.0)) == 0


def test_the_budgets_do_not_care_either(monkeypatch, make_config, make_model):
    model = make_model("masked_lm", make_config(), "numpy", dtype="float64")
    inputs = {"input_ids": np.arange(5, 15).reshape(2, 5)}
    right = budgets(model, inputs, "float32")[1]
    monkeypatch.setattr("roberta.reference.layers.erf", special.math_erf)
    found = budgets(model, inputs, "float32")[1]
    for name, budget in right.items():
        assert np.allclose(found[name].limit, budget.limit, rtol=1e-6), name


# -- where it is not there ---------------------------------------------------------------------------------------------


def without(packages: tuple[str, ...], code: str, *arguments: object) -> str:
    """What a new interpreter prints that cannot import these."""
    start = f"import sys; sys.modules.update(dict.fromkeys({packages!r}))\n"
    command = [sys.executable, "-W", "error", "-c", start + textwrap.dedent(code), *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path.cwd().anchor)  # noqa: S603
    assert result.returncode == 0, result.stderr
    return result.stdout


RUN = """
import numpy as np, roberta
from pathlib import Path
from roberta.reference.special import SOURCE
{model}
tokenizer = roberta.RobertaTokenizer.from_pretrained("austen")
(first, second) = roberta.fill_mask(sys.argv[1], model, tokenizer)
tape = model.tape(input_ids=[tokenizer(sys.argv[1])["input_ids"]])
np.savez(sys.argv[2], **tape)
print(SOURCE, first[0].token_str, second[0].token_str, first[0].score)
"""


def test_without_scipy_austen_answers_and_every_value_is_within_its_budget(tmp_path):
    file = tmp_path / "tape.npz"
    load = 'model = roberta.RobertaForMaskedLM.from_pretrained("austen")'
    printed = without(("scipy",), RUN.format(model=load), SENTENCE, file).split()
    model = roberta.RobertaForMaskedLM.from_pretrained("austen")
    tokenizer = roberta.RobertaTokenizer.from_pretrained("austen")
    first, second = roberta.fill_mask(SENTENCE, model, tokenizer)
    assert printed[:3] == ["math", first[0].token_str.strip(), second[0].token_str.strip()]
    assert abs(float(printed[3]) - first[0].score) < 1e-6
    ids = np.array([tokenizer(SENTENCE)["input_ids"]])
    tape, found = model.tape(input_ids=ids), np.load(file)
    assert list(found) == list(tape)
    before = list(tape)[: list(tape).index("roberta.encoder.layer.0.intermediate.erf")]
    assert all(np.array_equal(found[name], tape[name]) for name in before)
    permitted = budgets(model.to_backend("numpy", dtype="float64"), {"input_ids": ids}, "float32", draws=8)[1]
    for name, budget in permitted.items():
        assert (np.abs(found[name] - budget.truth) <= budget.limit).all(), name


def test_with_numpy_and_regex_alone_the_spec_runs_and_a_mistake_is_made(tmp_path):
    """What a browser has, with the weights in an .npz: a bfloat16 mistake too, which needs no dtype of that name."""
    model = roberta.RobertaForMaskedLM.from_pretrained("austen")
    weights = {
        name: value for name, value in model.state_dict_numpy().items() if not name.startswith("lm_head.decoder")
    }
    np.savez(tmp_path / "weights.npz", **weights)
    made = f"""
from roberta.dispatch.checkpoint import locate
config = roberta.RobertaConfig.from_pretrained(locate("austen"))
state = dict(np.load({str(tmp_path / "weights.npz")!r}))
model = roberta.RobertaForMaskedLM(config, "numpy", state=state, strict=False)
assert not model.load_report.missing, model.load_report.missing
"""
    broken = """
from roberta.teaching.faults import run_fault
for name in ("none", "tanh-gelu", "bfloat16-weights"):
    run = run_fault(model, {"input_ids": [tokenizer(sys.argv[1])["input_ids"]]}, name)
    print(run.first, run.own_tap == (run.first or ""))
"""
    absent = ("scipy", "ml_dtypes", "safetensors", "typer", "rich", "tokenizers", "jinja2", "numba", "torch")
    printed = without(absent, RUN.format(model=made) + broken, SENTENCE, tmp_path / "tape.npz").splitlines()
    assert printed[0].split()[:2] == ["math", "son"]
    assert printed[1:] == [
        "None True",
        "roberta.encoder.layer.0.intermediate.output True",
        "roberta.embeddings.sum True",
    ]
