"""The PyTorch classes of transformers as candidates: outputs and taps of every head are the spec's."""

import numpy as np
import pytest
import roberta
import torch
import transformers
from roberta.dispatch.api import FACES
from roberta.parity.adapters.transformers import TransformersCandidate
from roberta.parity.candidates import CandidateError, answered, as_candidate
from roberta.parity.cases import draw_case
from roberta.parity.compare import compare_outputs
from roberta.parity.tolerances import budgets
from roberta.reference.parameters import CLASS_NAMES, HEADS
from roberta.reference.taps import symbols

pytestmark = [pytest.mark.torch, pytest.mark.hf]
ASKED = {"output_hidden_states": True, "output_attentions": True}


def peer(case):
    """The peer's model of a case, fresh from its constructor, which leaves dropout on."""
    config = transformers.RobertaConfig(**case.config.to_dict())
    model = getattr(transformers, CLASS_NAMES[case.head])(config)
    model.load_state_dict({name: torch.tensor(value) for name, value in case.state.items()})
    return model


def spec(case):
    return FACES[case.head].on("numpy")(case.config, dtype="float64", state=case.state)


def worst(found, permitted):
    return max(compare_outputs(found, permitted), key=lambda comparison: comparison.extent)


@pytest.mark.parametrize("head", HEADS)
def test_outputs_and_taps_of_every_head_are_the_specs(head):
    case = draw_case(head, 3)
    candidate = as_candidate(peer(case))
    inputs = {**case.inputs, **ASKED}
    assert candidate.capabilities.refusal(inputs) == ""
    outputs, taps = budgets(spec(case), inputs, "float32")
    assert worst(answered(candidate, inputs), outputs).passed
    found = candidate.taps(inputs)
    unseen = {name.rpartition(".")[2] for name in taps.keys() - found.keys()}
    assert unseen == {"scores", "mean", "variance", "normalized", "erf"}
    assert found.keys() <= symbols(head, case.config).keys()
    assert worst(found, {name: taps[name] for name in found}).passed


@pytest.mark.parametrize("position_type", ["absolute", "relative_key_query"])
def test_a_decoder_with_a_source_has_taps_of_cross_attention(position_type):
    fields = {"is_decoder": True, "add_cross_attention": True, "position_embedding_type": position_type}
    case = draw_case("causal_lm", 4, "none", use_cache=False, **fields)
    candidate, inputs = as_candidate(peer(case)), {**case.inputs, **ASKED}
    assert candidate.capabilities.refusal(inputs) == ""
    assert candidate.capabilities.longest == case.config.usable_length
    outputs, taps = budgets(spec(case), inputs, "float32")
    assert worst(answered(candidate, inputs), outputs).passed
    found = candidate.taps(inputs)
    assert "roberta.encoder.layer.1.crossattention.self.probs" in found
    assert worst(found, {name: taps[name] for name in found}).passed


@pytest.mark.parametrize("cross", [False, True])
def test_a_cache_comes_out_as_tuples_and_goes_in_again(cross):
    case = draw_case("causal_lm", 5, "none", is_decoder=True, add_cross_attention=cross)
    candidate = as_candidate(peer(case))
    whole = {name: value for name, value in case.inputs.items() if name != "labels"}
    permitted, _ = budgets(spec(case), {**whole, "use_cache": True}, "float32")
    first = {**whole, "input_ids": whole["input_ids"][:, :7], "attention_mask": whole["attention_mask"][:, :7]}
    first["token_type_ids"] = whole["token_type_ids"][:, :7]
    past = candidate(**first, use_cache=True)["past_key_values"]
    assert len(past[0]) == (4 if cross else 2)
    rest = {**whole, "input_ids": whole["input_ids"][:, 7:], "token_type_ids": whole["token_type_ids"][:, 7:]}
    found = answered(candidate, {**rest, "use_cache": True, "past_key_values": past})
    caches = {name: budget for name, budget in permitted.items() if name.startswith("past_key_values")}
    assert len(caches) == len(past) * len(past[0])
    assert worst(found, caches).passed
    budget = permitted["logits"]
    rows = type(budget)(budget.truth[:, 7:], budget.sigma[:, 7:], budget.limit[:, 7:])
    assert worst(found, {"logits": rows}).passed


