"""transformers 4.57.6 on TensorFlow, Flax and PyTorch: its files are read on every engine, and it reads ours.

Its own conversions from TensorFlow and Flax to PyTorch are broken in this release, so what it computes is compared.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import flax
import h5py
import msgpack
import numpy as np
import pytest
import roberta
import tensorflow as tf
import transformers
from flax import traverse_util
from roberta.reference.parameters import CLASS_NAMES, HEADS

pytestmark = [pytest.mark.hf, pytest.mark.filterwarnings("ignore")]
#: Of libraries that are asked for by their files only.
USED = (flax, h5py, msgpack, tf)
SIZES: Any = {
    "vocab_size": 23, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12,
    "max_position_embeddings": 16, "type_vocab_size": 2,
}  # fmt: skip
FILES = {"TF": "tf_model.h5", "Flax": "flax_model.msgpack", "": "pytorch_model.bin"}
FORMATS = {"TF": "h5", "Flax": "msgpack", "": "pytorch"}
#: Each head in one file, and two in shards.
CASES = [*((head, "5GB") for head in HEADS), ("model", "2KB"), ("masked_lm", "2KB")]
TEXT = [[0, 5, 6, 7, 2]]


@cache
def peer(head: str, framework: str, family: str = "Roberta") -> Any:
    """A model of transformers', with random weights."""
    fields = {"is_decoder": True, "add_cross_attention": True} if head == "causal_lm" else {}
    name = f"{framework}{CLASS_NAMES[head].replace('Roberta', family)}"
    config = getattr(transformers, f"{family}Config")(**SIZES, **fields)
    model = getattr(transformers, name)(config)
    if framework == "TF":
        model.build_in_name_scope()
    return model


def weights(model: Any) -> dict[str, Any]:
    """A peer's numbers under HF's names, turned by hand."""
    if isinstance(model, transformers.FlaxPreTrainedModel):
        flat = traverse_util.flatten_dict(model.params, sep=".")
        turned = {name: np.asarray(a).T if name.endswith("kernel") else np.asarray(a) for name, a in flat.items()}
        ends = (("kernel", "weight"), ("scale", "weight"), ("embedding", "weight"))
    elif isinstance(model, transformers.TFPreTrainedModel):
        pairs = {v.name.partition("/")[2].replace("/", ".").replace("_._", "."): v.numpy() for v in model.weights}
        turned = {name: a.T if name.endswith("kernel:0") else a for name, a in pairs.items()}
        ends = (
            ("kernel:0", "weight"),
            ("gamma:0", "weight"),
            ("beta:0", "bias"),
            ("embeddings:0", "weight"),
            (":0", ""),
        )
    else:
        return {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    for old, new in ends:
        turned = {name.removesuffix(old) + new if name.endswith(old) else name: a for name, a in turned.items()}
    return turned


def logits(model: Any, head: str) -> Any:
    text = np.array([TEXT] if head == "multiple_choice" else TEXT)
    if isinstance(model, transformers.PreTrainedModel):
        import torch

        with torch.no_grad():
            return model.eval()(torch.from_numpy(text))[0].numpy()
    return np.asarray(model(text)[0])


@pytest.mark.parametrize(("head", "size"), CASES)
@pytest.mark.parametrize("framework", FILES)
def test_its_files_are_read_to_the_bit(head: str, framework: str, size: str, tmp_path: Path) -> None:
    model = peer(head, framework)
    options = {} if framework else {"safe_serialization": False}
    model.save_pretrained(tmp_path, max_shard_size=size, **options)
    assert (tmp_path / FILES[framework]).is_file() == (size == "5GB")
    ours = getattr(roberta, CLASS_NAMES[head]).from_pretrained(tmp_path, strict=True)
    report = ours.load_report
    assert (report.missing, report.unexpected, report.source.format) == ((), (), FORMATS[framework])
    assert report.source.sha256().keys() == {p.name for p in tmp_path.iterdir()} - {
        "config.json",
        "generation_config.json",
    }
    found, theirs = ours.state_dict_numpy(), weights(model)
    for name, array in theirs.items():
        own = name if name in found else name.removeprefix("roberta.")
        if not name.endswith(("position_ids", "token_type_ids")):
            assert np.array_equal(found[own], array), name


@pytest.mark.parametrize("framework", FILES)
def test_its_files_are_read_on_every_engine(framework: str, backend: str, tmp_path: Path) -> None:
    model = peer("sequence_classification", framework)
    model.save_pretrained(tmp_path, **({} if framework else {"safe_serialization": False}))
    ours = roberta.RobertaForSequenceClassification.from_pretrained(tmp_path, backend=backend, strict=True)
    plain = roberta.RobertaForSequenceClassification.from_pretrained(tmp_path, backend="numpy")
    assert all(np.array_equal(ours.state_dict_numpy()[n], a) for n, a in plain.state_dict_numpy().items())


@pytest.mark.parametrize(("head", "size"), CASES)
@pytest.mark.parametrize("framework", FILES)
def test_it_reads_our_files(head: str, framework: str, size: str, tmp_path: Path) -> None:
    fields = {"is_decoder": True, "add_cross_attention": True} if head == "causal_lm" else {}
    ours = getattr(roberta, CLASS_NAMES[head])(roberta.RobertaConfig(**SIZES, **fields))
    ours.save_pretrained(tmp_path, format=FORMATS[framework], max_shard_size=size)
    assert (tmp_path / FILES[framework]).is_file() == (size == "5GB")
    kind, told = getattr(transformers, f"{framework}{CLASS_NAMES[head]}"), {}
    if framework == "Flax":  # which tells nothing
        model = kind.from_pretrained(tmp_path)
    else:
        model, told = kind.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(told.values())
    theirs, found = weights(model), ours.state_dict_numpy()
    for name, array in theirs.items():
        own = name if name in found else name.removeprefix("roberta.")
        if not name.endswith(("position_ids", "token_type_ids")):
            assert np.array_equal(found[own], array), name
    np.testing.assert_allclose(logits(model, head), ours([TEXT] if head == "multiple_choice" else TEXT)[0], atol=1e-6)
    again = getattr(roberta, CLASS_NAMES[head]).from_pretrained(tmp_path, strict=True)
    assert all(np.array_equal(again.state_dict_numpy()[name], array) for name, array in found.items())


@pytest.mark.parametrize("family", ["Camembert", "XLMRoberta"])
def test_the_siblings_files_have_another_top_and_are_read(family: str, tmp_path: Path) -> None:
    model = peer("masked_lm", "TF", family)
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "roberta", "architectures": None}))
    ours = roberta.RobertaForMaskedLM.from_pretrained(tmp_path, strict=True)
    assert np.array_equal(ours.state_dict_numpy()["lm_head.bias"], weights(model)["lm_head.bias"])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("form", ["safetensors", "pytorch"])
