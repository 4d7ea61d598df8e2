"""Which configurations are RoBERTa's under another name, and what is said of those that are not."""

from __future__ import annotations

import inspect
import json

import pytest
from roberta import CamembertConfig, RobertaConfig, XLMRobertaConfig
from roberta.reference.family import MEMBERS, STRANGERS
from roberta.reference.siblings import CONFIGS

SIBLINGS = [CamembertConfig, XLMRobertaConfig]
each = pytest.mark.parametrize("kind", SIBLINGS)


@pytest.mark.hf
@each
def test_defaults_are_the_peers(kind):
    transformers = pytest.importorskip("transformers")
    peer = getattr(transformers, kind.__name__)
    ours, theirs = kind().to_dict(), peer().to_dict()
    assert {name: ours[name] for name in ours.keys() & theirs.keys()} == {
        name: theirs[name] for name in ours.keys() & theirs.keys()
    }
    defaults = {name: parameter.default for name, parameter in inspect.signature(peer.__init__).parameters.items()}
    written = {name: parameter.default for name, parameter in inspect.signature(kind).parameters.items()}
    assert {name: written[name] for name in defaults.keys() & written.keys()} == {
        name: default for name, default in defaults.items() if name in written
    }


@each
def test_a_file_comes_back_in_its_own_class_and_in_the_others(kind, tmp_path):
    config = kind(7, hidden_size=8, num_attention_heads=2, num_labels=3)
    config.save_pretrained(tmp_path)
    stored = json.loads((tmp_path / "config.json").read_text())
    assert stored["model_type"] == kind.model_type
    assert kind.from_pretrained(tmp_path) == config
    for other in CONFIGS.values():
        assert other.from_pretrained(tmp_path).to_dict() == {**config.to_dict(), "model_type": other.model_type}


@each
def test_what_a_file_leaves_out_is_its_familys_default(kind, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind.model_type}))
    assert RobertaConfig.from_pretrained(tmp_path).vocab_size == 30522
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "roberta"}))
    assert kind.from_pretrained(tmp_path).vocab_size == 50265


@each
def test_only_what_differs_is_written(kind):
    assert "id2label" not in kind().to_diff_dict()
    assert kind(9).to_diff_dict()["vocab_size"] == 9
    assert repr(kind()).startswith(kind.__name__)


@pytest.mark.parametrize(
    ("found", "family"), [("XLMRoberta", "xlm-roberta"), ("xlm_roberta", "xlm-roberta"), ("PhoBERT", "roberta")]
)
def test_names_of_the_community(found, family, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": found}))
    assert RobertaConfig.from_pretrained(tmp_path).vocab_size == MEMBERS[family].defaults.get("vocab_size", 50265)


@pytest.mark.parametrize("found", STRANGERS)
@pytest.mark.parametrize("kind", [RobertaConfig, *SIBLINGS])
def test_another_family_is_refused_and_it_is_said_why(kind, found, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": found}))
    why, use = STRANGERS[found]
    with pytest.raises(ValueError, match="which is another model") as caught:
        kind.from_pretrained(tmp_path)
    for part in (str(tmp_path), repr(found), why, f"transformers.{use}"):
        assert part in str(caught.value)


@pytest.mark.parametrize("found", [None, 7, ["roberta"], {}, "", "robertaa", "llama"])
def test_what_is_no_model_of_the_family_is_refused(found, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": found}))
    with pytest.raises(ValueError, match="correct model_type"):
        RobertaConfig.from_pretrained(tmp_path)
