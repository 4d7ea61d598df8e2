"""A model of 8-bit weights is an honest int8 engine, and no other: its budget is the quantum's."""

import warnings

import pytest
import torch
from roberta.dispatch.api import FACES
from roberta.parity import audit
from roberta.parity.cases import draw_case


@pytest.fixture(scope="module")
def reference():
    case = draw_case("masked_lm", 0)
    return FACES["masked_lm"].on("numpy")(case.config, state=case.state)


@pytest.fixture(scope="module")
def quantised(reference):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's, of a place that this will move to
        model = reference.to_backend("torch")
        return torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)


def test_it_passes_as_int8_with_errors_of_the_size_of_the_quantum(quantised, reference):
    found = audit(quantised, reference, dtype="int8", power=False)
    assert found.passed, str(found)
    sigmas = sorted(finding.worst.sigmas for finding in found.findings if finding.worst)
    assert 0.5 < sigmas[len(sigmas) // 2] < 1.2


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_it_passes_as_nothing_finer(quantised, reference, dtype):
    assert not audit(quantised, reference, dtype=dtype, power=False).passed


def test_its_power_is_low_and_said_to_be(quantised, reference):
    power = {
        one.mistake: one for finding in audit(quantised, reference, dtype="int8").findings for one in finding.power
    }
    assert not power["tanh GELU"].is_seen
    assert "in int8" in power["tanh GELU"].reason
    assert power["mask inverted"].is_seen
