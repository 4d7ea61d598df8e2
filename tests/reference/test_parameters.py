from math import prod, sqrt
from typing import Any

import numpy as np
import pytest
from roberta import RobertaConfig
from roberta.reference.parameters import CLASS_NAMES, HEADS, Parameter, initial_values, parameter_table

BASE = {"max_position_embeddings": 514, "type_vocab_size": 1}
LARGE = {
    **BASE, "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096,
}  # fmt: skip
#: As transformers 4.57.6 counts them: model, masked LM, sequence classification, multiple choice, token classification.
GOLDEN = {
    "roberta-base": (BASE, 124_645_632, 124_697_433, 124_647_170, 124_646_401, 124_056_578),
    "the defaults": ({}, 124_644_864, 124_696_665, 124_646_402, 124_645_633, 124_055_810),
    "roberta-large": (LARGE, 355_359_744, 355_412_057, 355_361_794, 355_360_769, 354_312_194),
}
COUNTED = ("model", "masked_lm", "sequence_classification", "multiple_choice", "token_classification")


def count(head: str, config: RobertaConfig, **options: Any) -> int:
    return sum(prod(p.shape) for p in parameter_table(head, config, **options).values() if p.tied_to is None)


@pytest.mark.parametrize("name", GOLDEN)
def test_the_golden_numbers_of_parameters(name: str) -> None:
    fields, *wanted = GOLDEN[name]
    config = RobertaConfig(**fields)
    assert [count(head, config) for head in COUNTED] == wanted
    assert count("causal_lm", config) == count("masked_lm", config)
    assert count("question_answering", config) == count("token_classification", config)


def test_the_body_has_sixteen_tensors_a_layer_and_five_tables() -> None:
    for layers in (0, 1, 3):
        config = RobertaConfig(num_hidden_layers=layers)
        assert len(parameter_table("model", config)) == 5 + 16 * layers + 2
        assert len(parameter_table("model", config, add_pooling_layer=False)) == 5 + 16 * layers


def test_relative_types_add_a_table_of_distances_to_self_attention_alone() -> None:
    config = RobertaConfig(
        num_hidden_layers=1, position_embedding_type="relative_key", is_decoder=True, add_cross_attention=True
    )
    table = parameter_table("model", config)
    found = [name for name in table if "distance_embedding" in name]
    assert found == ["encoder.layer.0.attention.self.distance_embedding.weight"]
    assert table[found[0]].shape == (1023, 64)
    assert table["embeddings.position_embeddings.weight"].shape == (512, 768)


def test_both_language_models_have_one_set_of_names() -> None:
    assert parameter_table("causal_lm", RobertaConfig()) == parameter_table("masked_lm", RobertaConfig())


def test_the_decoders_weight_is_tied_where_the_config_says_so_and_its_bias_always() -> None:
    for is_tied in (True, False):
        table = parameter_table("masked_lm", RobertaConfig(tie_word_embeddings=is_tied))
        word = "roberta.embeddings.word_embeddings.weight"
        assert table["lm_head.decoder.weight"].tied_to == (word if is_tied else None)
        assert table["lm_head.decoder.bias"].tied_to == "lm_head.bias"


def test_pruned_heads_narrow_their_layer_only(make_config: Any) -> None:
    table = parameter_table("model", make_config(pruned_heads={1: [0, 2]}))
    widths = [table[f"encoder.layer.{i}.attention.self.query.weight"].shape for i in range(2)]
    assert widths == [(21, 21), (7, 21)]
    assert table["encoder.layer.1.attention.output.dense.weight"].shape == (21, 7)


def test_an_unknown_head_and_question_answering_with_three_labels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"(?s)masked_lm.*got 'maskedlm'"):
        parameter_table("maskedlm", RobertaConfig())
    with pytest.raises(ValueError, match=r"num_labels=2 .*got 3; set num_labels=2"):
        parameter_table("question_answering", RobertaConfig(num_labels=3))


def test_heads_have_hf_s_class_names() -> None:
    assert list(CLASS_NAMES) == list(HEADS)
    assert all(name.startswith("Roberta") for name in CLASS_NAMES.values())


# -- initial values ----------------------------------------------------------------------------------------------------


def drawn(head: str, config: RobertaConfig, seed: int = 0) -> dict[str, np.ndarray]:
    return initial_values(parameter_table(head, config), config, seed)


@pytest.mark.parametrize("head", HEADS)
def test_a_seed_gives_the_same_weights_again_and_another_seed_others(head: str, config: RobertaConfig) -> None:
    one, again, other = (drawn(head, config, seed) for seed in (0, 0, 1))
    for name, value in one.items():
        assert value.dtype == np.float32
        assert np.array_equal(value, again[name])
        is_random = np.ptp(value) > 0
        assert np.array_equal(value, other[name]) == (not is_random)


def test_a_head_starts_from_the_bare_models_body(config: RobertaConfig) -> None:
    body, head = drawn("model", config), drawn("token_classification", config)
    shared = [name for name in body if not name.startswith("pooler")]
    assert all(np.array_equal(body[name], head[f"roberta.{name}"]) for name in shared)


def test_rows_of_padding_and_biases_start_at_zero_and_gains_at_one(make_config: Any) -> None:
    values = drawn("masked_lm", make_config(pad_token_id=4))
    for name, value in values.items():
        if name.endswith(("word_embeddings.weight", "position_embeddings.weight")):
            assert not value[4].any()
            assert value[3].all()
        elif name.endswith("bias"):
            assert not value.any()
        elif name.endswith(("LayerNorm.weight", "layer_norm.weight")):
            assert (value == 1).all()


def test_weights_are_normal_with_the_configured_deviation_and_no_two_tensors_are_alike(make_config: Any) -> None:
    config = make_config(initializer_range=0.25)
    values = drawn("model", config)
    dense = np.concatenate([v.ravel() for n, v in values.items() if v.ndim == 2 and "_embeddings" not in n])
    # The standard error of a deviation estimated from n normal numbers is deviation / sqrt(2 n); six of them.
    assert abs(dense.std() - 0.25) < 6 * 0.25 / sqrt(2 * dense.size)
    assert abs(dense.mean()) < 6 * 0.25 / sqrt(dense.size)
    assert np.unique(dense).size > 0.99 * dense.size


def test_tied_names_share_one_array(config: RobertaConfig) -> None:
    values = drawn("masked_lm", config)
    assert values["lm_head.decoder.weight"] is values["roberta.embeddings.word_embeddings.weight"]
    assert values["lm_head.decoder.bias"] is values["lm_head.bias"]


def test_the_golden_first_numbers_of_a_seed() -> None:
    # A change of these changes everybody's seeded weights: it would be a change for the changelog.
    values = initial_values({"x": Parameter("x", (3,), "normal")}, RobertaConfig(), seed=0)
    assert values["x"].tolist() == [-0.012970777228474617, 0.021634327247738838, 0.01993386633694172]
