"""What was varied, and what never was."""

import numpy as np
import pytest
from roberta.parity.cases import small_config
from roberta.parity.findings import Audit, Finding
from roberta.parity.probes.battery import battery
from roberta.parity.probes.coverage import all_kinds, unvaried, varied
from roberta.parity.probes.probe import Call, Probe
from roberta.reference.parameters import HEADS

DECODER = {"is_decoder": True, "add_cross_attention": True}


def covered(probes, config):
    """What an audit that judged these says was varied."""
    findings = [Finding(probe.name, probe.catches, "passed", varied=varied(probe, config)) for probe in probes]
    return Audit({}, {}, {}, {}, findings).coverage()


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("fields", [{}, DECODER, {"type_vocab_size": 1}, {"position_embedding_type": "relative_key"}])
def test_the_battery_leaves_nothing_unvaried(head, fields):
    config = small_config(**fields)
    assert unvaried(covered(battery(head, config), config), head, config) == ()


@pytest.mark.parametrize("head", HEADS)
def test_an_audit_of_nothing_has_varied_nothing(head):
    config = small_config(**DECODER)
    everything = [words for kinds in all_kinds(head, config).values() for words in kinds]
    assert sorted(unvaried({}, head, config)) == sorted(everything)
    assert len(set(everything)) == len(everything)


@pytest.mark.parametrize(
    ("words", "lacking"),
    [
        ("padding on the left", {"padding on the left", "cache, padding on the left", "rows of many kinds"}),
        ("padding inside", {"padding inside", "masked tokens", "rows of many kinds"}),
        ("a row of nobody", {"row of nobody", "rows of many kinds"}),
        ("a mask of three axes", {"mask of three axes"}),
        ("the longest row, 27 tokens", {"longest row"}),
        ("a head mask", {"head mask"}),
        ("hidden states asked for", {"hidden states", "activations alike"}),
        ("attentions asked for", {"attentions"}),
        ("labels", {"labels"}),
        ("padding ids attended to", {"padding id attended to"}),
        ("every row of the position table", {"every position", "positions given"}),
        ("no encoder to look at", {"no source"}),
        ("no encoder mask", {"source without a mask"}),
        ("a batch of one", {"batch of one", "longest row"}),
    ],
)
def test_what_certain_probes_vary_is_missed_without_them(words, lacking):
    config = small_config(**DECODER)
    whole = battery("causal_lm", config)
    assert lacking <= {probe.name for probe in whole}
    assert words in unvaried(covered([p for p in whole if p.name not in lacking], config), "causal_lm", config)
    one = next(iter(lacking))
    assert words not in unvaried(
        covered([p for p in whole if p.name not in lacking - {one}], config), "causal_lm", config
    )


def test_token_types_are_missed_one_by_one():
    config = small_config(type_vocab_size=3)
    inputs = {"input_ids": np.array([[5, 6]]), "token_type_ids": np.array([[0, 2]])}
    missed = unvaried(varied(Probe("x", ("y",), (Call(inputs),)), config), "model", config)
    assert "token type 1" in missed
    assert {"token type 0", "token type 2"} & set(missed) == set()


def test_findings_that_were_not_judged_cover_nothing():
    config = small_config()
    (probe,) = (probe for probe in battery("model", config) if probe.name == "padding on the left")
    findings = [Finding(probe.name, probe.catches, "not covered", varied=varied(probe, config))]
    assert "padding on the left" in unvaried(Audit({}, {}, {}, {}, findings).coverage(), "model", config)


def test_the_facts_of_a_call():
    config = small_config()
    inputs = {
        "input_ids": np.array([[1, 5, 100, 1], [0, 1, 6, 7]]),
        "attention_mask": np.array([[0, 1, 1, 0], [1, 0, 1, 1]]),
        "position_ids": np.array([[0, 1, 2, 28], [3, 4, 5, 6]]),
        "labels": np.array([[1, 2, 3, 4]] * 2),
    }
    facts = varied(Probe("x", ("y",), (Call(inputs), Call(inputs, continues=True)), {"w": np.ones(1)}), config)
    assert facts["batch"] == (2,)
    assert facts["length"] == (4,)
    assert facts["padding"] == ("left", "right", "inside")
    assert facts["ids"] == ("first row", "last row")
    assert facts["positions"] == ("given",)
    assert facts["position rows"] == ("first", "last")
    assert facts["token types"] == (0,)
    assert facts["token_type_ids"] == ("left out",)
    assert facts["labels"] == ("given",)
    assert facts["cache"] == ("none", "continued")
    assert facts["calls"] == (2,)
    assert facts["weights"] == ("the probe's",)
