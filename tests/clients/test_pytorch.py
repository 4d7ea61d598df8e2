"""What clients of a PyTorch model do with one of ours, each as its own quick start has it.

The first line of a docstring is a line of docs/clients.md: the client, and how it is called.
"""

from __future__ import annotations

import io
from importlib import import_module
from pathlib import Path
from typing import Any

import accelerate
import peft
import pytest
import roberta
import torch
import torchinfo
import transformers
from roberta.clients.transformers import Trainer
from roberta.dispatch import checkpoint
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.nn.utils import parametrizations, prune

pytestmark = [pytest.mark.hf, pytest.mark.filterwarnings("ignore")]  # the clients' own
FOLDER = Path(roberta.__file__).parent / "checkpoints" / "austen"
TEXTS = ["She was not at all sorry.", "He said nothing."]
TOKENIZER = roberta.RobertaTokenizerFast.from_pretrained(FOLDER)


def load(head: str = "MaskedLM", **options: Any) -> Any:
    name = "RobertaModel" if head == "Model" else f"RobertaFor{head}"
    return getattr(roberta, name).from_pretrained(FOLDER, backend="torch", **options)


def exact(head: str = "MaskedLM") -> Any:
    """In float64, where what two right implementations differ by is some 1e-14."""
    return load(head, dtype="float64")


def peer(head: str = "MaskedLM") -> Any:
    """The same of transformers."""
    name = "RobertaModel" if head == "Model" else f"RobertaFor{head}"
    return getattr(transformers, name).from_pretrained(FOLDER).double()


#: Of numbers around 1 in float64: far above rounding, far below anything that is computed otherwise.
NEAR: dict[str, float] = {"rtol": 0, "atol": 1e-10}


def batch(*texts: str) -> Any:
    return TOKENIZER(list(texts) or TEXTS, return_tensors="pt", padding=True)


def at_tokens(values: torch.Tensor) -> torch.Tensor:
    return values[batch()["attention_mask"].bool()]


LABELS = torch.tensor([0, 1])

# -- PyTorch itself ----------------------------------------------------------------------------------------------------


def test_the_body_of_a_head() -> None:
    """A model of one's own on the body: `model.roberta(input_ids, attention_mask=mask)`, as transformers' is called"""
    model, inputs = exact(), batch()
    ours = model.roberta(inputs["input_ids"], attention_mask=inputs["attention_mask"])
    theirs = peer().roberta(**inputs)
    assert ours[0] is ours.last_hidden_state
    torch.testing.assert_close(at_tokens(ours[0]), at_tokens(theirs[0]), **NEAR)
    assert len(model.roberta(**inputs, output_hidden_states=True).hidden_states) == model.config.num_hidden_layers + 1
    assert torch.equal(model.roberta(**inputs, return_dict=False)[0], ours[0])
    assert torch.equal(model.roberta([[0, 5, 2]])[0], model.roberta(torch.tensor([[0, 5, 2]]))[0])
    with pytest.raises(ValueError, match=r"input_ids: .*\[0, \d+\)"):
        model.roberta(torch.tensor([[10**6]]))
    with pytest.raises(TypeError, match="unknown argument 'labels'"):
        model.roberta(**inputs, labels=LABELS)


def test_a_layer_by_itself() -> None:
    """A layer or the encoder by itself, of vectors and a mask, as `model.roberta.encoder`"""
    ours, theirs = exact().roberta, peer().roberta
    x = torch.randn(2, 7, ours.config.hidden_size, dtype=torch.float64)
    mask = torch.ones(2, 1, 1, 7, dtype=torch.bool)
    mask[1, ..., 5:] = False
    added = torch.zeros(mask.shape, dtype=x.dtype).masked_fill(~mask, torch.finfo(x.dtype).min)
    for given in (mask, added):
        for one, other in ((ours.encoder.layer[0], theirs.encoder.layer[0]), (ours.encoder, theirs.encoder)):
            torch.testing.assert_close(one(x, given)[0], other(x, attention_mask=added)[0], **NEAR)
    torch.testing.assert_close(ours.encoder(x)[0], theirs.encoder(x)[0], **NEAR)


