"""CamemBERT's and XLM-RoBERTa's names: RoBERTa's classes, which save under their own."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
import roberta
from roberta.dispatch import family
from roberta.reference.family import MEMBERS
from roberta.reference.parameters import CLASS_NAMES
from roberta.reference.siblings import CONFIGS

SIBLINGS = {name: member.prefix for name, member in MEMBERS.items() if name != "roberta"}
IDS = [[0, 5, 7, 2], [0, 9, 3, 2]]


def sibling(model_type: str, head: str) -> str:
    return MEMBERS[model_type].prefix + CLASS_NAMES[head].removeprefix("Roberta")


def small(model_type: str, head: str, **fields: object):
    fields = {"is_decoder": True} | fields if head == "causal_lm" else fields
    sizes = {"hidden_size": 6, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 7}
    return CONFIGS[model_type](vocab_size=13, **sizes, **fields)


@pytest.mark.parametrize("model_type", SIBLINGS)
@pytest.mark.parametrize("head", CLASS_NAMES)
def test_a_sibling_is_roberta_and_saves_under_its_own_name(model_type, head, tmp_path):
    face, plain = (getattr(roberta, name) for name in (sibling(model_type, head), CLASS_NAMES[head]))
    model = face(small(model_type, head), seed=3)
    assert isinstance(model, plain)
    assert isinstance(model, face)
    assert not isinstance(plain(small("roberta", head)), face)
    model.save_pretrained(tmp_path)
    stored = json.loads((tmp_path / "config.json").read_text())
    assert (stored["model_type"], stored["architectures"]) == (model_type, [sibling(model_type, head)])
    assert same(plain.from_pretrained(tmp_path), model)
    assert same(face.from_pretrained(tmp_path), model)
    plain.from_pretrained(tmp_path).save_pretrained(tmp_path)
    stored = json.loads((tmp_path / "config.json").read_text())
    assert (stored["model_type"], stored["architectures"]) == ("roberta", [CLASS_NAMES[head]])
    again = face.from_pretrained(tmp_path)
    assert same(again, model)
    assert type(again.config) is CONFIGS[model_type]


def same(one, other) -> bool:
    states = one.state_dict_numpy(), other.state_dict_numpy()
    return states[0].keys() == states[1].keys() and all(np.array_equal(states[0][n], states[1][n]) for n in states[0])


@pytest.mark.parametrize("model_type", SIBLINGS)
def test_every_engine_has_the_name(model_type, backend):
    name = sibling(model_type, "masked_lm")
    model = getattr(roberta, name)(small(model_type, "masked_lm"), backend=backend, seed=1)
    prefix = next(prefix for prefix, engine in roberta._PREFIXES.items() if engine == backend)
    native = getattr(roberta, prefix + name)
    assert type(model) is native
    assert native.__name__ == prefix + name
    assert native.__module__ == "roberta"
    assert issubclass(native, getattr(roberta, f"{prefix}RobertaForMaskedLM"))
    spec = model.to_backend("numpy", dtype="float64")
    assert type(spec).__name__ == f"Numpy{name}"
    expected = spec(IDS).logits
    assert np.allclose(model(IDS).numpy()["logits"], expected, atol=1e-5)


def test_the_names_are_listed():
    listed = {name for name in roberta.__all__ if name.startswith(tuple(SIBLINGS.values()))}
    faces = {name for name, value in vars(family).items() if isinstance(value, type) and "is_sibling" in vars(value)}
    assert faces <= listed
    assert len(faces) == 14
    assert {f"TF{name}" for name in faces} | {f"Flax{name}" for name in faces} <= set(dir(roberta))


def test_a_configuration_of_another_member_becomes_the_classs_own():
    model = roberta.CamembertModel(small("roberta", "model", type_vocab_size=1))
    assert type(model.config) is roberta.CamembertConfig
    assert model.config.type_vocab_size == 1
    assert type(roberta.RobertaModel(small("camembert", "model")).config) is roberta.RobertaConfig


def test_copies_pickles_and_twins_keep_the_class():
    model = roberta.XLMRobertaForMaskedLM(small("xlm-roberta", "masked_lm"))
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), model.for_inference()):  # noqa: S301  # our own
        assert isinstance(other, roberta.XLMRobertaForMaskedLM)
    assert pickle.loads(pickle.dumps(type(model))) is type(model)  # noqa: S301  # our own
    assert pickle.loads(pickle.dumps(roberta.XLMRobertaForMaskedLM)) is roberta.XLMRobertaForMaskedLM  # noqa: S301  # our own
    model.resize_token_embeddings(17)
    assert type(model.config) is roberta.XLMRobertaConfig


@pytest.mark.numba
def test_the_fast_twin_is_a_siblings_too():
    model = roberta.CamembertForMaskedLM(small("camembert", "masked_lm"), backend="numba")
    twin = model.for_inference()
    assert type(twin).__name__ == "InferenceModel"
    assert isinstance(twin, roberta.CamembertForMaskedLM)


def test_somebodys_subclass_of_a_sibling():
    class Mine(roberta.CamembertForMaskedLM):
        pass

    model = Mine(small("camembert", "masked_lm"))
    assert type(model).__name__ == "Mine"
    assert type(model.config) is roberta.CamembertConfig


@pytest.mark.hf
@pytest.mark.torch
@pytest.mark.parametrize("model_type", SIBLINGS)
@pytest.mark.parametrize("head", CLASS_NAMES)
def test_folders_go_to_and_fro_with_the_peer(model_type, head, tmp_path):
    transformers = pytest.importorskip("transformers")
    name = sibling(model_type, head)
    model = getattr(roberta, name)(small(model_type, head), seed=5)
    model.save_pretrained(tmp_path / "ours")
    config = transformers.AutoConfig.from_pretrained(tmp_path / "ours")
    assert type(config).__name__ == CONFIGS[model_type].__name__
    peer = getattr(transformers, name).from_pretrained(tmp_path / "ours")
    peer.save_pretrained(tmp_path / "theirs")
    back = getattr(roberta, name).from_pretrained(tmp_path / "theirs")
    assert not back.load_report.missing
    assert same(back, model)
    assert type(getattr(roberta, name)(peer.config).config) is CONFIGS[model_type]
