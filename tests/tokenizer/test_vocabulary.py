import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from roberta.tokenizer import AddedToken, RobertaTokenizer
from roberta.tokenizer.pieces import BYTE_TO_SYMBOL

BYTES = {symbol: index for index, symbol in enumerate(BYTE_TO_SYMBOL, 4)}
SPECIAL = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}


@pytest.fixture
def tokenizer(tiny):
    return RobertaTokenizer(tiny._base, tiny._merges)


def test_every_entry_of_the_real_vocabulary(ours):
    """Each of the 50,265 ids: id -> token -> id, and the token's text, encoded again, spells the same."""
    assert len(ours) == ours.vocab_size == len(ours.get_vocab()) == 50_265
    for index in range(50_265):
        token = ours.convert_ids_to_tokens(index)
        assert ours.convert_tokens_to_ids(token) == index
        text = ours.convert_tokens_to_string([token])
        assert text == ours.decode(index)
        if "\ufffd" not in text:
            assert ours.decode(ours.encode(text, add_special_tokens=False)) == text


def test_fillers_of_the_real_vocabulary_are_not_reached_as_words(ours):
    for word in ("madeupword0000", "madeupword0001", "madeupword0002"):
        assert ours.get_vocab()[word] in (50261, 50262, 50263)
        assert ours.encode(word, add_special_tokens=False) != [ours.get_vocab()[word]]


@settings(derandomize=True, deadline=None, max_examples=200)
@given(text=st.text())
def test_decoding_gives_the_text_back(tiny, text):
    assert tiny.decode(tiny.encode(text, add_special_tokens=False)) == text


def test_special_tokens_can_be_left_out(tiny):
    ids = tiny.encode("the <mask> cat<unk>")
    assert tiny.decode(ids) == "<s>the<mask> cat<unk></s>"
    assert tiny.decode(ids, skip_special_tokens=True) == "the cat"
    assert tiny.convert_ids_to_tokens(ids[:2], skip_special_tokens=True) == tiny.tokenize("the")[:1]


@pytest.mark.parametrize("wrong", [273, -1, -100, 10**9])
def test_an_id_outside_the_vocabulary_is_named(tiny, wrong):
    message = rf"ids: expected ids of the vocabulary, 0 to 272, got {wrong} at position 1; take out"
    with pytest.raises(ValueError, match=message):
        tiny.decode([5, wrong])
    with pytest.raises(ValueError, match=message):
        tiny.convert_ids_to_tokens([5, wrong])
    with pytest.raises(ValueError, match=f"got {wrong} at position 0"):
        tiny.convert_ids_to_tokens(wrong)


def test_a_token_outside_the_vocabulary_is_unk(tiny):
    assert tiny.convert_tokens_to_ids("nonsense") == 3
    assert tiny.convert_tokens_to_ids(["a", "nonsense"]) == [tiny.get_vocab()["a"], 3]
    assert tiny.convert_tokens_to_ids([]) == []


def test_without_unk_it_is_named():
    tokenizer = RobertaTokenizer(SPECIAL | BYTES, [], unk_token=None)
    with pytest.raises(ValueError, match=r"tokens: expected .* got 'nonsense' and no unk_token; set"):
        tokenizer.convert_tokens_to_ids("nonsense")


def test_a_vocabulary_that_lacks_bytes_needs_unk():
    lacking = {token: index for token, index in (SPECIAL | BYTES).items() if token not in {"x", "y"}}
    assert RobertaTokenizer(lacking, []).encode("axb", add_special_tokens=False)[1] == 3
    with pytest.raises(
        ValueError, match=r"vocab: expected all 256 byte symbols, or an unk_token.*254.*'x'.*; pass unk"
    ):
        RobertaTokenizer(lacking, [], unk_token=None)


def test_special_tokens_that_the_vocabulary_lacks_are_laid_behind_it():
    tokenizer = RobertaTokenizer(BYTES, [])
    assert (tokenizer.vocab_size, len(tokenizer)) == (256, 261)
    assert tokenizer.bos_token_id == 260
    assert tokenizer.get_added_vocab() == {"<s>": 260, "</s>": 261, "<unk>": 262, "<pad>": 263, "<mask>": 264}