def test_the_path_that_was_asked_for_is_taped():
    candidate = as_candidate(peer(draw_case("masked_lm", 3)))
    inputs = draw_case("masked_lm", 3).inputs
    assert not [name for name in candidate.taps(inputs) if name.endswith("probs")]
    assert len([name for name in candidate.taps({**inputs, **ASKED}) if name.endswith("probs")]) == 2
    masked = {**inputs, **ASKED, "head_mask": np.array([1.0, 0.0, 1.0])}
    assert not [name for name in candidate.taps(masked) if name.endswith("probs")]


def test_a_feed_forward_layer_in_slices_is_taped_whole():
    case = draw_case("masked_lm", 3, length=12)
    model = peer(case)
    for layer in model.roberta.encoder.layer:
        layer.chunk_size_feed_forward = 4
    _, taps = budgets(spec(case), case.inputs, "float32")
    name = "roberta.encoder.layer.0.output.dense"
    assert worst(as_candidate(model).taps(case.inputs), {name: taps[name]}).passed


def test_a_model_is_left_as_it_was():
    case = draw_case("sequence_classification", 3)
    model = peer(case).train()
    model.roberta.pooler = None
    model.classifier.eval()
    candidate = as_candidate(model)
    first, second = (answered(candidate, case.inputs) for _ in range(2))
    candidate.taps(case.inputs)
    np.testing.assert_array_equal(first["logits"], second["logits"])
    assert model.training
    assert not model.classifier.training
    assert model.config.problem_type is None
    assert not any(module._forward_hooks for module in model.modules())


def test_other_weights_go_into_a_copy():
    case, other = draw_case("masked_lm", 1), draw_case("masked_lm", 2)
    candidate = as_candidate(peer(case))
    before = answered(candidate, case.inputs)["logits"]
    permitted, _ = budgets(spec(other), case.inputs, "float32")
    changed = candidate.with_weights(other.state)
    assert worst(answered(changed, case.inputs), permitted).passed
    tied = changed.model
    assert tied.lm_head.decoder.weight is tied.roberta.embeddings.word_embeddings.weight
    np.testing.assert_array_equal(answered(candidate, case.inputs)["logits"], before)
    with pytest.raises(CandidateError, match=r"state: required the names of its state_dict\(\), got others: lm_head"):
        candidate.with_weights({name: value for name, value in other.state.items() if name != "lm_head.dense.bias"})


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_model_of_another_precision_is_asked_in_it(dtype):
    case = draw_case("masked_lm", 3)
    embedded = {"inputs_embeds": np.ones((3, 13, case.config.hidden_size)), "attention_mask": np.ones((3, 13))}
    candidate = as_candidate(peer(case).to(dtype))
    permitted, _ = budgets(spec(case), embedded, str(dtype).removeprefix("torch."))
    assert worst(answered(candidate, embedded), permitted).passed
    assert candidate.describe()["dtype"] == str(dtype).removeprefix("torch.")