def test_hooks_see_tensors() -> None:
    """Forward hooks on any module: they get the tensors, and a tuple that begins with the output of a layer"""
    model, seen = load(), {}
    for name, module in model.named_modules():
        module.register_forward_hook(lambda _, args, out, name=name: seen.update({name: (args, out)}))
    model(**batch())
    layer = "roberta.encoder.layer.0"
    for name in ("roberta.embeddings", f"{layer}.intermediate", f"{layer}.output", f"{layer}.attention.output"):
        assert seen[name][1].ndim == 3
    for name in ("roberta", "roberta.encoder", layer, f"{layer}.attention", f"{layer}.attention.self"):
        assert seen[name][1][0].ndim == 3
        assert all(isinstance(value, torch.Tensor) for value in seen[name][0])


@pytest.mark.parametrize("path", ["encoder.layer.0", "encoder.layer.1.attention", "encoder.layer.0.attention.self"])
@pytest.mark.parametrize("place", ["before", "behind"])
def test_hooks_that_edit(path: str, place: str) -> None:
    """Hooks that put another tensor in the place of a layer's or attention's"""
    results = []
    for model in (exact(), peer()):
        module = model.roberta.get_submodule(path)
        if place == "before":
            module.register_forward_pre_hook(lambda _, args: (args[0] * 0.5, *args[1:]))
        else:
            module.register_forward_hook(lambda _, args, out: (out[0] * 0.5, *out[1:]))
        results.append(at_tokens(model(**batch()).logits))
    torch.testing.assert_close(*results, **NEAR)


def test_another_module_in_a_part_s_place() -> None:
    """A plain `nn.LayerNorm`, or any module, in a part's place"""
    model = load("SequenceClassification")
    expected, part = model(**batch()).logits, model.roberta.encoder.layer[0].output
    plain = nn.LayerNorm(model.config.hidden_size, eps=model.config.layer_norm_eps)
    plain.load_state_dict(part.LayerNorm.state_dict())
    part.LayerNorm = plain
    torch.testing.assert_close(model(**batch()).logits, expected)
    assert "classifier.logits" in model.tape(**batch())


@pytest.mark.parametrize("options", [{"return_dict": False}, {"torchscript": True}], ids=str)
@pytest.mark.parametrize("head", ["Model", "MaskedLM", "SequenceClassification", "QuestionAnswering"])
def test_jit_trace(head: str, options: Any) -> None:
    """`torch.jit.trace(model, (ids, mask))` of a model with `return_dict=False` or `torchscript=True`"""
    model, inputs = load(head, **options).eval(), batch()
    traced = torch.jit.trace(model, (inputs["input_ids"], inputs["attention_mask"]))
    other = tuple(batch("A longer text, with rather more words in it than there were.", "Short.").values())[:2]
    torch.testing.assert_close(traced(*other)[0], model(*other, return_dict=False)[0])


def test_torch_func() -> None:
    """`torch.func`: `functional_call`, `grad` over the parameters, `vmap` over rows and over models"""
    model, inputs = exact("SequenceClassification"), batch()
    parameters = dict(model.named_parameters())

    def logits(parameters: Any, ids: Any, mask: Any) -> Any:
        return torch.func.functional_call(model, parameters, (ids[None], mask[None])).logits[0]

    both = torch.func.vmap(logits, in_dims=(None, 0, 0))(parameters, inputs["input_ids"], inputs["attention_mask"])
    torch.testing.assert_close(both, model(**inputs).logits)
    each = torch.func.vmap(torch.func.grad(lambda *given: logits(*given).sum()), in_dims=(None, 0, 0))
    found = each(parameters, inputs["input_ids"], inputs["attention_mask"])
    model(**inputs).logits[1].sum().backward()
    name = "roberta.encoder.layer.1.output.dense.weight"
    torch.testing.assert_close(found[name][1], parameters[name].grad, **NEAR)


