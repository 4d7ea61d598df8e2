"""ONNX Runtime as a candidate: graphs exported from the peer's classes and from ours, run from real files."""

import hashlib
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from roberta.dispatch.api import FACES
from roberta.parity.candidates import CandidateError, answered, as_candidate
from roberta.parity.cases import draw_case
from roberta.parity.compare import compare_outputs
from roberta.parity.tolerances import budgets

NAMES = ("input_ids", "attention_mask", "token_type_ids")


def made(case, backend="torch", dtype="float32"):
    return FACES[case.head].on(backend)(case.config, dtype=dtype, state=case.state)


class Exported(torch.nn.Module):
    """What an exporter needs: inputs by position, outputs as a tuple."""

    def __init__(self, model, names, outputs):
        super().__init__()
        self.model, self.names, self.outputs = model, names, outputs

    def forward(self, *inputs):
        output = self.model(**dict(zip(self.names, inputs, strict=True)))
        return tuple(output[name] for name in self.outputs)


def export(case, path, outputs, names=NAMES, inputs=None, labels=None, is_fixed=False, **options):
    """Write the graph of our PyTorch model; `labels` are the graph's own names of the outputs."""
    given = tuple(torch.tensor((inputs or case.inputs)[name]) for name in names)
    labels = outputs if labels is None else labels
    axes = {name: {0: "B", 1: "T"} for name in names} | {name: {0: "B"} for name in labels}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a legacy exporter, and of its tracing
        torch.onnx.export(
            Exported(made(case), names, outputs).eval(),
            given,
            str(path),
            dynamo=False,
            opset_version=17,
            input_names=list(names),
            output_names=list(labels) or None,
            dynamic_axes=None if is_fixed else axes,
            **options,
        )
    return path


@pytest.fixture(scope="module")
def case():
    return draw_case("masked_lm", 3)


@pytest.fixture(scope="module")
def asked(case):
    return {name: case.inputs[name] for name in NAMES}


@pytest.fixture(scope="module")
def permitted(case, asked):
    return budgets(made(case, "numpy", "float64"), asked, "float32")


@pytest.fixture(scope="module")
def path(case, tmp_path_factory):
    return export(case, tmp_path_factory.mktemp("graphs") / "model.onnx", ["logits"])


def passes(found, wanted):
    return all(comparison.passed for comparison in compare_outputs(found, wanted))


