"""Filling masks: the numbers are the model's, the sentences are the text's, and misuse is told what to do."""

from __future__ import annotations

import numpy as np
import pytest
import roberta
from roberta.reference.layers import softmax
from roberta.tasks import fill_mask

TEXT = "She was <mask> to see him, and he <mask> to see her."


@pytest.fixture
def tokenizer():
    return roberta.RobertaTokenizer.train(["She was glad to see him, and he was glad to see her."] * 3, vocab_size=277)


@pytest.fixture
def model(make_config, make_model, tokenizer, backend):
    config = make_config(vocab_size=len(tokenizer), max_position_embeddings=61)
    return make_model("masked_lm", config, backend)


def test_the_numbers_are_the_model_s(model, tokenizer):
    inputs = tokenizer(TEXT, return_tensors="np")
    places = np.flatnonzero(inputs["input_ids"][0] == tokenizer.mask_token_id)
    # Of the same call, as there: of another size, a product may be rounded otherwise.
    logits = model(**inputs, positions=[(0, place) for place in places]).numpy()["logits"]
    probabilities = softmax(logits.astype(np.float64))
    for row, fillings in zip(probabilities, fill_mask(TEXT, model, tokenizer, top=len(tokenizer)), strict=True):
        assert [filling.score for filling in fillings] == sorted(row, reverse=True)
        assert [row[filling.token] for filling in fillings] == [filling.score for filling in fillings]
        assert sorted(filling.token for filling in fillings) == list(range(len(tokenizer)))


def test_each_mask_has_its_list_and_keeps_the_others(model, tokenizer):
    first, second = fill_mask(TEXT, model, tokenizer, top=3)
    assert len(first) == len(second) == 3
    assert all(f.sequence == f"She was{f.token_str} to see him, and he <mask> to see her." for f in first)
    assert all(f.sequence == f"She was <mask> to see him, and he{f.token_str} to see her." for f in second)
    assert all(filling.token_str == tokenizer.decode([filling.token]) for filling in (*first, *second))


def test_a_folder_serves_as_well_as_objects(model, tokenizer, tmp_path):
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    expected = fill_mask(TEXT, model, tokenizer)
    assert fill_mask(TEXT, tmp_path, backend=model.backend) == expected
    assert fill_mask(TEXT, str(tmp_path), tokenizer, backend=model.backend) == expected
    assert fill_mask(TEXT, model, tmp_path) == expected


def test_a_model_is_taken_to_the_engine_that_is_asked_for(model, tokenizer):
    there = fill_mask(TEXT, model, tokenizer, top=1, backend="numpy")
    assert there == fill_mask(TEXT, model.to_backend("numpy"), tokenizer, top=1)


def test_dropout_is_off_and_then_as_it_was(model, tokenizer):
    model.train(True)
    assert fill_mask(TEXT, model, tokenizer) == fill_mask(TEXT, model, tokenizer)
    assert model.training is True


def test_ids_that_spell_nothing_are_no_candidates(make_config, make_model, tokenizer, backend):
    config = make_config(vocab_size=len(tokenizer) + 11, max_position_embeddings=61)
    model = make_model("masked_lm", config, backend)
    (fillings,) = fill_mask("She <mask>", model, tokenizer, top=len(tokenizer))
    assert max(filling.token for filling in fillings) == len(tokenizer) - 1


def test_the_default_is_the_shipped_checkpoint():
    (fillings,) = fill_mask(
        "It is a truth universally acknowledged, that a single <mask> in possession of a good fortune"
    )
    assert fillings[0].token_str.startswith(" ")


@pytest.mark.parametrize(
    ("changes", "error", "parts"),
    [
        ({"text": "She was glad."}, ValueError, ["text", "at least one mask", "'She was glad.'", "Write <mask>"]),
        ({"text": "<mask>" * 99}, ValueError, ["fill-mask", "at most 59 tokens", "got 101", "cut it into parts"]),
        ({"text": ["<mask>"]}, TypeError, ["text", "str", "list", "roberta.task"]),
        ({"top": 0}, ValueError, ["top", "[1, 277]", "got 0"]),
        ({"top": 278}, ValueError, ["top", "[1, 277]", "got 278"]),
        ({"tokenizer": None}, TypeError, ["tokenizer", "required", "None", "pass its own"]),
        ({"model": 3}, TypeError, ["model", "RobertaForMaskedLM", "int"]),
        ({"model": "no/where/at/all"}, FileNotFoundError, ["no/where/at/all", "folder", "austen"]),
        ({"backend": "trch"}, ValueError, ["backend", "'trch'", "Did you mean 'torch'?"]),
    ],
)
def test_misuse(model, tokenizer, changes, error, parts):
    with pytest.raises(error) as caught:
        fill_mask(**{"text": TEXT, "model": model, "tokenizer": tokenizer, **changes})
    assert [part for part in parts if part not in str(caught.value)] == []


def test_a_tokenizer_of_another_model_is_found_out(make_config, make_model, tokenizer, backend):
    model = make_model("masked_lm", make_config(max_position_embeddings=61), backend)
    with pytest.raises(ValueError, match="vocab_size = 53, got one that gives 276"):
        fill_mask(TEXT, model, tokenizer)


def test_a_checkpoint_without_this_head_is_an_error(make_config, make_model, tokenizer, backend, tmp_path):
    config = make_config(vocab_size=len(tokenizer), max_position_embeddings=61)
    make_model("token_classification", config, backend).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(
        ValueError, match=r"RobertaForMaskedLM, got .*lacks lm_head.* and 2 more.*has whole: .*TokenClassification"
    ):
        fill_mask(TEXT, tmp_path, backend=backend)
