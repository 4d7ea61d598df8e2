import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from roberta import RobertaConfig
from roberta.reference.config import (
    CARRIED,
    FIELDS,
    POSITION_EMBEDDING_TYPES,
    PROBLEM_TYPES,
    PROVENANCE,
    ROBERTA_FIELDS,
)
from roberta.reference.layers import ACTIVATIONS

#: The eighteen fields of HF 4.57's RobertaConfig with their defaults, in the order in which they may be positional.
DEFAULTS = {
    "vocab_size": 50265, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
    "intermediate_size": 3072, "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 512, "type_vocab_size": 2, "initializer_range": 0.02, "layer_norm_eps": 1e-12,
    "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "position_embedding_type": "absolute", "use_cache": True,
    "classifier_dropout": None,
}  # fmt: skip


def message_of(error: pytest.ExceptionInfo[Exception]) -> str:
    return str(error.value)


# -- fields ------------------------------------------------------------------------------------------------------------


def test_the_eighteen_fields_have_hf_s_order_and_defaults() -> None:
    assert list(DEFAULTS) == list(ROBERTA_FIELDS)
    assert {name: getattr(RobertaConfig(), name) for name in DEFAULTS} == DEFAULTS
    by_position = RobertaConfig(*DEFAULTS.values())
    assert by_position == RobertaConfig()


def test_inherited_fields_are_there_under_their_names() -> None:
    config = RobertaConfig()
    assert (config.is_decoder, config.add_cross_attention, config.tie_word_embeddings) == (False, False, True)
    assert (config.num_labels, config.id2label, config.label2id) == (
        2,
        {0: "LABEL_0", 1: "LABEL_1"},
        {"LABEL_0": 0, "LABEL_1": 1},
    )
    assert {name: getattr(config, name) for name in CARRIED} == dict(CARRIED)


def test_a_name_that_is_nobodys_field_is_kept_and_written_back() -> None:
    config = RobertaConfig(my_own_setting=[1, 2])
    assert config.my_own_setting == [1, 2]
    assert json.loads(config.to_json_string())["my_own_setting"] == [1, 2]


def test_an_attribute_that_does_not_exist_is_an_attribute_error_with_the_nearest_name() -> None:
    with pytest.raises(AttributeError) as error:
        _ = RobertaConfig().hidden_sise
    assert "hidden_sise" in message_of(error)
    assert "Did you mean 'hidden_size'?" in message_of(error)


BAD = [
    *[
        (n, 0, ValueError, "at least 1")
        for n in ("vocab_size", "hidden_size", "num_attention_heads", "type_vocab_size")
    ],
    ("intermediate_size", -3, ValueError, "at least 1"),
    ("max_position_embeddings", 0, ValueError, "at least 1"),
    *[(n, -1, ValueError, "at least 0") for n in ("num_hidden_layers", "chunk_size_feed_forward", "pad_token_id")],
    *[(n, 3.0, TypeError, "float") for n in ("vocab_size", "hidden_size", "num_hidden_layers", "pad_token_id")],
    ("vocab_size", True, TypeError, "bool"),
    ("pad_token_id", None, TypeError, "None"),
    *[(n, 7, ValueError, "[0, 1]") for n in ("hidden_dropout_prob", "attention_probs_dropout_prob")],
    ("hidden_dropout_prob", "0.1", TypeError, "str"),
    ("initializer_range", -0.1, ValueError, "[0, inf]"),
    ("layer_norm_eps", float("nan"), ValueError, "nan"),
    ("hidden_act", "gleu", ValueError, "Did you mean 'gelu'?"),
    ("position_embedding_type", "relative", ValueError, "relative_key_query"),
    ("problem_type", "classification", ValueError, "single_label_classification"),
    ("dtype", "int8", ValueError, "float32"),
    *[(n, 1, TypeError, "True or False") for n in ("is_decoder", "use_cache", "tie_word_embeddings", "return_dict")],
    ("id2label", ["a", "b"], TypeError, "dict"),
    ("label2id", "a", TypeError, "dict"),
]


