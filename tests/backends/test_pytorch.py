"""What only PyTorch has: training, compiling, moving, and the fused path."""

import itertools
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import roberta
import torch
from roberta.dispatch.api import FACES
from roberta.parity.cases import draw_inputs
from roberta.parity.compare import compare_outputs
from roberta.parity.tolerances import budgets, flat_outputs
from roberta.reference.attention import Cache
from roberta.reference.inputs import SIGNATURES
from roberta.reference.outputs import Output
from roberta.reference.parameters import HEADS
from scipy import stats

pytestmark = pytest.mark.torch

HEAD = pytest.mark.parametrize("head", HEADS)
IDS = torch.arange(2, 17).reshape(3, 5)
U64 = 2.0**-53


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def inputs_of(model: Any, has_labels: bool = False, padding: str = "right") -> dict[str, Any]:
    drawn = draw_inputs(model.head, model.config, seed=0, padding=padding, length=7)
    is_label = {"labels", "start_positions", "end_positions"}
    return {
        n: torch.from_numpy(np.asarray(v))
        for n, v in drawn.items()
        if n in SIGNATURES[model.head] and (has_labels or n not in is_label)
    }


def host(inputs: Any) -> dict[str, Any]:
    return {name: value.numpy() for name, value in inputs.items()}


def require_within_budget(spec: Any, inputs: Any, outputs: Output, dtype: str = "float32", **asked: Any) -> None:
    """Held against the float64 spec; every output must be there."""
    permitted, _ = budgets(spec.to_backend("numpy", "float64").eval(), {**host(inputs), **asked}, dtype)
    for comparison in compare_outputs(flat_outputs(outputs), permitted):
        assert comparison.passed, str(comparison)


# -- modules -----------------------------------------------------------------------------------------------------------


@HEAD
def test_the_state_dict_has_the_tables_names_in_its_order_and_loads_strictly(
    head: str, config: Any, make_model: Any
) -> None:
    model = make_model(head, config, "torch")
    assert list(model.state_dict()) == list(model.table)
    assert [tuple(t.shape) for t in model.state_dict().values()] == [p.shape for p in model.table.values()]
    other = FACES[head](config, backend="torch", seed=1)
    other.load_state_dict(model.state_dict(), strict=True)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    assert not list(model.buffers())


def test_tied_weights_are_one_parameter_and_get_both_gradients(make_config: Any, make_state: Any) -> None:
    state = make_state("masked_lm", make_config())
    word, decoder = "roberta.embeddings.word_embeddings.weight", "lm_head.decoder.weight"
    tied, untied = (
        FACES["masked_lm"](make_config(tie_word_embeddings=t), backend="torch", state=state, dtype="float64").eval()
        for t in (True, False)
    )
    for model in (tied, untied):
        model(IDS, labels=IDS).loss.backward()
    assert tied.get_parameter(word) is tied.get_parameter(decoder)
    assert tied.lm_head.bias is tied.lm_head.decoder.bias
    both = untied.get_parameter(word).grad + untied.get_parameter(decoder).grad
    assert torch.equal(tied.get_parameter(word).grad, both)


def test_rows_of_padding_learn_nothing_as_embeddings(make_config: Any, make_model: Any) -> None:
    model = make_model("token_classification", make_config(), "torch")
    ids = IDS.clone()
    ids[:, 3:] = 1
    model(ids, attention_mask=torch.ones_like(ids), labels=IDS % 2).loss.backward()
    for table in (model.roberta.embeddings.word_embeddings, model.roberta.embeddings.position_embeddings):
        assert not table.weight.grad[1].any()
        assert table.weight.grad.any()


