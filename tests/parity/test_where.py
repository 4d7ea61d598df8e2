"""A fault at one operation is found at that operation: by taps, by hidden states, by a graph, and in a black box."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from roberta.dispatch.api import FACES
from roberta.parity.adapters.models import ModelCandidate
from roberta.parity.audit import audit
from roberta.parity.candidates import as_candidate
from roberta.parity.cases import draw_case
from roberta.parity.probes.probe import Call, Probe
from roberta.parity.where import ladder, matched_by_value, replayed
from roberta.reference.parameters import HEADS
from roberta.reference.taps import symbols


class Faulty(ModelCandidate):
    """A model whose value at one tap is off, in every pass."""

    def __init__(self, model, tap, change):
        super().__init__(model)
        self.tap, self.change = tap, change

    def __call__(self, **inputs):
        return self.model.tape(replace={self.tap: self.change}, **inputs).output.numpy()

    def taps(self, inputs):
        return dict(self.model.tape(replace={self.tap: self.change}, **inputs))

    def with_weights(self, state):
        return Faulty(super().with_weights(state).model, self.tap, self.change)


def off_by_a_thousandth(value):
    """Every other element: a norm behind it would undo a common factor."""
    factor = np.where(np.arange(value.shape[-1]) % 2, 1.001, 0.999).astype(value.dtype)
    return value * factor if value.shape[-1] > 1 else value * value.dtype.type(1.001)


def subject(head, seed=3, **config):
    case = draw_case(head, seed, **config)
    model = FACES[head].on("numpy")(case.config, state=case.state)
    return model, Probe("case", ("a fault",), (Call(case.inputs),))


def taps_of(head, **config):
    case = draw_case(head, 3, **config)
    return list(symbols(head, case.config))


@pytest.mark.parametrize("name", taps_of("masked_lm"))
def test_a_fault_at_a_tap_is_found_at_that_tap(name):
    model, probe = subject("masked_lm")
    found = audit(Faulty(model, name, off_by_a_thousandth), model, [probe], power=False)
    assert not found.passed
    assert found.departure is not None
    assert found.departure.place == name
    assert found.departure.evidence == "taps"


def outputs_of(faulty, **inputs):
    return faulty(**inputs)


@pytest.mark.parametrize("head", HEADS)
def test_with_hidden_states_alone_the_layer_is_found(head):
    model, probe = subject(head)
    prefix = "" if head == "model" else "roberta."
    for layer in range(model.config.num_hidden_layers):
        name = f"{prefix}encoder.layer.{layer}.intermediate.output"
        faulty = Faulty(model, name, off_by_a_thousandth)
        box = as_candidate(partial(outputs_of, faulty), reference=model)
        asked = Probe(probe.name, probe.catches, (Call({**probe.calls[0].inputs, "output_hidden_states": True}),))
        found = audit(box, model, [asked], power=False)
        assert found.departure.place == f"{prefix}encoder.layer.{layer}.output.LayerNorm.output"
        assert found.departure.evidence == "hidden states"


@pytest.mark.parametrize(
    "part", ["attention.self.context", "attention.self.scores", "intermediate.output", "output.dense"]
)
@pytest.mark.parametrize("layer", [0, 1])
def test_in_a_black_box_that_takes_weights_the_sublayer_is_found(layer, part):
    model, probe = subject("masked_lm")
    name = f"roberta.encoder.layer.{layer}.{part}"

    class Box(Faulty):
        """Nothing but logits."""

        def __init__(self, *args):
            super().__init__(*args)
            can = self.capabilities
            self.capabilities = type(can)(
                can.inputs - {"output_hidden_states", "output_attentions"},
                frozenset({"logits", "loss"}),
                takes_weights=True,
            )

        def __call__(self, **inputs):
            return {"logits": super().__call__(**inputs)["logits"]}

        def with_weights(self, state):
            return Box(super().with_weights(state).model, self.tap, self.change)

    found = audit(Box(model, name, off_by_a_thousandth), model, [probe], power=False)
    sublayer = "attention" if part.startswith("attention") else "output"
    assert found.departure.place == f"roberta.encoder.layer.{layer}.{sublayer}"
    assert found.departure.evidence == "inputs"


def test_an_honest_candidate_departs_nowhere():
    model, probe = subject("causal_lm", is_decoder=True, use_cache=False)
    inputs = probe.calls[0].inputs
    oracle = model.to_backend("numpy", dtype="float64")
    comparisons = replayed(oracle, inputs, dict(model.tape(**inputs)), "float32")
    assert [comparison.name for comparison in comparisons] == list(model.tape(**inputs))
    assert all(comparison.passed for comparison in comparisons)


def test_a_graph_s_values_are_matched_whatever_their_names_and_layouts():
    model, probe = subject("masked_lm")
    inputs = probe.calls[0].inputs
    tape = model.tape(**inputs)
    graph = {}
    for number, (name, value) in enumerate(tape.items()):
        if name.endswith("self.key"):
            value = value.swapaxes(-1, -2)
        elif name.endswith(("self.query", "self.value")):
            value = value.swapaxes(1, 2).reshape(value.shape[0], value.shape[2], -1)
        graph[f"node_{number}"] = value
    found = matched_by_value(model.to_backend("numpy", dtype="float64"), inputs, graph)
    assert found.keys() == tape.keys()
    for name, value in found.items():
        np.testing.assert_array_equal(value, tape[name])


def test_every_rung_of_the_ladder_switches_on_one_sublayer():
    model, _ = subject("masked_lm")
    state = model.state_dict_numpy()
    rungs = dict(ladder(state, model.config, "roberta."))
    assert list(rungs) == [
        "roberta.embeddings",
        *(f"roberta.encoder.layer.{i}.{part}" for i in (0, 1) for part in ("attention", "output")),
    ]
    everything = rungs["roberta.embeddings"]
    assert len(everything) == 8
    for place, changed in list(rungs.items())[1:]:
        assert len(everything) - len(changed) == 2, place
