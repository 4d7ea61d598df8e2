"""Sending a model to a hub on the loopback, and what its card says."""

import json
from pathlib import Path

import numpy as np
import pytest
import roberta
from roberta.dispatch import publishing
from roberta.files import hub as fetching

SECRET = "hf_theTokenThatNobodyMaySee"  # noqa: S105  # of nobody


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(fetching, "WAITS", (0.0, 0.0))


@pytest.fixture
def model(make_config):
    return roberta.RobertaForMaskedLM(make_config(), backend="numpy")


@pytest.fixture
def pieces(tmp_path_factory):
    sentencepiece = pytest.importorskip("sentencepiece", reason="it trains the vocabulary")
    path = tmp_path_factory.mktemp("pieces") / "sentencepiece.bpe.model"
    with path.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([roberta.__doc__] * 9), model_writer=file, vocab_size=90, hard_vocab_limit=False,
            minloglevel=2,
        )  # fmt: skip
    return str(path)


def test_every_engine_sends_what_is_loaded_again(hub, make_config, backend):
    model = roberta.RobertaForMaskedLM(make_config(), backend=backend, seed=3)
    said = model.push_to_hub("me", token=SECRET, private=True, commit_message="First")
    sent = hub.repositories["some-owner/me"]
    assert said.endswith(f"/some-owner/me/commit/{sent.commits['main']}")
    assert set(sent.files) == {"README.md", "config.json", "model.safetensors"}
    assert sent.is_private
    assert sent.messages[0]["summary"] == "First"
    assert set(hub.tokens) - {None} == {f"Bearer {SECRET}"}  # the store of large files gets none
    again = roberta.RobertaForMaskedLM.from_pretrained("some-owner/me", backend=backend)
    state = model.state_dict_numpy()
    assert all(np.array_equal(state[name], array) for name, array in again.state_dict_numpy().items())


def test_saving_sends_what_it_wrote_and_nothing_else(hub, model, tmp_path):
    (tmp_path / "secrets.env").write_text("x")
    model.save_pretrained(tmp_path, push_to_hub=True, repo_id="a/b", token=SECRET, max_shard_size="10KB")
    sent = hub.repositories["a/b"].files
    index = json.loads(sent["model.safetensors.index.json"])
    assert set(sent) == {"README.md", "config.json", "model.safetensors.index.json", *index["weight_map"].values()}
    model.save_pretrained(tmp_path, push_to_hub=True, repo_id="a/b", token=SECRET)
    assert set(sent) == {"README.md", "config.json", "model.safetensors"}, "shards that are read no more are gone"
    model.save_pretrained(tmp_path / "named", push_to_hub=True, token=SECRET)
    assert "some-owner/named" in hub.repositories


def test_a_card_that_somebody_wrote_stays(hub, model):
    hub.repositories["a/b"] = hub.Repository(files={"README.md": b"mine", "other.txt": b"too"})
    model.push_to_hub("a/b", token=SECRET)
    assert hub.repositories["a/b"].files["README.md"] == b"mine"
    assert "other.txt" in hub.repositories["a/b"].files


def test_a_request_and_a_branch(hub, model):
    hub.repositories["a/b"] = hub.Repository(files={})
    assert model.push_to_hub("a/b", token=SECRET, create_pr=True).endswith("/discussions/1")
    model.push_to_hub("a/b", token=SECRET, revision="v2")
    assert "v2" in hub.repositories["a/b"].commits
    assert any("/commit/v2" in one for one in hub.asked)


def test_a_tokenizer_goes_beside(hub, model):
    tokenizer = roberta.RobertaTokenizer.from_pretrained("austen")
    model.push_to_hub("a/b", token=SECRET, tokenizer=tokenizer)
    assert {"vocab.json", "merges.txt"} <= set(hub.repositories["a/b"].files)
    assert roberta.RobertaTokenizer.from_pretrained("a/b").vocab_size == tokenizer.vocab_size


