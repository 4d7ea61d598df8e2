"""A config.json that somebody wrote: what no checkpoint has is refused, with the file, the field and what to do."""

import json
from pathlib import Path
from typing import Any

import pytest
import roberta
from hypothesis import given, settings
from hypothesis import strategies as st

BASE = roberta.RobertaConfig(
    vocab_size=23, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12
).to_dict()


def put(folder: Path, **fields: Any) -> Path:
    (folder / "config.json").write_text(json.dumps({**BASE, **fields}))
    return folder


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"architectures": "x"}, "architectures: required a list of the names of classes, got 'x'"),
        ({"architectures": [3]}, "architectures: required a list"),
        ({"eos_token_id": "2"}, r"eos_token_id: required an id in \[0, 23\), or null, got '2'"),
        ({"eos_token_id": [2, 99]}, "eos_token_id: required"),
        ({"bos_token_id": 23}, "bos_token_id: required"),
        ({"bos_token_id": -1}, "bos_token_id: required"),
        ({"pad_token_id": [1]}, "pad_token_id: required"),
        ({"sep_token_id": True}, "sep_token_id: required"),
        ({"layer_norm_eps": float("inf")}, "layer_norm_eps: required a finite number, got inf"),
        ({"initializer_range": float("inf")}, "initializer_range: required a finite number"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers: required 4,096 layers at most"),
        ({"vocab_size": 2**31}, "vocab_size: required 268,435,456 at most"),
        ({"hidden_size": 2**40}, "hidden_size: required 268,435,456 at most"),
        ({"pruned_heads": None}, "pruned_heads: required an object"),
        ({"pruned_heads": {"x": [0]}}, "pruned_heads: required an object"),
        ({"pruned_heads": {"0": 1}}, "pruned_heads: required an object"),
        ({"id2label": {"-1": "a"}}, "id2label: required an object, number -> label"),
        ({"label2id": {"a": "0"}}, "label2id: required an object, label -> number"),
        ({"torch_dtype": 3}, "torch_dtype: required the name of a dtype"),
        ({"quantization_config": {"bits": 4}}, "quantization_config: its weights are quantised"),
    ],
)
def test_what_no_checkpoint_has_is_refused(fields: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said) as error:
        roberta.RobertaConfig.from_pretrained(put(tmp_path, **fields))
    assert "config.json" in str(error.value)


@pytest.mark.parametrize(
    "fields",
    [{"eos_token_id": [2, 3]}, {"eos_token_id": None}, {"architectures": None}, {"quantization_config": None},
     {"layer_norm_eps": 0.0}, {"torch_dtype": "float16"}, {"anything": {"a": [1]}}],
)  # fmt: skip
def test_what_checkpoints_do_have_is_read(fields: Any, tmp_path: Path) -> None:
    roberta.RobertaConfig.from_pretrained(put(tmp_path, **fields))


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 50_000, '{"model_type": "roberta", "a": 1, "a": 2}', "", "\ufeff\ufeff{}"]
)
def test_what_is_no_plain_json_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"config.json is not valid JSON .*save or download it again"):
        roberta.RobertaConfig.from_pretrained(tmp_path)


def test_a_small_file_makes_no_large_model(tmp_path: Path) -> None:
    model = roberta.RobertaModel(roberta.RobertaConfig.from_dict(BASE))
    model.save_pretrained(tmp_path)
    put(tmp_path, num_hidden_layers=4000, hidden_size=4096, intermediate_size=4096)
    with pytest.raises(
        ValueError, match=r"config.json: required a config of [\d,]+ parameters at most, .*does not belong"
    ):
        roberta.RobertaModel.from_pretrained(tmp_path)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("config")


@settings(max_examples=400)
@given(st.dictionaries(st.sampled_from(sorted(BASE)), values, min_size=1, max_size=3))
def test_whatever_stands_in_a_field_it_is_read_or_refused(folder: Path, fields: Any) -> None:
    try:
        roberta.RobertaConfig.from_pretrained(put(folder, **fields))
    except (ValueError, TypeError) as error:
        assert str(error)  # noqa: PT017  # either of the two