def test_tensors_without_numbers(tmp_path: Path) -> None:
    """The meta device and fake tensors: `with torch.device("meta")`, `model.to("meta")`, `FakeTensorMode`"""
    with torch.device("meta"):
        model = roberta.RobertaForMaskedLM(roberta.RobertaConfig(), backend="torch")
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}
    inputs = {name: value.to("meta") for name, value in batch().items()}
    assert model(**inputs).logits.shape == (*inputs["input_ids"].shape, 50265)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = {name: mode.from_tensor(value) for name, value in batch().items()}
        assert load()(**fake).logits.shape[:2] == fake["input_ids"].shape


@pytest.mark.parametrize("way", ["weight_norm", "spectral_norm", "pruning"])
def test_weights_that_are_computed(way: str, tmp_path: Path) -> None:
    """Weight norm, spectral norm and `torch.nn.utils.prune`: saved are the weights that the model computes with"""
    model = load("SequenceClassification", ignore_mismatched_sizes=True)
    dense = model.roberta.encoder.layer[0].output.dense
    if way == "pruning":
        prune.l1_unstructured(dense, "weight", 0.5)
    else:
        getattr(parametrizations, way)(dense)
    model.eval()
    expected = model(**batch()).logits
    model.save_pretrained(tmp_path)
    again = roberta.RobertaForSequenceClassification.from_pretrained(tmp_path, backend="torch", strict=True)
    torch.testing.assert_close(again(**batch()).logits, expected)
    with pytest.raises(TypeError, match=r"layer\.0\.output\.dense\.weight is computed from other parameters"):
        model.load_state_dict_numpy(again.state_dict_numpy())


@pytest.mark.parametrize("reentrant", [True, False])
def test_gradient_checkpointing(reentrant: bool) -> None:
    """`model.gradient_checkpointing_enable()`, reentrant or not: the same gradients, dropout included"""
    found = []
    for is_on in (False, True):
        model = load("SequenceClassification").train()
        if is_on:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": reentrant})
        assert model.is_gradient_checkpointing is is_on
        calls: list[int] = []
        model.roberta.encoder.layer[0].intermediate.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        torch.manual_seed(3)
        model(**batch(), labels=LABELS).loss.backward()
        assert len(calls) == 1 + is_on
        found.append({name: value.grad for name, value in model.named_parameters()})
        model.gradient_checkpointing_disable()
        assert not model.is_gradient_checkpointing
    for name, gradient in found[0].items():
        assert torch.equal(gradient, found[1][name]), name


def test_what_people_type(tmp_path: Path) -> None:
    """`model.device`, `.dtype`, `.base_model`, `.half()`, `.to(...)`, `tie_weights()`, `get_memory_footprint()`"""
    model = load()
    assert (model.device, model.dtype) == (torch.device("cpu"), torch.float32)
    assert model.base_model is model.roberta
    assert load("Model").base_model.embeddings is not None
    assert model.config_class is roberta.RobertaConfig
    assert model.to(torch.bfloat16).dtype == torch.bfloat16
    assert load(torch_dtype=torch.float16).dtype == torch.float16
    model.lm_head.decoder.weight = nn.Parameter(model.lm_head.decoder.weight.detach().clone())
    model.tie_weights()
    assert model.lm_head.decoder.weight is model.get_input_embeddings().weight
    assert model.get_memory_footprint() == 2 * model.num_parameters()
    table = model.resize_token_embeddings(model.config.vocab_size + 3, pad_to_multiple_of=8, mean_resizing=True)
    assert table.weight.shape[0] == model.config.vocab_size
    assert table.weight.shape[0] % 8 == 0
    config = transformers.RobertaConfig(50, 6, 1, 2, 7)
    assert roberta.RobertaModel(config, backend="torch").config.hidden_size == 6
    assert load(device_map="cpu", trust_remote_code=True, attn_implementation="sdpa", low_cpu_mem_usage=True)
    with pytest.raises(ValueError, match=r"device_map: required one device for the whole model"):
        load(device_map={"roberta": 0, "lm_head": "cpu"})