def test_another_dtype_is_stored_and_said(form: str, dtype: str, tmp_path: Path) -> None:
    ours = roberta.RobertaForMaskedLM(roberta.RobertaConfig(**SIZES))
    ours.save_pretrained(tmp_path, format=form, dtype=dtype)
    model = transformers.RobertaForMaskedLM.from_pretrained(tmp_path, dtype="auto")
    assert str(model.dtype) == f"torch.{dtype}"
    again = roberta.RobertaForMaskedLM.from_pretrained(tmp_path)
    assert again.load_report.dtypes == {dtype: "float32"}
    word = ours.state_dict_numpy()["lm_head.bias"].astype(dtype).astype("float32")
    assert np.array_equal(again.state_dict_numpy()["lm_head.bias"], word)


@pytest.mark.tensorflow
@pytest.mark.parametrize("fields", [{}, {"position_embedding_type": "relative_key", "tie_word_embeddings": False}])
@pytest.mark.parametrize("head", HEADS)
def test_weights_that_keras_saved_of_our_models_are_read(head: str, fields: Any, tmp_path: Path) -> None:
    if head == "causal_lm":
        fields = {**fields, "is_decoder": True, "add_cross_attention": True}
    ours = getattr(roberta, CLASS_NAMES[head])(roberta.RobertaConfig(**SIZES, **fields), backend="tensorflow")
    ours.config.save_pretrained(tmp_path)
    ours.save_weights(tmp_path / "model.weights.h5")
    again = getattr(roberta, CLASS_NAMES[head]).from_pretrained(tmp_path, strict=True)
    assert again.load_report.source.format == "keras"
    assert all(np.array_equal(again.state_dict_numpy()[n], a) for n, a in ours.state_dict_numpy().items())
