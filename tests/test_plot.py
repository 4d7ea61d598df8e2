"""Pictures: what they show is what they were given; axes have names and units; nothing is kept or opened."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pytest
import roberta
from roberta.parity.cases import small_config
from roberta.parity.compare import Comparison
from roberta.parity.report import Report, Row
from roberta.plot import HEAD, operations
from roberta.reference.parameters import HEADS, parameter_table

IDS = [[0, 5, 7, 9, 2]]


@pytest.fixture(scope="module")
def tape():
    return roberta.RobertaModel(small_config(), "numpy").tape(input_ids=IDS)


def test_attention_shows_the_probabilities_of_a_head_or_their_mean(tape):
    one, mean = roberta.plot.attention(tape, 0, head=1), roberta.plot.attention(tape, 0)
    assert np.array_equal(one.images[0].get_array(), tape.attention(0)[0, 1])
    assert np.allclose(mean.images[0].get_array(), tape.attention(0)[0].mean(0))
    assert (one.get_xlabel(), one.get_ylabel()) == ("token that is looked at", "token that looks")


def test_attention_refuses_what_is_not_there(tape):
    with pytest.raises(IndexError, match="head: required"):
        roberta.plot.attention(tape, 0, head=99)
    with pytest.raises(IndexError, match="row: required -1 to 0"):
        roberta.plot.attention(tape, 0, row=1)
    with pytest.raises(ValueError, match="tokens: required 5 of them"):
        roberta.plot.attention(tape, 0, tokens=["a"])


def test_what_is_no_tape_and_a_model_for_its_configuration():
    model = roberta.RobertaModel(small_config(), backend="numpy")
    with pytest.raises(TypeError, match=r"required a tape, got .*Output; model.tape\(\*\*inputs\) gives one"):
        roberta.plot.attention(model([[0, 5, 2]]), 0)
    assert roberta.plot.cost(model).get_title() == roberta.plot.cost(model.config).get_title()


def test_hostile_tokens_are_drawn_as_text(tape):
    ax = roberta.plot.attention(tape, 0, tokens=["$\\frac$", "<script>", "\u202e_", "_a", "x" * 10_000])
    ax.figure.savefig("/dev/null", format="svg")
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels[0] == "$\\frac$"
    assert labels[2].startswith("\\u202e")
    assert len(labels[4]) < 30


def test_budgets_are_drawn_with_a_line_at_one_and_what_is_infinite_at_the_edge():
    ax = roberta.plot.budget({"a": {"x": 0.5, "y": math.nan}, "b": {"y": 3.0}})
    assert [list(line.get_ydata()) for line in ax.lines] == [[0.5, HEAD], [3.0], [1.0, 1.0]]
    assert list(ax.lines[1].get_xdata()) == [1]
    assert ax.get_yscale() == "log"
    assert "budget" in ax.get_ylabel()


def test_budgets_of_reports_and_comparisons():
    comparison = Comparison("logits", 2.0)
    rows = [Row("masked_lm", name, "given", (comparison,)) for name in ("torch", "flax")]
    report = roberta.plot.budget(Report("s", "float32", rows))
    assert [text.get_text() for text in report.get_legend().get_texts()] == ["torch", "flax"]
    assert list(roberta.plot.budget([comparison]).lines[0].get_ydata()) == [2.0]
    with pytest.raises(TypeError, match="found: required a comparison"):
        roberta.plot.budget(3)
    with pytest.raises(ValueError, match="held against a limit"):
        roberta.plot.budget({})


def test_series_are_told_apart_without_colour():
    ax = roberta.plot.budget({str(i): {"x": 0.1} for i in range(6)})
    assert len({(line.get_marker(), line.get_linestyle()) for line in ax.lines[:6]}) == 6


@pytest.mark.parametrize("head", HEADS)
def test_costs_count_every_parameter(head):
    config = small_config(num_labels=2)
    ax = roberta.plot.cost(config, head=head, what="parameters")
    expected = sum(math.prod(p.shape) for p in parameter_table(head, config).values() if p.tied_to is None)
    assert sum(bar.get_width() for bar in ax.patches) == expected


def test_operations_are_those_of_the_products_and_grow_with_the_square_of_the_length():
    config = small_config()
    once, twice = operations(config, "model", 8), operations(config, "model", 16)
    assert twice["scores and context"] == 4 * once["scores and context"]
    assert twice["feed-forward"] == 2 * once["feed-forward"]
    N, D, F = config.num_hidden_layers, config.hidden_size, config.intermediate_size
    assert sum(once.values()) == N * 2 * 8 * (4 * D * D + 2 * D * F + 2 * 8 * D)


@pytest.mark.parametrize("wrong", [{"tokens": 0}, {"what": "euros"}, {"head": "none"}])
def test_costs_of_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}: required"):
        roberta.plot.cost(small_config(), **wrong)


def test_training_curves_of_what_finetune_prints(tmp_path):
    run = {"task": "tagging", "backend": "torch", "losses": [3.0, 2.0]}
    file = tmp_path / "runs.jsonl"
    file.write_text(json.dumps(run) + "\n" + json.dumps({**run, "backend": "flax"}) + "\n", encoding="utf-8")
    ax = roberta.plot.training_curves(file)
    assert [list(line.get_ydata()) for line in ax.lines] == [[3.0, 2.0]] * 2
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["tagging, torch (1)", "tagging, flax (2)"]
    assert list(roberta.plot.training_curves(run).lines[0].get_xdata()) == [1, 2]
    steps = roberta.plot.training_curves([{"step": 10, "loss": 1.0}, {"step": 20, "loss": 0.5}])
    assert list(steps.lines[0].get_xdata()) == [10, 20]
    log = [{"step": 1, "loss": 2.0}, {"step": 1, "eval_loss": 1.9}, {"step": 2, "loss": 1.5}, {"train_runtime": 3.0}]
    assert list(roberta.plot.training_curves(log).lines[0].get_ydata()) == [2.0, 1.5]
    for nothing in ({"losses": []}, [], [{"step": 1}]):
        with pytest.raises(ValueError, match="required losses"):
            roberta.plot.training_curves(nothing)


def test_given_axes_are_drawn_on(tape):
    from matplotlib.figure import Figure

    ax = Figure().add_subplot()
    assert roberta.plot.attention(tape, 0, ax=ax) is ax
    assert roberta.plot.cost(small_config(), ax=ax) is ax


def fresh(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout  # noqa: S603


def test_pyplot_is_not_imported_and_the_module_is_lazy():
    code = "import sys, roberta; print('roberta.plot' in sys.modules); roberta.plot.budget({'a': 1.0})"
    printed = fresh(f"{code}; import roberta.plot; print('matplotlib.pyplot' in sys.modules)")
    assert printed.split() == ["False", "False"]


def test_a_missing_matplotlib_says_what_to_install():
    code = "import sys; sys.modules['matplotlib'] = None; import roberta.plot\ntry: roberta.plot.budget({'a': 1.0})\n"
    assert 'pip install "roberta[plot]"' in fresh(f"{code}except ImportError as error: print(error)")