def test_ties_survive_a_change_of_dtype_and_parameters_stay_the_same_objects(config: Any, make_model: Any) -> None:
    model = make_model("masked_lm", config, "torch")
    before = list(model.parameters())
    for change, name in ((model.double, "float64"), (model.bfloat16, "bfloat16"), (model.half, "float16")):
        change()
        assert (model.dtype, model.dtype_name) == (getattr(torch, name), name)
        assert model.lm_head.decoder.weight is model.roberta.embeddings.word_embeddings.weight
        assert all(a is b for a, b in zip(before, model.parameters(), strict=True))
    model.load_state_dict_numpy(model.state_dict_numpy())
    assert (model.dtype_name, len(before)) == ("float16", len(list(model.parameters())))


# -- training ----------------------------------------------------------------------------------------------------------


def test_probabilities_are_dropped_as_often_as_a_binomial_law_allows(make_config: Any, make_model: Any) -> None:
    rate = 0.3
    model = make_model("model", make_config(attention_probs_dropout_prob=rate, hidden_dropout_prob=0.0), "torch")
    ids = torch.randint(2, 53, (16, 21))
    plain = model(ids, output_attentions=True).attentions[0]
    dropped = model.train()(ids, output_attentions=True).attentions[0]
    kept = int((dropped != 0).sum())
    assert stats.binom.ppf(5e-10, plain.numel(), 1 - rate) <= kept <= stats.binom.isf(5e-10, plain.numel(), 1 - rate)
    scaled = torch.where(dropped != 0, plain / (1 - rate), 0)
    assert ((dropped - scaled).abs() <= 8 * 2.0**-24 * scaled).all()


ONE_PLACE = {
    "hidden": {"hidden_dropout_prob": 0.5},
    "attention": {"attention_probs_dropout_prob": 0.5},
    "classifier": {"classifier_dropout": 0.5},
}


@HEAD
@pytest.mark.parametrize("place", ONE_PLACE)
def test_each_dropout_works_in_training_only_and_is_seeded(
    head: str, place: str, make_config: Any, make_model: Any
) -> None:
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "classifier_dropout": 0.0}
    model = make_model(head, make_config(**{**none, **ONE_PLACE[place]}), "torch")
    inputs = inputs_of(model)

    def first(seed: int = 0, **asked: Any) -> torch.Tensor:
        torch.manual_seed(seed)
        return model(**inputs, **asked)[0]

    plain = first()
    model.train()
    is_felt = place != "classifier" or head in {"sequence_classification", "token_classification"}
    for asked in ({}, {"output_attentions": True}):
        assert torch.equal(first(**asked), first(**asked))
        assert torch.equal(first(0, **asked), first(1, **asked)) != is_felt
    model.eval()
    assert torch.equal(first(), plain)


@HEAD
def test_a_few_steps_of_training_lower_the_loss(head: str, config: Any, make_model: Any) -> None:
    model = make_model(head, config, "torch")
    inputs = inputs_of(model, has_labels=head != "model")

    def loss() -> torch.Tensor:
        output = model(**inputs)
        return output.pooler_output.square().mean() if head == "model" else output.loss

    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    first = loss()
    for _ in range(10):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    assert 0 <= loss() < 0.9 * first


def test_no_labels_that_count_give_a_loss_of_zero_with_a_gradient_of_zero(config: Any, make_model: Any) -> None:
    for head in ("masked_lm", "causal_lm", "token_classification"):
        model = make_model(head, config, "torch")
        loss = model(IDS, labels=torch.full_like(IDS, -100)).loss
        loss.backward()
        assert loss == 0
        assert all(p.grad is None or not p.grad.any() for p in model.parameters())


# -- the two paths -----------------------------------------------------------------------------------------------------

KINDS = {"encoder": {}, "decoder": {"is_decoder": True}, "cross": {"is_decoder": True, "add_cross_attention": True}}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize(
    ("head", "kind"), [*((h, "encoder") for h in HEADS), ("causal_lm", "decoder"), ("model", "cross")]
)
def test_fused_and_explicit_attention_keep_within_the_budget_of_every_precision(
    head: str, kind: str, dtype: str, make_config: Any, make_model: Any
) -> None:
    model = make_model(head, make_config(**KINDS[kind]), "torch", dtype=dtype)
    inputs = inputs_of(model)
    with torch.no_grad():
        fused, explicit = (model(**inputs, output_attentions=asked) for asked in (False, True))
    assert fused[0].dtype == getattr(torch, dtype)
    require_within_budget(model, inputs, fused, dtype)
    require_within_budget(model, inputs, explicit, dtype, output_attentions=True)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
