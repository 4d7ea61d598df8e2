# ruff: noqa: S105  (tokens of text, not passwords)

import pytest
from roberta.tokenizer import RobertaTokenizer
from roberta.tokenizer.roles import ROLES


@pytest.fixture
def tokenizer(tiny):
    return RobertaTokenizer(tiny._base, tiny._merges)


def test_roles_of_the_real_vocabulary(ours):
    assert {role: getattr(ours, f"{role}_id") for role in ROLES} == {
        "bos_token": 0,
        "cls_token": 0,
        "pad_token": 1,
        "sep_token": 2,
        "eos_token": 2,
        "unk_token": 3,
        "mask_token": 50264,
    }
    assert ours.all_special_tokens == ["<s>", "</s>", "<unk>", "<pad>", "<mask>"]
    assert ours.all_special_ids == [0, 2, 3, 1, 50264]
    assert ours.pad_token_type_id == 0


@pytest.mark.hf
def test_lists_are_the_peers(ours, fast):
    assert ours.all_special_tokens == fast.all_special_tokens
    assert ours.all_special_ids == fast.all_special_ids
    assert ours.special_tokens_map == fast.special_tokens_map
    assert list(ours.special_tokens_map) == list(fast.special_tokens_map)


def test_a_token_and_its_id_are_one_slot(tokenizer):
    tokenizer.pad_token_id = 5
    assert tokenizer.pad_token == tokenizer.convert_ids_to_tokens(5)
    tokenizer.pad_token = "<unk>"
    assert tokenizer.pad_token_id == 3
    tokenizer.pad_token = None
    assert (tokenizer.pad_token, tokenizer.pad_token_id) == (None, None)
    assert "<pad>" not in tokenizer.all_special_tokens


def test_a_token_outside_the_vocabulary_is_refused_not_made_unk(tokenizer):
    with pytest.raises(ValueError, match=r"mask_token: expected a token of the vocabulary, got '<new>'; add it with"):
        tokenizer.mask_token = "<new>"
    assert tokenizer.mask_token == "<mask>"
    with pytest.raises(ValueError, match=r"ids: expected .* got 9999"):
        tokenizer.pad_token_id = 9999


def test_a_new_role_is_matched_at_once(tokenizer):
    assert tokenizer.tokenize("a!b") == ["a", "!", "b"]
    tokenizer.mask_token = "!"
    assert tokenizer.tokenize("a !b") == ["a", "!", "b"]  # it swallows the space, as a mask does


def test_additional_special_tokens_are_listed_last(tokenizer):
    tokenizer.add_special_tokens({"additional_special_tokens": ["<b>", "<a>"]})
    assert tokenizer.all_special_tokens[-2:] == tokenizer.additional_special_tokens == ["<b>", "<a>"]
    assert tokenizer.additional_special_tokens_ids == [273, 274]
    assert tokenizer.special_tokens_map["additional_special_tokens"] == ["<b>", "<a>"]