@pytest.mark.parametrize(
    "kind", ["RobertaTokenizer", "RobertaTokenizerFast", "XLMRobertaTokenizer", "CamembertTokenizerFast"]
)
def test_a_tokenizer_goes_alone(hub, tmp_path, kind, request):
    if kind.startswith("Roberta"):
        tokenizer = getattr(roberta, kind).from_pretrained("austen")
    else:
        tokenizer = getattr(roberta, kind)(request.getfixturevalue("pieces"))
    hub.repositories["a/b"] = hub.Repository(files={"model.safetensors": b"weights"})
    said = tokenizer.push_to_hub("a/b", token=SECRET, commit_message="Words")
    sent = hub.repositories["a/b"]
    assert said.endswith(f"/a/b/commit/{sent.commits['main']}")
    assert sent.messages[0]["summary"] == "Words"
    assert sent.files["model.safetensors"] == b"weights"
    again = roberta.load_tokenizer("a/b")
    assert again("She was.")["input_ids"] == tokenizer("She was.")["input_ids"]
    (tmp_path / "secrets.env").write_text("x")
    written = tokenizer.save_pretrained(tmp_path, push_to_hub=True, token=SECRET, private=True)
    sent = hub.repositories[f"some-owner/{tmp_path.name}"]
    assert set(sent.files) == {Path(path).name for path in written}
    assert sent.is_private
    with pytest.raises(TypeError, match=r"push_to_hub: 'tokn' is not an option; did you mean 'token'"):
        tokenizer.push_to_hub("a/b", tokn=SECRET)
    with pytest.raises(ValueError, match=r"repo_id: expected None, got 'a/b'; leave it out, or pass push_to_hub=True"):
        tokenizer.save_pretrained(tmp_path, repo_id="a/b")


def test_refusals_are_said(hub, model, tmp_path):
    hub.failures["POST /api/repos/create"] = [(403, {"X-Error-Message": f"you sent {SECRET}"})]
    says = r"'a/b' could not be sent to the hub: it is forbidden .*HTTP 403"
    with pytest.raises(PermissionError, match=says) as raised:
        model.push_to_hub("a/b", token=SECRET)
    assert SECRET not in f"{raised.value} {raised.value.__cause__}"
    with pytest.raises(TypeError, match=r"push_to_hub: unknown option 'licence'.*Did you mean 'license'"):
        model.push_to_hub("a/b", licence="mit")
    with pytest.raises(ValueError, match=r"token: required None, got .*push_to_hub=True"):
        model.save_pretrained(tmp_path, token="x")  # noqa: S106  # of nobody
    with pytest.raises(ValueError, match="push_to_hub: required False, got 'yes'"):
        model.save_pretrained(tmp_path, push_to_hub="yes")


def test_a_card_says_what_is_random_and_only_what_is_known(model):
    pytest.importorskip("huggingface_hub", reason="the extra `hub`")
    text = publishing.model_card(model, "a/b")
    assert text.startswith("---\nlibrary_name: roberta\npipeline_tag: fill-mask\ntags:\n- roberta\n---\n")
    assert f"| `hidden_size` | {model.config.hidden_size} |" in text
    assert "tensors began at random" in text
    assert 'RobertaForMaskedLM.from_pretrained("a/b", backend="flax")`' in text
    assert '`pip install "roberta[torch,hub]"`' in text
    assert '`pip install "roberta[hub]"`' in text
    assert "## Parity" not in text
    loaded = roberta.RobertaForMaskedLM.from_pretrained("austen", backend="numpy")
    text = publishing.model_card(
        loaded, "a/b", license="mit", language="en", tags=["x: y"], parity_report="all\n```\nwell"
    )
    assert "license: mit" in text
    assert "language: en" in text
    assert "- 'x: y'" in text
    assert "from model.safetensors" in text
    assert "at random" not in text
    assert "````text\nall\n```\nwell\n````" in text


def test_the_table_of_heads_is_whole():
    from roberta.reference.parameters import CLASS_NAMES

    assert publishing.PIPELINES.keys() == CLASS_NAMES.keys()
