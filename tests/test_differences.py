"""Each row of the first table of docs/differences.md, run on both sides: what transformers 4.57.6 does, what we do.

Our side runs on every engine: a check names none, and `test_row` sets the default. The rows of its TensorFlow and Flax
classes are in tests/test_differences_frameworks.py.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roberta
import torch
import transformers
from roberta.dispatch.api import FACES
from roberta.reference.outputs import to_numpy
from roberta.reference.parameters import CLASS_NAMES
from safetensors.numpy import load_file, save_file

pytestmark = [pytest.mark.torch, pytest.mark.hf]

PAGE = Path(roberta.__file__).resolve().parent / "docs" / "differences.md"
SIZES = {
    "vocab_size": 53,
    "num_attention_heads": 3,
    "hidden_size": 21,
    "num_hidden_layers": 2,
    "intermediate_size": 31,
    "max_position_embeddings": 23,
    "type_vocab_size": 5,
    "layer_norm_eps": 1e-5,
    "initializer_range": 0.3,
}
IDS = np.array([[0, 5, 6, 7, 8, 2]])
DECODER = {"is_decoder": True}
CROSS = {"is_decoder": True, "add_cross_attention": True}

#: First column of the table -> its check.
CHECKS: dict[str, Callable[[], None]] = {}


def row(name: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    def register(check: Callable[[], None]) -> Callable[[], None]:
        CHECKS[name] = check
        return check

    return register


def pair(head: str = "masked_lm", attention: str = "eager", **overrides: Any) -> tuple[Any, Any]:
    """The peer's model and ours, in float64, with the same random weights and no dropout."""
    torch.manual_seed(0)
    config = transformers.RobertaConfig(**{**SIZES, **overrides}, attn_implementation=attention)
    peer = getattr(transformers, CLASS_NAMES[head])(config).double().eval()
    ours = FACES[head](roberta.RobertaConfig(**{**SIZES, **overrides}), dtype="float64")
    ours.load_state_dict_numpy({name: tensor.numpy() for name, tensor in peer.state_dict().items()})
    return peer, ours.train(False)


def tensors(**inputs: Any) -> dict[str, Any]:
    return {name: torch.tensor(value) if isinstance(value, np.ndarray) else value for name, value in inputs.items()}


def far(a: Any, b: Any) -> bool:
    return bool(np.abs(to_numpy(a) - to_numpy(b)).max() > 1e-3)


def near(a: Any, b: Any) -> bool:
    return np.allclose(to_numpy(a), to_numpy(b), rtol=0, atol=1e-10)


def last(output: Any) -> Any:
    """The logits of the last token."""
    return to_numpy(output.logits)[:, -1]


def stepwise(
    model: Any, inputs: dict[str, Any], kind: Callable[[Any], Any], name: str = "input_ids"
) -> tuple[Any, Any]:
    """The last token's logits in one pass, and with all but the last token cached."""
    mask = inputs.get("attention_mask")
    whole = model(**{key: kind(value) for key, value in inputs.items()}, use_cache=False)
    front = {name: kind(inputs[name][:, :-1])} | ({} if mask is None else {"attention_mask": kind(mask[:, :-1])})
    past = model(**front, use_cache=True).past_key_values
    end = {name: kind(inputs[name][:, -1:])} | ({} if mask is None else {"attention_mask": kind(mask)})
    return last(whole), last(model(**end, past_key_values=past, use_cache=True))


# -- decoder and cache -------------------------------------------------------------------------------------------------


@row("relative positions with a cache")
def _() -> None:
    peer, ours = pair("causal_lm", **DECODER, position_embedding_type="relative_key")
    with torch.no_grad():
        plain, cached = (peer(torch.tensor(IDS), use_cache=cache).logits for cache in (False, True))
    assert far(plain, cached)
    assert near(ours(IDS, use_cache=False).logits, ours(IDS, use_cache=True).logits)
    assert near(plain, ours(IDS).logits)