def test_torchinfo() -> None:
    """torchinfo: `summary(model, input_data={**inputs, "return_dict": False})`"""
    found = torchinfo.summary(load(), input_data={**batch(), "return_dict": False}, verbose=0)
    model = load()  # of which it counts a tied table twice
    assert found.total_params == model.num_parameters() + model.get_input_embeddings().weight.numel()


def test_legacy_onnx_export() -> None:
    """`torch.onnx.export(model, (ids, mask), file, dynamo=False)` of a model with `return_dict=False`"""
    model, inputs, file = load("SequenceClassification", return_dict=False).eval(), batch(), io.BytesIO()
    given = (inputs["input_ids"], inputs["attention_mask"])
    torch.onnx.export(model, given, file, dynamo=False, opset_version=17)
    assert file.tell() > 1000


# -- PEFT and accelerate -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reentrant", [None, True, False])
def test_lora(reentrant: bool | None, tmp_path: Path) -> None:
    """PEFT's LoRA: train (also with gradient checkpointing), save, load, merge"""
    base = load("SequenceClassification").train()
    if reentrant is not None:
        base.gradient_checkpointing_enable({"use_reentrant": reentrant})
        base.enable_input_require_grads()
    config = peft.LoraConfig(task_type="SEQ_CLS", target_modules=["query", "value"])
    model = peft.get_peft_model(base, config)
    model(**batch(), labels=LABELS).loss.backward()
    gradients = {name: value.grad for name, value in model.named_parameters() if "lora_B" in name}
    assert len(gradients) == 2 * base.config.num_hidden_layers
    assert all(value.abs().sum() > 0 for value in gradients.values())
    with pytest.raises(TypeError, match=r"query is a Linear: an adapter.*merge_and_unload"):
        base.state_dict_numpy()
    model.save_pretrained(tmp_path)
    again = peft.PeftModel.from_pretrained(load("SequenceClassification"), tmp_path)
    merged = again.merge_and_unload()
    torch.testing.assert_close(merged(**batch()).logits, model.eval()(**batch()).logits)
    assert type(merged) is type(base)
    merged.save_pretrained(tmp_path / "whole")


def test_prompt_tuning() -> None:
    """PEFT's prompt tuning"""
    config = peft.PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=4)
    model = peft.get_peft_model(load("SequenceClassification"), config)
    model(**batch(), labels=LABELS).loss.backward()
    assert model.prompt_encoder["default"].embedding.weight.grad.abs().sum() > 0


def test_accelerate(tmp_path: Path) -> None:
    """accelerate: `prepare`, `backward`, `save_state`, `unwrap_model(model).save_pretrained(save_function=…)`"""
    accelerator = accelerate.Accelerator(cpu=True)
    model = load("SequenceClassification")
    model, optimizer = accelerator.prepare(model, torch.optim.AdamW(model.parameters()))
    accelerator.backward(model(**batch(), labels=LABELS).loss)
    optimizer.step()
    own, state = accelerator.unwrap_model(model), accelerator.get_state_dict(model)
    own.save_pretrained(tmp_path / "x", is_main_process=True, save_function=accelerator.save, state_dict=state)
    again = roberta.RobertaForSequenceClassification.from_pretrained(tmp_path / "x", backend="torch", strict=True)
    torch.testing.assert_close(again(**batch()).logits, own.eval()(**batch()).logits)
    accelerator.save_state(tmp_path / "state")
    accelerator.load_state(tmp_path / "state")