def test_a_compiled_model_is_called_compiled_and_gives_no_taps_of_other_code():
    case = draw_case("masked_lm", 3)
    calls = []

    def backend(graph, inputs):
        calls.append(graph)
        return graph.forward

    candidate = as_candidate(torch.compile(peer(case), backend=backend))
    assert isinstance(candidate, TransformersCandidate)
    assert not candidate.capabilities.has_taps
    permitted, _ = budgets(spec(case), case.inputs, "float32")
    assert worst(answered(candidate, case.inputs), permitted).passed
    assert calls
    with pytest.raises(CandidateError, match="required a candidate with taps"):
        candidate.taps(case.inputs)


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning", "ignore:.*quantize_per_tensor:UserWarning")
def test_a_quantised_model_answers_and_takes_no_weights():
    case = draw_case("masked_lm", 3)
    model = torch.ao.quantization.quantize_dynamic(peer(case).eval(), {torch.nn.Linear}, dtype=torch.qint8)
    candidate = as_candidate(model)
    assert candidate.describe()["is_quantised"]
    assert not candidate.capabilities.takes_weights
    permitted, _ = budgets(spec(case), case.inputs, "float32")
    found, truth = answered(candidate, case.inputs)["logits"], permitted["logits"].truth
    assert not worst({"logits": found}, {"logits": permitted["logits"]}).passed  # it is quantised indeed
    quantum = 1.0 / 127  # of the largest weight; the model has fewer layers than would make a tenth of it
    assert np.sqrt(np.mean((found - truth) ** 2)) / truth.std() < 12 * quantum
    assert "roberta.encoder.layer.0.attention.self.query" in candidate.taps(case.inputs)
    with pytest.raises(CandidateError, match="required a candidate that takes weights"):
        candidate.with_weights(case.state)


def test_it_is_described_with_the_departures_that_are_known():
    case = draw_case("causal_lm", 5, is_decoder=True, position_embedding_type="relative_key")
    described = as_candidate(peer(case)).describe()
    assert described["versions"]["transformers"] == transformers.__version__
    assert described["head"] == "causal_lm"
    assert [text.partition(":")[0] for text in described["known_departures"]] == [
        "relative positions with a cache",
        "a cache with rows padded on the left, or with embeddings",
    ]


def test_a_part_of_a_model_is_no_candidate():
    with pytest.raises(TypeError, match=r"required one of RobertaModel, .*, got RobertaEncoder; give the whole model"):
        as_candidate(peer(draw_case("model", 1)).encoder)


def test_anybodys_module_is_asked_in_tensors():
    class Port(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table = torch.nn.Embedding(101, 5)
            self.drop = torch.nn.Dropout(0.5)

        def forward(self, input_ids, attention_mask=None):
            assert input_ids.dtype == torch.int64
            return {"last_hidden_state": self.drop(self.table(input_ids)) * attention_mask[..., None]}

    module = Port()
    candidate = as_candidate(module)
    inputs = {"input_ids": np.arange(6, dtype=np.int32).reshape(2, 3), "attention_mask": np.ones((2, 3))}
    found = answered(candidate, inputs)["last_hidden_state"]
    np.testing.assert_array_equal(found, module.table.weight.detach().numpy()[inputs["input_ids"]])
    assert module.training
    assert candidate.capabilities.inputs == {"input_ids", "attention_mask"}


@pytest.mark.filterwarnings("ignore:.*torch.jit.*deprecated:DeprecationWarning")
def test_a_traced_module_is_asked_what_its_graph_takes():
    class Port(torch.nn.Module):
        def forward(self, input_ids, attention_mask):
            return {"logits": input_ids * attention_mask}

    inputs = {"input_ids": np.arange(6).reshape(2, 3), "attention_mask": np.ones((2, 3), int)}
    traced = torch.jit.trace(Port(), tuple(torch.tensor(value) for value in inputs.values()), strict=False)
    candidate = as_candidate(traced)
    assert candidate.capabilities.inputs == inputs.keys()
    np.testing.assert_array_equal(answered(candidate, inputs)["logits"], inputs["input_ids"])


def test_a_related_family_is_one_of_transformers():
    case = draw_case("masked_lm", 3)
    model = transformers.XLMRobertaForMaskedLM(transformers.XLMRobertaConfig(**case.config.to_dict()))
    model.load_state_dict({name: torch.tensor(value) for name, value in case.state.items()})
    permitted, _ = budgets(spec(case), case.inputs, "float32")
    assert worst(answered(as_candidate(model), case.inputs), permitted).passed
    assert roberta.RobertaForMaskedLM.head == as_candidate(model).head