@row("left padding with a cache")
def _() -> None:
    peer, ours = pair("causal_lm", **DECODER)
    inputs = {"input_ids": np.array([[1, 1, 5, 6, 7, 8]]), "attention_mask": np.array([[0, 0, 1, 1, 1, 1]])}
    with torch.no_grad():
        assert far(*stepwise(peer, inputs, torch.tensor))
    assert near(*stepwise(ours, inputs, np.asarray))


@row("embeddings with a cache")
def _() -> None:
    peer, ours = pair("causal_lm", **DECODER)
    inputs = {"inputs_embeds": np.random.default_rng(0).standard_normal((1, 6, 21))}
    with torch.no_grad():
        assert far(*stepwise(peer, inputs, torch.tensor, "inputs_embeds"))
    assert near(*stepwise(ours, inputs, np.asarray, "inputs_embeds"))


@row("cached cross-attention")
def _() -> None:
    peer, ours = pair("causal_lm", **CROSS)
    source = np.random.default_rng(0).standard_normal((1, 4, 21))

    def second(model: Any, kind: Callable[[Any], Any], **again: Any) -> Any:
        past = model(kind(IDS[:, :-1]), encoder_hidden_states=kind(source), use_cache=True).past_key_values
        return last(model(kind(IDS[:, -1:]), past_key_values=past, use_cache=True, **again))

    with torch.no_grad():
        given = second(peer, torch.tensor, encoder_hidden_states=torch.tensor(source))
        assert far(second(peer, torch.tensor), given)
    assert near(second(ours, np.asarray), given)


@row("attentions of a decoder that got no encoder states")
def _() -> None:
    peer, ours = pair("model", **CROSS)
    with pytest.raises(IndexError):
        peer(torch.tensor(IDS), output_attentions=True)
    output = ours(IDS, output_attentions=True)
    assert "cross_attentions" not in output
    assert len(output.attentions) == 2


@row("encoder states for a model without cross-attention")
def _() -> None:
    peer, ours = pair("model")
    source = np.zeros((1, 4, 21))
    with torch.no_grad():
        assert near(peer(**tensors(input_ids=IDS, encoder_hidden_states=source))[0], peer(torch.tensor(IDS))[0])
    with pytest.raises(ValueError, match=r"encoder_hidden_states.*add_cross_attention"):
        ours(IDS, encoder_hidden_states=source)


@row("`use_cache=True` of an encoder")
def _() -> None:
    peer, ours = pair("model")
    assert peer(torch.tensor(IDS), use_cache=True).past_key_values is None
    with pytest.raises(ValueError, match=r"use_cache.*is_decoder=True"):
        ours(IDS, use_cache=True)


# -- masks and arguments -----------------------------------------------------------------------------------------------


@row("a mask for another batch")
def _() -> None:
    peer, ours = pair()
    mask = np.ones((2, 6), int)
    mask[0, 2] = 0
    with torch.no_grad():
        assert peer(**tensors(input_ids=IDS, attention_mask=mask)).logits.shape[0] == 2
    with pytest.raises(ValueError, match=r"attention_mask: expected \(B, S\) = \(1, 6\)"):
        ours(IDS, attention_mask=mask)


@row("a mask of ones with another length")
def _() -> None:
    peer, ours = pair(attention="sdpa")
    mask = np.ones((1, 4), int)
    with torch.no_grad():
        peer(**tensors(input_ids=IDS, attention_mask=mask))
    with pytest.raises(ValueError, match=r"attention_mask: expected \(B, S\) = \(1, 6\)"):
        ours(IDS, attention_mask=mask)


@row("mask values other than 0 and 1")
def _() -> None:
    mask = np.array([[1, 1, 2, 1, 1, 1]])
    found = [
        pair(attention=attention)[0](**tensors(input_ids=IDS, attention_mask=mask)) for attention in ("eager", "sdpa")
    ]
    assert far(*(output.logits.detach() for output in found))
    with pytest.raises(ValueError, match="attention_mask: expected zeros and ones"):
        pair()[1](IDS, attention_mask=mask)