def test_empty_weights(tmp_path: Path) -> None:
    """accelerate: `init_empty_weights()`, `load_checkpoint_and_dispatch`"""
    expected = load()
    expected.save_pretrained(tmp_path)
    with accelerate.init_empty_weights():
        model = roberta.RobertaForMaskedLM(expected.config, backend="torch")
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}
    model.tie_weights()
    model = accelerate.load_checkpoint_and_dispatch(model, tmp_path, device_map={"": "cpu"})
    torch.testing.assert_close(model(**batch()).logits, expected(**batch()).logits)


def test_data_parallel(monkeypatch: pytest.MonkeyPatch) -> None:
    """`torch.nn.DataParallel(model)`, which Trainer takes where it finds several devices: a dict with the fields' names

    Its copies and what gathers their answers, on processors, where PyTorch copies and gathers nothing.
    """

    class Gather:
        @staticmethod
        def apply(_: Any, dim: int, *parts: torch.Tensor) -> torch.Tensor:
            return torch.cat([torch.atleast_1d(part) for part in parts], dim)

    replicate, gather = (import_module(f"torch.nn.parallel.{name}") for name in ("replicate", "scatter_gather"))
    copies = lambda tensors, devices, detach=False: [[each.clone() for each in tensors] for _ in devices]  # noqa: E731
    monkeypatch.setattr(replicate, "_broadcast_coalesced_reshape", copies)
    monkeypatch.setattr(gather, "Gather", Gather)
    model, inputs = exact("SequenceClassification"), batch()
    replicas = replicate.replicate(model, [0, 1])
    rows = [{name: values[[row]] for name, values in inputs.items()} for row in range(2)]
    answers = [copy(**row, labels=LABELS[[i]]) for i, (copy, row) in enumerate(zip(replicas, rows, strict=True))]
    gathered = gather.gather(answers, 0)
    expected = model(**inputs, labels=LABELS)
    torch.testing.assert_close(gathered.logits, expected.logits, **NEAR)
    torch.testing.assert_close(gathered["loss"].mean(), expected.loss, **NEAR)
    assert gathered[1] is gathered.logits
    with pytest.raises(AttributeError, match="no 'attentions'; there are loss, logits"):
        _ = gathered.attentions
    assert replicas[0].device == model.device
    assert isinstance(expected, roberta.reference.outputs.Output)


# -- transformers ------------------------------------------------------------------------------------------------------

SENTENCE = "She said that he was a <mask> man."
PIPELINES: dict[str, tuple[str, Any, Any]] = {
    "fill-mask": ("MaskedLM", {}, (SENTENCE,)),
    "text-classification": ("SequenceClassification", {}, (TEXTS,)),
    "token-classification": ("TokenClassification", {}, (TEXTS,)),
    "question-answering": ("QuestionAnswering", {}, ("Who came?", "Mr. Bennet came to the ball.")),
    "feature-extraction": ("Model", {}, (TEXTS,)),
    "text-generation": ("CausalLM", {"is_decoder": True}, ("She was",)),
}


@pytest.mark.parametrize("task", PIPELINES)
def test_pipelines(task: str) -> None:
    """transformers' `pipeline(task, model=model, tokenizer=tokenizer)`

    Fill-mask, text and token classification, question answering, feature extraction, text generation.
    """
    head, options, texts = PIPELINES[task]
    model = load(head, dtype="float64", **options)
    theirs = getattr(transformers, type(model).__name__.removeprefix("Torch"))
    tokenizer = transformers.RobertaTokenizerFast.from_pretrained(FOLDER)
    given = {"max_new_tokens": 3, "do_sample": False} if task == "text-generation" else {}
    state = {name: torch.from_numpy(value) for name, value in model.state_dict_numpy().items()}
    other = theirs(transformers.RobertaConfig(**model.config.to_dict())).double().eval()
    other.load_state_dict(state, strict=False)
    found, expected = (
        transformers.pipeline(task, model=each, tokenizer=tokenizer)(*texts, **given) for each in (model, other)
    )
    if task == "text-generation":  # which HF continues from other positions than its own forward pass takes
        assert found[0]["generated_text"].startswith("She was")
    else:
        same(found, expected)