@pytest.mark.parametrize(("name", "value", "kind", "part"), BAD, ids=lambda v: str(v))
def test_a_value_out_of_range_names_field_requirement_and_value(name: str, value: Any, kind: Any, part: str) -> None:
    with pytest.raises(kind) as error:
        RobertaConfig(**{name: value})
    assert name in message_of(error)
    assert part in message_of(error)


def test_classifier_dropout_of_none_is_the_hidden_dropout_and_of_zero_is_zero() -> None:
    assert RobertaConfig(hidden_dropout_prob=0.3).classifier_dropout_prob == 0.3
    assert RobertaConfig(hidden_dropout_prob=0.3, classifier_dropout=0.0).classifier_dropout_prob == 0.0


CONTRADICTIONS = {
    "heads do not divide the width": ({"hidden_size": 10, "num_attention_heads": 3}, ["hidden_size=10", "heads=3"]),
    "padding id outside the vocabulary": ({"vocab_size": 5, "pad_token_id": 5}, ["pad_token_id=5", "vocab_size=5"]),
    "no room for a token": ({"max_position_embeddings": 2}, ["max_position_embeddings=2", "at least 3"]),
    "cross-attention of an encoder": ({"add_cross_attention": True}, ["is_decoder=True"]),
    "labels counted otherwise": ({"num_labels": 3, "id2label": {0: "a"}}, ["num_labels=3", "1 entries"]),
    "a layer that is not there": ({"pruned_heads": {12: [0]}}, ["[0, 12)", "layer 12"]),
    "a head that is not there": ({"pruned_heads": {0: [12]}}, ["[0, 12)", "[12]"]),
    "no head left": ({"pruned_heads": {0: list(range(12))}}, ["layer 0", "no head left"]),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_fields_that_contradict_each_other_are_refused(name: str) -> None:
    fields, parts = CONTRADICTIONS[name]
    with pytest.raises(ValueError, match=r"^\w+") as error:
        RobertaConfig(**fields)
    assert all(part in message_of(error) for part in parts)


def test_a_misspelt_field_is_refused_with_the_right_one() -> None:
    with pytest.raises(TypeError) as error:
        RobertaConfig(num_atention_heads=3)
    assert "num_atention_heads" in message_of(error)
    assert "Did you mean 'num_attention_heads'?" in message_of(error)


def test_usable_length_leaves_out_the_offset_unless_positions_are_relative() -> None:
    assert RobertaConfig(max_position_embeddings=514).usable_length == 512
    assert RobertaConfig(max_position_embeddings=514, position_embedding_type="relative_key").usable_length == 514


def test_update_checks_the_whole() -> None:
    config = RobertaConfig()
    config.update({"num_labels": 5, "layer_norm_eps": 1e-5})
    assert (config.num_labels, config.layer_norm_eps) == (5, 1e-5)
    with pytest.raises(ValueError, match="num_hidden_layers"):
        config.update({"num_hidden_layers": -1})


# -- labels ------------------------------------------------------------------------------------------------------------


def test_label_names_given_either_way_round_are_kept() -> None:
    wanted = {0: "no", 1: "maybe", 2: "yes"}
    one = RobertaConfig(id2label={str(i): label for i, label in wanted.items()})
    other = RobertaConfig(label2id={label: i for i, label in wanted.items()})
    for config in (one, other):
        assert config.id2label == wanted
        assert config.label2id == {"no": 0, "maybe": 1, "yes": 2}
        assert config.num_labels == 3


def test_num_labels_renames_labels_only_when_the_count_changes() -> None:
    config = RobertaConfig(id2label={0: "no", 1: "yes"})
    config.num_labels = 2
    assert config.id2label == {0: "no", 1: "yes"}
    config.num_labels = 3
    assert config.id2label == {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}
    assert config.label2id == {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2}


# -- dictionaries and files --------------------------------------------------------------------------------------------

settings = st.fixed_dictionaries(
    {},
    optional={
        "vocab_size": st.integers(5, 99999),
        "num_hidden_layers": st.integers(0, 50),
        "hidden_act": st.sampled_from(sorted(ACTIVATIONS)),
        "hidden_dropout_prob": st.floats(0, 1),
        "classifier_dropout": st.none() | st.floats(0, 1),
        "layer_norm_eps": st.floats(0, 1),
        "position_embedding_type": st.sampled_from(POSITION_EMBEDDING_TYPES),
        "problem_type": st.none() | st.sampled_from(PROBLEM_TYPES),
        "is_decoder": st.booleans(),
        "tie_word_embeddings": st.booleans(),
        "num_labels": st.integers(0, 20),
        "pad_token_id": st.integers(0, 4),
        "dtype": st.none() | st.sampled_from(["float32", "bfloat16"]),
        "temperature": st.floats(0.1, 2),
        "of_my_own": st.none() | st.text() | st.lists(st.integers()),
    },
)


@given(settings)
def test_json_and_dictionary_round_trips_are_exact(fields: dict[str, Any]) -> None:
    config = RobertaConfig(**fields)
    for use_diff in (True, False):
        assert RobertaConfig.from_dict(json.loads(config.to_json_string(use_diff))) == config
    assert RobertaConfig.from_dict(config.to_dict()) == config
    assert config.replace() == config


def test_json_has_the_eighteen_fields_and_what_differs_sorted_and_ends_in_a_newline() -> None:
    text = RobertaConfig(is_decoder=True).to_json_string()
    assert set(json.loads(text)) == {*DEFAULTS, "is_decoder", "model_type"}
    assert list(json.loads(text)) == sorted(json.loads(text))
    assert text.endswith("}\n")


def test_a_saved_folder_is_made_and_read_back(tmp_path: Path) -> None:
    config = RobertaConfig(num_labels=7, pruned_heads={0: [2, 1]})
    config.save_pretrained(tmp_path / "new" / "folder")
    again = RobertaConfig.from_pretrained(tmp_path / "new" / "folder")
    assert again == config
    assert again.pruned_heads == {0: [1, 2]}
    assert RobertaConfig.from_pretrained(tmp_path / "new" / "folder" / "config.json", num_labels=3).num_labels == 3


def test_num_labels_of_the_same_count_keeps_the_names_when_it_overrides() -> None:
    named = RobertaConfig(id2label={0: "no", 1: "yes"}).to_dict()
    assert RobertaConfig.from_dict(named, num_labels=2).id2label == {0: "no", 1: "yes"}
    assert RobertaConfig.from_dict(named, num_labels=3).id2label == {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}


def test_an_override_of_an_unknown_name_is_refused() -> None:
    with pytest.raises(TypeError) as error:
        RobertaConfig.from_dict({}, num_hidden_layer=3)
    assert "no field 'num_hidden_layer' to override" in message_of(error)
    assert "num_hidden_layers" in message_of(error)


def test_a_config_is_found_where_a_model_is(tmp_path: Path) -> None:
    assert RobertaConfig.from_pretrained("austen", num_labels=3, revision=None).num_labels == 3
    with pytest.raises(FileNotFoundError, match=r"no checkpoint 'austin': .* Did you mean 'austen'\?"):
        RobertaConfig.from_pretrained("austin")
    RobertaConfig(num_hidden_layers=3).save_pretrained(tmp_path / "inner")
    assert RobertaConfig.from_pretrained(tmp_path, subfolder="inner").num_hidden_layers == 3


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('\ufeff{"num_hidden_layers": 3}', encoding="utf-8")
    assert RobertaConfig.from_pretrained(tmp_path).num_hidden_layers == 3


@pytest.mark.parametrize(
    ("content", "kind", "part"),
    [
        (None, FileNotFoundError, "give a folder that holds one"),
        ("{", ValueError, "not valid JSON"),
        ("[]", ValueError, "list"),
        ('{"model_type": "bert"}', ValueError, "'bert'"),
    ],
    ids=["missing", "cut off", "a list", "of another model"],
)
def test_an_unreadable_file_says_where_and_why(tmp_path: Path, content: str | None, kind: Any, part: str) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(kind) as error:
        RobertaConfig.from_pretrained(tmp_path)
    assert part in message_of(error)
    assert "config.json" in message_of(error)


def test_old_files_that_say_torch_dtype_are_read() -> None:
    assert RobertaConfig.from_dict({"torch_dtype": "float16"}).dtype == "float16"


def test_the_authorship_of_other_software_is_not_kept() -> None:
    content = {"model_type": "roberta", "transformers_version": "4.57.6", "_name_or_path": "x"}
    assert RobertaConfig.from_dict(content) == RobertaConfig()


# -- the peer ----------------------------------------------------------------------------------------------------------

UNUSUAL = {
    "vocab_size": 53, "hidden_size": 21, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 31,
    "hidden_act": "gelu_new", "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.25,
    "max_position_embeddings": 23, "type_vocab_size": 5, "initializer_range": 0.5, "layer_norm_eps": 1e-5,
    "pad_token_id": 3, "bos_token_id": 4, "eos_token_id": 5, "position_embedding_type": "relative_key",
    "use_cache": False, "classifier_dropout": 0.5, "is_decoder": True, "add_cross_attention": True,
    "tie_word_embeddings": False, "id2label": {0: "no", 1: "yes", 2: "?"}, "label2id": {"no": 0, "yes": 1, "?": 2},
    "problem_type": "regression", "output_attentions": True, "output_hidden_states": True, "return_dict": False,
    "chunk_size_feed_forward": 4, "pruned_heads": {1: [2]}, "sep_token_id": 6, "tokenizer_class": "RobertaTokenizer",
    "finetuning_task": "mnli", "prefix": "x", "tf_legacy_loss": True, "of_my_own": {"a": [1]},
}  # fmt: skip


def shared(content: dict[str, Any]) -> dict[str, Any]:
    """What both sides must agree on: everything but who wrote it."""
    return {name: value for name, value in content.items() if name not in PROVENANCE}


@pytest.mark.hf
@pytest.mark.parametrize("fields", [{}, UNUSUAL], ids=["defaults", "unusual"])
def test_transformers_reads_our_file_with_equal_fields(fields: dict[str, Any], tmp_path: Path) -> None:
    import transformers

    ours = RobertaConfig(**fields)
    ours.save_pretrained(tmp_path)
    theirs = transformers.RobertaConfig.from_pretrained(tmp_path)
    assert shared(theirs.to_dict()) == shared(ours.to_dict())
    assert theirs.num_labels == ours.num_labels


@pytest.mark.hf
@pytest.mark.parametrize("fields", [{}, UNUSUAL], ids=["defaults", "unusual"])
def test_we_read_the_file_of_transformers_with_equal_fields(fields: dict[str, Any], tmp_path: Path) -> None:
    import transformers

    theirs = transformers.RobertaConfig(**fields)
    theirs.save_pretrained(tmp_path)
    ours = RobertaConfig.from_pretrained(tmp_path)
    assert shared(ours.to_dict()) == shared(theirs.to_dict())
    assert all(getattr(ours, name) == getattr(theirs, name) for name in [*shared(theirs.to_dict()), "num_labels"])


@pytest.mark.hf
def test_we_have_every_field_that_transformers_has() -> None:
    import transformers

    theirs = set(shared(transformers.RobertaConfig().to_dict()))
    assert theirs <= {*FIELDS, *CARRIED}
    assert len(theirs) == 71 - len(PROVENANCE & set(transformers.RobertaConfig().to_dict()))


def test_what_is_set_later_is_written_back_and_lists_are_nobodys_else() -> None:
    config = RobertaConfig(pruned_heads={0: [1]})
    config.max_length, config.my_own_setting = 5, "mine"
    assert (config.to_dict()["max_length"], config.to_dict()["my_own_setting"]) == (5, "mine")
    assert config != RobertaConfig(pruned_heads={0: [1]})
    with pytest.raises(TypeError, match="hidden_size"):
        config.hiden_size = 3
    config.to_dict()["pruned_heads"][0].append(2)
    own = config.frozen()
    config.pruned_heads[0].append(3)
    assert own.to_dict()["pruned_heads"] == {0: [1]}
    assert own.pruned_heads == {0: [1]}
    with pytest.raises(AttributeError, match=r"config\.replace"):
        own.pruned_heads[0].append(2)