def test_a_file_answers_within_its_budget(path, asked, permitted):
    candidate = as_candidate(str(path))
    assert candidate.capabilities.inputs == {*NAMES}
    assert candidate.capabilities.outputs == {"logits"}
    assert candidate.capabilities.longest is None
    assert passes(answered(candidate, asked), permitted[0])
    described = candidate.describe()
    assert described["sha256"] == {"model.onnx": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert described["versions"]["onnxruntime"] == onnxruntime.__version__


@pytest.mark.parametrize("source", ["path", "bytes"])
def test_a_session_gives_every_value_of_its_graph(source, path, asked, permitted):
    session = onnxruntime.InferenceSession(str(path) if source == "path" else path.read_bytes())
    candidate = as_candidate(session)
    assert candidate.capabilities.has_taps
    taps = candidate.taps(asked)
    assert all(value.dtype.kind == "f" for value in taps.values())
    dense = permitted[1]["roberta.encoder.layer.1.output.dense"]
    alike = [
        name for name, value in taps.items() if value.shape == dense.truth.shape and passes({"x": value}, {"x": dense})
    ]
    assert len(alike) == 1
    assert "Add" in alike[0]
    assert passes({"logits": taps["logits"]}, permitted[0])


def test_taps_of_a_graph_whose_tensors_lie_beside_it(path, asked, tmp_path):
    model = onnx.load(path)
    beside = tmp_path / "large.onnx"
    onnx.save_model(model, beside, save_as_external_data=True, location="tensors.bin", size_threshold=64)
    assert (tmp_path / "tensors.bin").is_file()
    taps = as_candidate(beside).taps(asked)
    np.testing.assert_array_equal(taps["logits"], as_candidate(path).taps(asked)["logits"])


def test_what_a_call_does_not_give_has_hfs_default(path, case):
    ids = {"input_ids": draw_case("masked_lm", 3, "none").inputs["input_ids"]}
    wanted, _ = budgets(made(case, "numpy", "float64"), ids, "float32")
    assert passes(answered(as_candidate(path), ids), wanted)


def test_positions_that_a_graph_needs_are_counted(case, tmp_path):
    names = ("input_ids", "attention_mask", "position_ids")
    positions = np.tile(np.arange(2, 15), (3, 1))
    path = export(case, tmp_path / "m.onnx", ["logits"], names, {**case.inputs, "position_ids": positions})
    ids = {name: case.inputs[name] for name in ("input_ids", "attention_mask")}
    wanted, _ = budgets(made(case, "numpy", "float64"), ids, "float32")
    assert passes(answered(as_candidate(path, reference=made(case, "numpy")), ids), wanted)


def test_aliases_and_int32_inputs_are_understood(path, asked, permitted, tmp_path):
    model = onnx.load(path)
    for node in model.graph.input:
        old, new = (
            node.name,
            {"attention_mask": "input_mask", "token_type_ids": "segment_ids"}.get(node.name, node.name),
        )
        node.type.tensor_type.elem_type = onnx.TensorProto.INT32
        model.graph.node.insert(0, onnx.helper.make_node("Cast", [new], [f"{old}_64"], to=onnx.TensorProto.INT64))
        for other in model.graph.node:
            other.input[:] = [
                f"{old}_64" if name == old and other.output != [f"{old}_64"] else name for name in other.input
            ]
        node.name = new
    onnx.save(model, tmp_path / "m.onnx")
    candidate = as_candidate(tmp_path / "m.onnx")
    assert {each.type for each in candidate.session.get_inputs()} == {"tensor(int32)"}
    assert candidate.capabilities.inputs == {*NAMES}
    assert passes(answered(candidate, asked), permitted[0])


def test_a_graph_of_one_size_says_so_and_gets_shorter_rows_padded(case, tmp_path):
    outputs = ["start_logits", "end_logits"]
    qa = draw_case("question_answering", 3)
    candidate = as_candidate(export(qa, tmp_path / "m.onnx", outputs, is_fixed=True), reference=made(qa, "numpy"))
    assert candidate.capabilities.longest == 13
    assert candidate.capabilities.batches == {3}
    inputs = {name: qa.inputs[name] for name in NAMES}
    assert candidate.capabilities.refusal({"input_ids": np.ones((1, 13), int)}) == "it takes batches of 3, not of 1"
    for given in (inputs, {name: value[:, :7] for name, value in inputs.items()}):
        wanted, _ = budgets(made(qa, "numpy", "float64"), given, "float32")
        assert passes(answered(candidate, given), wanted)


def test_a_graph_of_one_size_without_a_mask_takes_that_size_only(case, tmp_path):
    path = export(case, tmp_path / "m.onnx", ["logits"], ("input_ids",), is_fixed=True)
    with pytest.raises(
        CandidateError, match="required 13 tokens, got 5; the graph has no mask that could hide padding"
    ):
        answered(as_candidate(path), {"input_ids": case.inputs["input_ids"][:, :5]})


def test_outputs_without_hfs_names_are_those_of_the_head_in_order(case, asked, permitted, tmp_path):
    qa = draw_case("question_answering", 3)
    path = export(qa, tmp_path / "m.onnx", ["start_logits", "end_logits"], labels=["output_0", "output_1"])
    inputs = {name: qa.inputs[name] for name in NAMES}
    wanted, _ = budgets(made(qa, "numpy", "float64"), inputs, "float32")
    assert list(answered(as_candidate(path), inputs)) == ["output_0", "output_1"]
    assert passes(answered(as_candidate(path, reference=made(qa, "numpy")), inputs), wanted)


def test_an_input_without_a_default_is_asked_for(case, tmp_path):
    embedded = {"inputs_embeds": np.ones((3, 13, case.config.hidden_size), np.float32)}
    path = export(case, tmp_path / "m.onnx", ["logits"], ("inputs_embeds",), embedded)
    candidate = as_candidate(path)
    assert answered(candidate, embedded)["logits"].shape == (3, 13, 101)
    assert candidate.capabilities.refusal(case.inputs).startswith("it takes no attention_mask, input_ids")
    with pytest.raises(CandidateError, match="required a value of its input 'inputs_embeds', got none"):
        answered(candidate, {})


def test_what_a_graph_does_not_take_is_refused_rather_than_passed_over(path, case):
    with pytest.raises(CandidateError, match="required a call that it covers, but it takes no labels"):
        answered(as_candidate(path), case.inputs)


def test_a_quantised_graph_answers(case, path, asked, permitted, tmp_path):
    quantised = tmp_path / "int8.onnx"
    quantize_dynamic(str(path), str(quantised), weight_type=QuantType.QInt8)
    found = answered(as_candidate(quantised), asked)
    assert not passes(found, permitted[0])  # it is quantised indeed
    assert np.corrcoef(found["logits"].ravel(), permitted[0]["logits"].truth.ravel())[0, 1] > 0.99


def test_a_file_that_is_not_there_or_damaged_is_told(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"required the path of a \.onnx file, got '.*none\.onnx', where none is"
    ):
        as_candidate(tmp_path / "none.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"no graph")
    with pytest.raises(ValueError, match=r"required an ONNX graph, got .*bad\.onnx"):
        as_candidate(tmp_path / "bad.onnx")