@pytest.mark.parametrize("task", ["fill-mask", "text-classification", "feature-extraction"])
def test_pipelines_of_a_batch(task: str) -> None:
    """transformers' pipelines with `batch_size=2`, which makes the record of each text out of that of the batch"""
    head, options, texts = PIPELINES[task]
    many = [SENTENCE if task == "fill-mask" else texts[0][0]] * 3  # of one length: features have padding, too
    pipeline = transformers.pipeline(task, model=load(head, dtype="float64", **options), tokenizer=TOKENIZER)
    same(pipeline(many, batch_size=2), pipeline(many))


def same(one: Any, other: Any) -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            same(one[key], other[key])
    elif isinstance(one, list):
        for pair in zip(one, other, strict=True):
            same(*pair)
    elif isinstance(one, float):
        assert one == pytest.approx(other, abs=NEAR["atol"])
    else:
        assert str(one) == str(other)


class Rows(torch.utils.data.Dataset):
    """So many short texts, with labels."""

    def __init__(self, count: int) -> None:
        self.rows = [TOKENIZER(f"It is chapter {i}.") | {"labels": i % 2} for i in range(count)]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> Any:
        return self.rows[i]


def trainer(folder: Path, model: Any, **options: Any) -> Any:
    arguments = transformers.TrainingArguments(
        output_dir=str(folder), per_device_train_batch_size=4, max_steps=4, save_steps=2, eval_steps=2, report_to=[],
        use_cpu=True, disable_tqdm=True, eval_strategy="steps", save_strategy="steps", load_best_model_at_end=True,
        **options,
    )  # fmt: skip
    tokenizer = transformers.RobertaTokenizerFast.from_pretrained(FOLDER)
    is_language = type(model).__name__.endswith("MaskedLM")
    collator = (
        transformers.DataCollatorForLanguageModeling(tokenizer)
        if is_language
        else transformers.DataCollatorWithPadding(tokenizer)
    )
    rows = [{"input_ids": row["input_ids"]} for row in Rows(8).rows] if is_language else Rows(8)
    return Trainer(model=model, args=arguments, train_dataset=rows, eval_dataset=rows, data_collator=collator)


@pytest.mark.parametrize("head", ["SequenceClassification", "MaskedLM"])
@pytest.mark.parametrize("options", [{}, {"gradient_checkpointing": True}], ids=str)
def test_trainer(head: str, options: Any, tmp_path: Path) -> None:
    """transformers' Trainer, as `from roberta.clients.transformers import Trainer`: saves, resumes, reloads the best"""
    one = trainer(tmp_path, load(head), **options)
    one.train()
    assert one.evaluate()["eval_loss"] > 0
    assert one.predict(one.eval_dataset).predictions.ndim >= 2
    best = checkpoint.read_tensors(Path(one.state.best_model_checkpoint))
    name = "roberta.encoder.layer.0.output.dense.weight"
    assert (one.model.state_dict_numpy()[name] == best[name]).all()
    one.save_model(str(tmp_path / "final"))
    expected = one.model.double().eval()(**batch()).logits
    for library, options_of in ((roberta, {"backend": "torch"}), (transformers, {})):
        again = getattr(library, f"RobertaFor{head}").from_pretrained(tmp_path / "final", **options_of)
        torch.testing.assert_close(again.double().eval()(**batch()).logits, expected, **NEAR)
    resumed = trainer(tmp_path, load(head), **options)
    resumed.train(resume_from_checkpoint=True)
    assert resumed.state.global_step == 4


class Weighted(Trainer):
    """A trainer with a loss of one's own, as everybody writes it."""

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **options: Any) -> Any:
        labels = inputs.pop("labels")
        outputs = model(**inputs)
        loss = nn.functional.cross_entropy(outputs.logits, labels, torch.tensor([1.0, 2.0]))
        return (loss, outputs) if return_outputs else loss