@row("a head mask for more layers than there are")
def _() -> None:
    peer, ours = pair()
    mask = np.ones((3, 3))
    with torch.no_grad():
        peer(**tensors(input_ids=IDS, head_mask=mask))
    with pytest.raises(ValueError, match="head_mask"):
        ours(IDS, head_mask=mask)


@row("a mask from token to token for multiple choice")
def _() -> None:
    peer, ours = pair("multiple_choice")
    ids = np.stack([IDS, IDS + 1], axis=1)
    mask = np.tri(6, dtype=int)[None, None].repeat(2, 1)
    with pytest.raises((ValueError, RuntimeError)):
        peer(**tensors(input_ids=ids, attention_mask=mask))
    assert ours(ids, attention_mask=mask).logits.shape == (1, 2)


@row("unknown arguments of a causal language model")
def _() -> None:
    peer, ours = pair("causal_lm", **DECODER)
    with torch.no_grad():
        assert near(peer(torch.tensor(IDS), atention_mask=1).logits, peer(torch.tensor(IDS)).logits)
    with pytest.raises(TypeError, match=r"atention_mask.*Did you mean 'attention_mask'"):
        ours(IDS, atention_mask=1)


@row("ids as lists or NumPy arrays")
def _() -> None:
    peer, ours = pair()
    for ids in (IDS, IDS.tolist()):
        with pytest.raises((TypeError, AttributeError)):
            peer(ids)
        assert ours(ids).logits.shape == (1, 6, 53)


@row("more tokens than there are positions")
def _() -> None:
    peer, ours = pair()
    ids = np.full((1, 23), 5)
    with pytest.raises(IndexError, match="out of range"):
        peer(torch.tensor(ids))
    with pytest.raises(ValueError, match=r"input_ids: expected at most 21 tokens a row .*23 - 1 - 1"):
        ours(ids)