@pytest.mark.parametrize("is_explicit", [False, True], ids=["fused", "explicit"])
def test_a_row_that_may_look_at_nobody_looks_at_all_alike_and_has_a_gradient(
    is_explicit: bool, dtype: str, make_config: Any, make_model: Any
) -> None:
    model = make_model("model", make_config(num_hidden_layers=1), "torch", dtype=dtype)
    mask = torch.ones(3, 5, 5)
    mask[1, 2] = 0
    mask[2] = 0
    inputs = {"input_ids": IDS, "attention_mask": mask}
    output = model(**inputs, output_attentions=is_explicit)
    if is_explicit:
        assert (output.attentions[0][1, :, 2] == torch.tensor(0.2, dtype=getattr(torch, dtype))).all()
    require_within_budget(
        model, inputs, model(**inputs, output_attentions=is_explicit), dtype, output_attentions=is_explicit
    )
    output.last_hidden_state.float().square().sum().backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())


@HEAD
@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_a_feed_forward_in_slices_is_the_whole_even_if_the_last_is_shorter(
    head: str, size: int, make_config: Any, make_model: Any
) -> None:
    model = make_model(head, make_config(chunk_size_feed_forward=size), "torch", dtype="float64")
    inputs = inputs_of(model)
    require_within_budget(model, inputs, model(**inputs), "float64")
    tape = model.tape(**inputs)
    assert any(name.endswith("intermediate.dense") for name in tape.missing)


# -- compiling ---------------------------------------------------------------------------------------------------------


@HEAD
def test_a_compiled_model_is_one_graph_and_returns_its_record(head: str, make_config: Any, make_model: Any) -> None:
    torch.compiler.reset()
    model = make_model(head, make_config(num_hidden_layers=1), "torch")
    inputs = inputs_of(model, has_labels=True)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    for asked in ({}, {"output_attentions": True, "output_hidden_states": True}):
        got, wanted = compiled(**inputs, **asked), model(**inputs, **asked)
        assert type(got) is type(wanted)
        assert list(got) == list(wanted)
        assert all(np.array_equal(a, b) for a, b in zip(*map(arrays, (got, wanted)), strict=True))


def arrays(output: Output) -> list[Any]:
    return list(flat_outputs(output).values())


@pytest.mark.parametrize("kind", ["relative_key_query", "cross"])
def test_a_compiled_decoder_takes_and_returns_its_cache(kind: str, make_config: Any, make_model: Any) -> None:
    torch.compiler.reset()
    fields = {**KINDS["cross"]} if kind == "cross" else {"is_decoder": True, "position_embedding_type": kind}
    model = make_model("causal_lm", make_config(num_hidden_layers=1, **fields), "torch")
    states = {"encoder_hidden_states": torch.randn(3, 4, 21)} if kind == "cross" else {}
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    outputs = []
    with torch.no_grad():
        for run in (model, compiled):
            past = run(IDS[:, :3], **states).past_key_values
            assert isinstance(past, Cache)
            outputs.append(run(IDS[:, 3:], past_key_values=past, **states))
    assert all(np.array_equal(a, b) for a, b in zip(*map(arrays, outputs), strict=True))


def test_gradients_go_through_a_compiled_model(make_config: Any, make_model: Any) -> None:
    torch.compiler.reset()
    model = make_model("masked_lm", make_config(num_hidden_layers=1), "torch", dtype="float64")
    gradients = []
    for run in (model, torch.compile(model, fullgraph=True, backend="aot_eager")):
        model.zero_grad()
        run(IDS, labels=IDS).loss.backward()
        gradients.append([p.grad.clone() for p in model.parameters()])
    for got, wanted in zip(*gradients, strict=True):
        # The same sums in another order: of some hundred terms of the size of the largest gradient, at most.
        assert (got - wanted).abs().max() <= 1000 * U64 * max(g.abs().max() for g in gradients[1])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated")  # raised by PyTorch about itself