def test_added_tokens(tokenizer):
    assert tokenizer.add_tokens(["<new>", "", "<new>", AddedToken("añb", lstrip=True)]) == 2
    assert (len(tokenizer), tokenizer.vocab_size) == (275, 273)
    assert tokenizer.add_tokens("<new>") == 0
    assert tokenizer.add_tokens("the") == 1  # in the base vocabulary: it keeps its id, and is matched as a whole
    assert len(tokenizer) == 275
    assert tokenizer.decode(tokenizer.encode("a<new>"), skip_special_tokens=True) == "a<new>"  # added, but not special
    assert tokenizer.tokenize("a <new>s") == ["a", "Ġ", "<new>", "s"]
    assert tokenizer.decode(tokenizer.encode("x  añb", add_special_tokens=False)) == "xañb"  # ñ is no symbol here
    assert list(tokenizer.added_tokens_decoder)[-2:] == [273, 274]


@pytest.mark.parametrize("one_by_one", [False, True])
def test_adding_many_tokens_costs_no_more_than_their_number(ours, one_by_one):
    tokenizer = RobertaTokenizer.from_tokenizer(ours)
    tokens = [f"<{index}>" for index in range(10_000)]
    begin = time.process_time()
    added = sum(map(tokenizer.add_tokens, tokens)) if one_by_one else tokenizer.add_tokens(tokens)
    listed = tokenizer.add_special_tokens({"additional_special_tokens": [f"[{token}]" for token in tokens]})
    assert time.process_time() - begin < 3  # seconds; looking through the vocabulary for each would be 20
    assert (added, listed) == (10_000, 10_000)
    assert tokenizer.convert_tokens_to_ids(["<0>", "<9999>", "[<0>]"]) == [50265, 60264, 60265]
    assert tokenizer.all_special_tokens[-1] == "[<9999>]"


def test_added_special_tokens_are_skipped_in_decoding(tokenizer):
    assert tokenizer.add_tokens(["<new>"], special_tokens=True) == 1
    assert tokenizer.decode(tokenizer.encode("a<new>b"), skip_special_tokens=True) == "ab"
    assert tokenizer.tokenize("a<new>") == ["a", "<new>"]
    assert len(tokenizer.encode("<new>", split_special_tokens=True)) > 3


def test_roles_for_new_tokens(tokenizer):
    assert tokenizer.add_special_tokens({"mask_token": "<m>", "additional_special_tokens": ["<x>"]}) == 2
    assert (tokenizer.mask_token, tokenizer.mask_token_id) == ("<m>", 273)
    assert tokenizer.tokenize("a<m><x>") == ["a", "<m>", "<x>"]
    tokenizer.add_special_tokens({"additional_special_tokens": ["<y>"]})
    assert tokenizer.additional_special_tokens == ["<y>"]
    tokenizer.add_special_tokens({"additional_special_tokens": ["<z>"]}, replace_additional_special_tokens=False)
    assert tokenizer.additional_special_tokens == ["<y>", "<z>"]
    with pytest.raises(
        ValueError, match=r"special_tokens_dict: expected the roles bos_token, .*, got 'masc_token'; pass"
    ):
        tokenizer.add_special_tokens({"masc_token": "<m>"})


@pytest.mark.parametrize("wrong", [7, [7], [None]])
def test_an_added_token_must_be_text(tokenizer, wrong):
    with pytest.raises(TypeError, match="token: expected a str or an AddedToken"):
        tokenizer.add_tokens(wrong)


def test_added_tokens_that_contradict_the_vocabulary(tiny):
    message = r"added_tokens_decoder: expected ids that agree with vocab.json, got 5 for '<new>', where .*; .*fetch"
    with pytest.raises(ValueError, match=message):
        RobertaTokenizer(tiny._base, tiny._merges, added_tokens_decoder={5: "<new>"})
    with pytest.raises(ValueError, match="got 999 for '<s>'"):
        RobertaTokenizer(tiny._base, tiny._merges, added_tokens_decoder={"999": "<s>"})