@row("padding without a mask")
def _() -> None:
    peer, ours = pair()
    ids = np.array([[0, 5, 2, 1]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        peer(torch.tensor(ids))  # a line in the log, once in a process
    with pytest.warns(UserWarning, match="padding is attended to"):
        ours(ids)


@row("padding in front of a classifier")
def _() -> None:
    peer, ours = pair("sequence_classification")
    inputs = {"input_ids": np.array([[1, 0, 5, 2]]), "attention_mask": np.array([[0, 1, 1, 1]])}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        peer(**tensors(**inputs))
    with pytest.warns(UserWarning, match="first token, which is masked"):
        ours(**inputs)


@row("feed-forward chunks that do not divide the length")
def _() -> None:
    peer, ours = pair(chunk_size_feed_forward=4)
    with pytest.raises(ValueError, match="chunk"):
        peer(torch.tensor(IDS))
    assert near(ours(IDS).logits, pair()[1](IDS).logits)


# -- outputs -----------------------------------------------------------------------------------------------------------


@row("the tuple of a model without a pooler")
def _() -> None:
    config = {**SIZES}
    peer = transformers.RobertaModel(transformers.RobertaConfig(**config), add_pooling_layer=False).eval()
    ours = roberta.RobertaModel(roberta.RobertaConfig(**config), add_pooling_layer=False)
    assert peer(torch.tensor(IDS), return_dict=False)[1] is None
    assert len(ours(IDS, return_dict=False)) == 1


@row("the order of a record's names")
def _() -> None:
    peer, ours = pair("model", **DECODER)
    asked = {"output_hidden_states": True, "use_cache": True}
    theirs, plain = peer(torch.tensor(IDS), **asked), peer(torch.tensor(IDS), **asked, return_dict=False)
    assert list(theirs)[2] == "hidden_states"
    assert type(plain[2]).__name__ == type(theirs.past_key_values).__name__
    output = ours(IDS, **asked)
    assert list(output)[2] == "past_key_values"
    assert output.to_tuple()[2] is output.past_key_values


# -- losses ------------------------------------------------------------------------------------------------------------


@row("labels that are all ignored")
def _() -> None:
    peer, ours = pair()
    labels = np.full_like(IDS, -100)
    assert torch.isnan(peer(**tensors(input_ids=IDS, labels=labels)).loss)
    assert ours(IDS, labels=labels).loss == 0
    if hasattr(ours.engine, "gradients"):
        found = ours.engine.gradients(ours, {"input_ids": IDS, "labels": labels})
        assert not any(gradient.any() for gradient in found.values())


@row("negative answer positions")
def _() -> None:
    peer, ours = pair("question_answering")
    inputs = {"input_ids": IDS, "start_positions": np.array([-3]), "end_positions": np.array([2])}
    first = {**inputs, "start_positions": np.array([0])}
    assert near(peer(**tensors(**inputs)).loss.detach(), peer(**tensors(**first)).loss.detach())
    with pytest.raises(ValueError, match=r"start_positions.*-3"):
        ours(**inputs)


@row("one of the two answer positions")
def _() -> None:
    peer, ours = pair("question_answering")
    assert peer(**tensors(input_ids=IDS, start_positions=np.array([1]))).loss is None
    with pytest.raises(ValueError, match="both start_positions and end_positions"):
        ours(IDS, start_positions=[1])


@row("an inferred problem type")
def _() -> None:
    peer, ours = pair("sequence_classification")
    peer(**tensors(input_ids=IDS, labels=np.array([1])))
    ours(IDS, labels=[1])
    assert peer.config.problem_type == "single_label_classification"
    assert ours.config.problem_type is None


@row("int32 labels")
def _() -> None:
    peer, ours = pair()
    with pytest.raises(RuntimeError):
        peer(**tensors(input_ids=IDS, labels=IDS.astype(np.int32)))
    assert near(ours(IDS, labels=IDS.astype(np.int32)).loss, ours(IDS, labels=IDS).loss)


@row("integer labels for several labels at once")
def _() -> None:
    peer, ours = pair("sequence_classification", num_labels=3, problem_type="multi_label_classification")
    labels = np.array([[1, 0, 1]])
    with pytest.raises(RuntimeError):
        peer(**tensors(input_ids=IDS, labels=labels))
    assert near(ours(IDS, labels=labels).loss, ours(IDS, labels=labels.astype(float)).loss)


@row("regression labels of another shape")
def _() -> None:
    peer, ours = pair("sequence_classification", num_labels=3, problem_type="regression")
    with pytest.warns(UserWarning, match="broadcast"):
        peer(**tensors(input_ids=IDS, labels=np.array([[1.0]])))
    with pytest.raises(ValueError, match=r"labels: expected \(B, L\) = \(1, 3\), got \(1, 1\)"):
        ours(IDS, labels=np.array([[1.0]]))


@row("the causal loss in float64")
def _() -> None:
    peer, ours = pair("causal_lm", **DECODER)
    assert peer(**tensors(input_ids=IDS, labels=IDS)).loss.dtype == torch.float32
    assert to_numpy(ours(IDS, labels=IDS).loss).dtype == np.float64


# -- configuration -----------------------------------------------------------------------------------------------------


@row("values out of range in a configuration")
def _() -> None:
    transformers.RobertaConfig(hidden_dropout_prob=7.0)
    with pytest.raises(ValueError, match="hidden_dropout_prob"):
        roberta.RobertaConfig(hidden_dropout_prob=7.0)


@row("misspelt fields")
def _() -> None:
    assert transformers.RobertaConfig(hiden_size=5).hiden_size == 5
    with pytest.raises(TypeError, match="Did you mean 'hidden_size'"):
        roberta.RobertaConfig(hiden_size=5)


@row("an unknown position type")
def _() -> None:
    peer, _ = pair("model")
    peer.config.position_embedding_type = "rotary"
    blind = transformers.RobertaModel(peer.config).eval()
    moved = torch.tensor(IDS[:, [0, 2, 1, 3, 4, 5]])
    with torch.no_grad():
        assert torch.allclose(blind(torch.tensor(IDS))[0][0, 1], blind(moved)[0][0, 2], atol=1e-5)
    with pytest.raises(ValueError, match="position_embedding_type"):
        roberta.RobertaConfig(position_embedding_type="rotary")


@row("label names given one way only")
def _() -> None:
    assert transformers.RobertaConfig(label2id={"a": 0, "b": 1, "c": 2}).num_labels == 2
    assert roberta.RobertaConfig(label2id={"a": 0, "b": 1, "c": 2}).id2label == {0: "a", 1: "b", 2: "c"}
    assert transformers.RobertaConfig(id2label={0: "a"}).label2id is None
    assert roberta.RobertaConfig(id2label={0: "a"}).label2id == {"a": 0}


@row("`num_labels` that contradicts the label names")
def _() -> None:
    assert transformers.RobertaConfig(num_labels=2, id2label={0: "a", 1: "b", 2: "c"}).num_labels == 3
    with pytest.raises(ValueError, match="num_labels=2 contradicts id2label"):
        roberta.RobertaConfig(num_labels=2, id2label={0: "a", 1: "b", 2: "c"})


@row("question answering with other than two labels")
def _() -> None:
    transformers.RobertaForQuestionAnswering(transformers.RobertaConfig(**SIZES, num_labels=3))
    with pytest.raises(ValueError, match="num_labels=2"):
        roberta.RobertaForQuestionAnswering(roberta.RobertaConfig(**SIZES, num_labels=3))


@row("the mode of a fresh model")
def _() -> None:
    assert transformers.RobertaModel(transformers.RobertaConfig(**SIZES)).training
    for backend in roberta.available_backends():
        assert not roberta.RobertaModel(roberta.RobertaConfig(**SIZES), backend=backend).training


@row("editing the configuration of a model")
def _() -> None:
    peer, ours = pair("token_classification")
    peer.config.num_labels = 5
    assert peer(torch.tensor(IDS)).logits.shape[-1] == 2
    with pytest.raises(AttributeError, match=r"config\.replace\(num_labels=5\)"):
        ours.config.num_labels = 5


# -- files, sizes, weights ---------------------------------------------------------------------------------------------


def saved(tmp_path: Path) -> Path:
    roberta.RobertaModel(roberta.RobertaConfig(**SIZES)).save_pretrained(tmp_path)
    return tmp_path


@row("a configuration that was saved and loaded")
def _(tmp_path: Path) -> None:
    for config in (transformers.RobertaConfig(**SIZES), roberta.RobertaConfig(**SIZES)):
        config.save_pretrained(tmp_path)
        loaded = type(config).from_pretrained(tmp_path)
        assert (loaded == config) is isinstance(config, roberta.RobertaConfig)


@row("a checkpoint that lacks parameters")
def _(tmp_path: Path) -> None:
    folder = saved(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        transformers.RobertaForTokenClassification.from_pretrained(folder)  # a line in the log
    with pytest.warns(UserWarning, match="classifier.*random.*logits"):
        roberta.RobertaForTokenClassification.from_pretrained(folder)
    with pytest.raises(ValueError, match="classifier"):
        roberta.RobertaForTokenClassification.from_pretrained(folder, strict=True)


def rewritten(folder: Path, change: Callable[[str, Any], tuple[str, Any]]) -> Path:
    tensors = load_file(folder / "model.safetensors")
    changed = dict(change(name, array) for name, array in tensors.items())
    save_file(changed, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@row("a checkpoint of another model")
def _(tmp_path: Path) -> None:
    wanted = roberta.RobertaModel(roberta.RobertaConfig(**SIZES)).state_dict_numpy()["pooler.dense.weight"]
    folder = rewritten(saved(tmp_path), lambda name, array: (f"somebody.{name}", array))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = transformers.RobertaModel.from_pretrained(folder).pooler.dense.weight
    assert far(drawn, wanted)
    with pytest.raises(ValueError, match=r'got none of them.*removeprefix\("somebody\."\)'):
        roberta.RobertaModel.from_pretrained(folder)


@row("a weight that is too large for the dtype asked for")
def _(tmp_path: Path) -> None:
    folder = rewritten(saved(tmp_path), lambda name, array: (name, array.astype(np.float64) + 1e300))
    assert torch.isinf(transformers.RobertaModel.from_pretrained(folder, dtype=torch.float32).pooler.dense.weight).all()
    with pytest.raises(ValueError, match=r'finite in float32 .*got 1e\+300 at .*dtype="float64"'):
        roberta.RobertaModel.from_pretrained(folder)


@row("text that is drawn")
def _() -> None:
    peer, ours = pair("causal_lm", **DECODER)
    rows = torch.tensor([[0, 5, 6], [0, 7, 8], [0, 9, 10]])
    asked = {"max_new_tokens": 9, "do_sample": True, "eos_token_id": 52, "pad_token_id": 1}
    theirs, own = [], []
    for batch in (rows[:2], rows):
        torch.manual_seed(0)
        theirs.append(peer.generate(batch, attention_mask=torch.ones_like(batch), **asked)[1].tolist())
        own.append(to_numpy(ours.generate(batch.numpy(), **{**asked, "eos_token_id": ()}))[1].tolist())
    assert theirs[0] != theirs[1]
    assert own[0] == own[1]


@row("positions of a text that is written on")
def _() -> None:
    peer, ours = pair("causal_lm", **DECODER)
    asked = {"max_new_tokens": 9, "eos_token_id": 52, "pad_token_id": 1}
    ids, theirs = IDS[:, :3], peer.generate(torch.tensor(IDS[:, :3]), suppress_tokens=[1, 52], **asked)
    for _ in range(9):
        logits = last(peer(torch.tensor(ids), use_cache=False))
        logits[:, [1, 52]] = -np.inf
        ids = np.concatenate([ids, logits.argmax(-1)[:, None]], axis=1)
    assert theirs.tolist() != ids.tolist()
    assert to_numpy(ours.generate(IDS[:, :3], suppress_tokens=[52], **asked)).tolist() == ids.tolist()


@row("padding in a text that is written on")
def _() -> None:
    peer, ours = pair("causal_lm", **DECODER)
    bias = np.where(np.arange(53) == 1, 1e4, 0.0)
    peer.lm_head.bias.data += torch.tensor(bias)
    ours.load_state_dict_numpy({"lm_head.bias": bias}, strict=False)
    asked = {"max_new_tokens": 5, "eos_token_id": 52, "pad_token_id": 1}
    assert peer.generate(torch.tensor(IDS), **asked)[0, 6:].tolist() == [1] * 5
    assert 1 not in to_numpy(ours.generate(IDS, **asked))[0, 6:]


@row("settings of `generate` that nobody names")
def _() -> None:
    default = transformers.GenerationConfig()
    assert (default.max_length, default.max_new_tokens, default.top_k) == (20, None, 50)
    _, ours = pair("causal_lm", **DECODER, max_position_embeddings=43)
    assert to_numpy(ours.generate(IDS, eos_token_id=())).shape == (1, 26)
    assert ours.generation_config.top_k is None
    assert to_numpy(ours.generate(IDS, eos_token_id=(), generation_config=default)).shape == (1, 20)


@row("assistants and groups of beams in `generate`")
def _() -> None:
    peer, ours = pair("causal_lm", **DECODER)
    told = {"eos_token_id": 52, "pad_token_id": 1, "max_new_tokens": 3}
    assert peer.generate(torch.tensor(IDS), prompt_lookup_num_tokens=2, **told).shape == (1, 9)
    for asked, said in (
        ({"prompt_lookup_num_tokens": 2}, "no assisted decoding: leave it out"),
        ({"num_beam_groups": 2, "num_beams": 4}, "ask for num_beams alone"),
    ):
        with pytest.raises(TypeError, match=said):
            ours.generate(IDS, **asked)


@row("flags other than True and False")
def _() -> None:
    peer, ours = pair()
    assert "logits" in peer(torch.tensor(IDS), return_dict="junk")
    with pytest.raises(TypeError, match="return_dict: expected True, False or None, got str: 'junk'"):
        ours(IDS, return_dict="junk")


@row("a folder that does not exist")
def _() -> None:
    with pytest.raises((OSError, ValueError), match=r"(?i)repo id"):
        transformers.RobertaModel.from_pretrained("/no/where", local_files_only=True)
    with pytest.raises(FileNotFoundError, match="give an existing folder"):
        roberta.RobertaModel.from_pretrained("/no/where")


@row("cutting special ids off the vocabulary")
def _() -> None:
    peer, ours = pair()
    peer.resize_token_embeddings(1)
    with pytest.raises(ValueError, match="at least 3"):
        ours.resize_token_embeddings(1)


@row("new rows of the vocabulary")
def _() -> None:
    peer, ours = pair()
    with torch.no_grad():
        peer.get_input_embeddings().weight.add_(5.0)
    assert peer.resize_token_embeddings(59).weight[-1].mean() > 4
    ours.load_state_dict_numpy({"roberta.embeddings.word_embeddings.weight": np.full((53, 21), 5.0)}, strict=False)
    ours.resize_token_embeddings(59)
    assert np.abs(ours.state_dict_numpy()["roberta.embeddings.word_embeddings.weight"][-1].mean()) < 1


@row("pruning every head of a layer")
def _() -> None:
    peer, ours = pair()
    with pytest.warns(UserWarning, match="zero-element tensors"):
        peer.prune_heads({0: [0, 1, 2]})
    with pytest.raises(RuntimeError):
        peer(torch.tensor(IDS))
    with pytest.raises(ValueError, match="no head left"):
        ours.prune_heads({0: [0, 1, 2]})


@row("initial weights")
def _() -> None:
    config = roberta.RobertaConfig(**SIZES)
    own, by_numpy = (roberta.RobertaModel(config, backend=name, seed=3).state_dict_numpy() for name in (None, "numpy"))
    assert all(np.array_equal(own[name], by_numpy[name]) for name in by_numpy)


# -- tokenizer ---------------------------------------------------------------------------------------------------------


def tokenizers(tmp_path: Path) -> tuple[Any, Any]:
    ours = roberta.RobertaTokenizer.train(["She was glad to see him."] * 3, vocab_size=270)
    ours.save_pretrained(tmp_path)
    return transformers.RobertaTokenizer.from_pretrained(tmp_path), ours


@row("unknown options of the tokenizer")
def _(tmp_path: Path) -> None:
    theirs, ours = tokenizers(tmp_path)
    theirs("She", nonsense=1)
    with pytest.raises(TypeError, match="nonsense"):
        ours("She", nonsense=1)


@row("truncation that cannot succeed")
def _(tmp_path: Path) -> None:
    theirs, ours = tokenizers(tmp_path)
    asked = {"truncation": "only_second", "max_length": 5}
    assert len(theirs("She was glad to see him.", "She", **asked)["input_ids"]) > 5
    with pytest.raises(ValueError, match="truncation"):
        ours("She was glad to see him.", "She", **asked)


@row("a new spelling for a special token")
def _(tmp_path: Path) -> None:
    theirs, ours = tokenizers(tmp_path)
    theirs.mask_token = "<blank>"  # noqa: S105  # no password
    assert theirs.mask_token_id == theirs.unk_token_id
    with pytest.raises(ValueError, match="mask_token: expected a token of the vocabulary"):
        ours.mask_token = "<blank>"  # noqa: S105


# -- the table ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CHECKS)
def test_row(name, backend, request):
    check: Any = CHECKS[name]
    with roberta.use_backend(backend):
        check(*[request.getfixturevalue("tmp_path")] * check.__code__.co_argcount)


def test_the_table_has_these_rows_and_no_others():
    text, _, _ = PAGE.read_text(encoding="utf-8").partition("\n## ")
    rows = re.findall(r"^\| ([^|]+?) \|", text, re.MULTILINE)
    assert [name for name in rows if name not in {"where", "---"}] == list(CHECKS)