def test_inductor_keeps_within_the_budget(make_config: Any, make_model: Any) -> None:
    torch.compiler.reset()
    model = make_model("masked_lm", make_config(num_hidden_layers=1), "torch")
    inputs = inputs_of(model)
    with torch.no_grad():
        require_within_budget(model, inputs, torch.compile(model, fullgraph=True)(**inputs))


def test_an_exported_model_is_a_graph_that_gives_the_same(make_config: Any, make_model: Any) -> None:
    model = make_model("masked_lm", make_config(num_hidden_layers=1), "torch")
    mask = torch.ones_like(IDS)
    program = torch.export.export(model, (), {"input_ids": IDS, "attention_mask": mask}, strict=False)
    got = program.module()(input_ids=IDS + 1, attention_mask=mask)
    assert np.array_equal(arrays(got)[0], arrays(model(IDS + 1, mask))[0])


# -- numbers of another dtype ------------------------------------------------------------------------------------------


def test_numbers_that_come_in_take_the_models_dtype(make_config: Any, make_model: Any) -> None:
    model = make_model("model", make_config(**KINDS["cross"]), "torch", dtype="bfloat16")
    embeds, states = torch.randn(3, 5, 21), torch.randn(3, 4, 21)
    mask = torch.tensor([1.0, 0.5, 0.0])
    for floats, convert in itertools.product((torch.float64, torch.float32), (torch.Tensor.numpy, torch.clone)):
        given = [convert(value.to(floats)) for value in (embeds, states, mask)]
        output = model(
            inputs_embeds=given[0], encoder_hidden_states=given[1], head_mask=given[2], output_attentions=True
        )
        found = {str(value.dtype) for value in (output[0], *output.attentions, *output.cross_attentions)}
        assert found == {"torch.bfloat16"}


def test_gradients_reach_embeddings_that_are_given(make_config: Any, make_model: Any) -> None:
    model = make_model("model", make_config(), "torch")
    embeds = torch.randn(3, 5, 21, dtype=torch.float64, requires_grad=True)
    model(inputs_embeds=embeds).pooler_output.sum().backward()
    assert embeds.grad.abs().sum() > 0


def test_a_forward_pass_works_in_inference_mode_and_under_autocast(config: Any, make_model: Any) -> None:
    model = make_model("masked_lm", config, "torch")
    with torch.inference_mode():
        plain = model(IDS, IDS > 3).logits
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model(IDS, IDS > 3, labels=IDS).loss
    loss.backward()
    assert torch.isfinite(plain).all()
    assert torch.isfinite(loss)


def test_the_native_class_can_be_subclassed(config: Any) -> None:
    class Tagger(roberta.TorchRobertaForTokenClassification):
        def tags(self, ids: Any) -> Any:
            return self(ids).logits.argmax(-1)

    assert Tagger(config).eval().tags(IDS).shape == (3, 5)


# -- processes ---------------------------------------------------------------------------------------------------------

FORK = """
import os, signal, numpy as np, torch, roberta
torch.set_num_threads(2)
config = roberta.RobertaConfig(vocab_size=101, num_hidden_layers=1)
model, ids = roberta.RobertaModel(config, backend="torch"), np.full((8, 128), 5)
model(ids)
child = os.fork()
if not child:
    signal.alarm(60)
    torch.set_num_threads(1)
    model(ids)
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_computes_once_it_has_one_thread_as_the_docs_say() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "7"


def test_a_device_that_there_is_not_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for device, said in (("gpu", "required one of cpu.*, got 'gpu'"), ("cuda", "finds no GPU here, got 'cuda'; leave")):
        with pytest.raises(ValueError, match=f"device: .*{said}"):
            roberta.TorchRobertaModel.from_pretrained("austen", add_pooling_layer=False, device=device)