@pytest.mark.parametrize(("kind", "options"), [(Weighted, {}), (Trainer, {"label_smoothing_factor": 0.1})])
def test_trainer_with_another_loss(kind: Any, options: Any, tmp_path: Path) -> None:
    """Trainer with `compute_loss` of one's own, or `label_smoothing_factor=`: predictions are the logits"""
    arguments = transformers.TrainingArguments(str(tmp_path), report_to=[], use_cpu=True, disable_tqdm=True, **options)
    one = kind(model=load("SequenceClassification"), args=arguments, processing_class=TOKENIZER)
    assert one.predict(Rows(3)).predictions.shape == (3, 2)
    assert isinstance(one.model(**batch()), roberta.reference.outputs.Output)


# -- what transformers' own test suite asks of a model -----------------------------------------------------------------


def test_loading_info() -> None:
    """`from_pretrained(pretrained_model_name_or_path=folder, output_loading_info=True)`"""
    keys = ("missing_keys", "unexpected_keys", "mismatched_keys")
    _, theirs = transformers.RobertaForTokenClassification.from_pretrained(FOLDER, output_loading_info=True)
    model, ours = roberta.TorchRobertaForTokenClassification.from_pretrained(
        pretrained_model_name_or_path=FOLDER, output_loading_info=True
    )
    assert isinstance(model, torch.nn.Module)
    assert {key: sorted(ours[key]) for key in keys} == {key: sorted(theirs[key]) for key in keys}
    assert ours["error_msgs"] == theirs["error_msgs"] == []


def test_state_dict_in_place_of_a_folder() -> None:
    """`from_pretrained(None, config=config, state_dict=state)`: the state stays its owner's"""
    model = load()
    other = roberta.TorchRobertaForMaskedLM.from_pretrained(None, config=model.config, state_dict=model.state_dict())
    assert torch.equal(other(**batch()).logits, model(**batch()).logits)
    with torch.no_grad():
        other.lm_head.bias.add_(1)
    assert not torch.equal(other.lm_head.bias, model.lm_head.bias)
    for given in ({}, {"config": model.config}, {"state_dict": model.state_dict()}):
        with pytest.raises(TypeError, match=r"required a folder.*or config= and state_dict=, got None"):
            roberta.TorchRobertaForMaskedLM.from_pretrained(**given)


def test_attention_implementation() -> None:
    """`model.set_attn_implementation("eager")`, of which there is nothing to choose; `_from_config`"""
    model = load()
    expected = model(**batch()).logits
    for name in ("eager", "sdpa"):
        model.set_attn_implementation(name)
        assert torch.equal(model(**batch()).logits, expected)
    with pytest.raises(ValueError, match=r"attn_implementation: required one of \['sdpa', 'eager'\], got 'flash'"):
        model.set_attn_implementation("flash")
    made = type(model)._from_config(model.config, attn_implementation="eager", torch_dtype=torch.float64)
    assert made.dtype == torch.float64


def test_pruning_from_the_end() -> None:
    """`model.prune_heads({-1: [0]})`: the last layer"""
    last = load().config.num_hidden_layers - 1
    one, other = load().prune_heads({-1: [0]}), load().prune_heads({last: [0]})
    assert one.config.pruned_heads == other.config.pruned_heads == {last: [0]}
    assert load().prune_heads({-1: [0], last: [1]}).config.pruned_heads == {last: [0, 1]}
    assert torch.equal(one(**batch()).logits, other(**batch()).logits)


def test_tied_weights() -> None:
    """`model._tied_weights_keys`, which accelerate and safetensors ask for"""
    assert sorted(load()._tied_weights_keys) == ["lm_head.decoder.bias", "lm_head.decoder.weight"]
    assert load("Model", add_pooling_layer=False)._tied_weights_keys == []
