import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from roberta.tokenizer import RobertaTokenizer
from roberta.tokenizer.alphabet import BYTE_TO_SYMBOL
from roberta.tokenizer.training import SPECIAL_TOKENS, train


def library_train(texts, vocab_size, min_frequency=2, special_tokens=SPECIAL_TOKENS):
    """Train with `tokenizers`; the mask is added afterwards, so it has no part in it."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    peer = Tokenizer(models.BPE())
    peer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - 1,
        min_frequency=min_frequency,
        special_tokens=list(special_tokens),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    peer.train_from_iterator(texts, trainer)
    model = json.loads(peer.to_str())["model"]
    return model["vocab"], [tuple(merge) for merge in model["merges"]]


@pytest.mark.hf
@pytest.mark.parametrize("vocab_size", [300, 1000, 4000])
def test_merges_are_the_librarys_on_a_novel(transformers, novels, vocab_size):
    texts = (novels / "persuasion.txt").read_text().splitlines(keepends=True)
    vocab, merges = train(texts, vocab_size)
    peer_vocab, peer_merges = library_train(texts, vocab_size)
    assert merges == peer_merges
    assert vocab == peer_vocab | {"<mask>": vocab_size - 1}


@pytest.mark.hf
@settings(derandomize=True, deadline=None, max_examples=100)
@given(texts=st.lists(st.text("aab bc", max_size=30), max_size=6), room=st.integers(0, 30), least=st.integers(1, 3))
def test_ties_are_broken_as_the_library_breaks_them(transformers, texts, room, least):
    """Few letters make many ties, pairs of one letter, and tokens that arise on two ways."""
    assert train(texts, 261 + room, least)[1] == library_train(texts, 261 + room, least)[1]


@pytest.mark.hf
def test_a_merge_that_spells_a_special_token_gives_that_token(transformers):
    special = (*SPECIAL_TOKENS, "ab", "abab")
    vocab, merges = train(["abab ab abc abab"], 275, 1, special)
    assert merges == library_train(["abab ab abc abab"], 275, 1, special)[1]
    assert ("a", "b") in merges
    assert vocab["ab"] == 4


def test_the_order_of_ids():
    vocab, merges = train(["abab abab"], 1000)
    assert list(vocab)[:4] == ["<s>", "<pad>", "</s>", "<unk>"]
    assert list(vocab)[4:260] == sorted(BYTE_TO_SYMBOL)
    assert list(vocab)[260:-1] == ["".join(merge) for merge in merges] == ["ab", "abab"]
    assert list(vocab)[-1] == "<mask>"
    assert list(vocab.values()) == list(range(len(vocab)))


def test_pairs_that_are_too_rare_are_not_merged():
    assert train(["ab ab ac"], 1000, min_frequency=2)[1] == [("a", "b")]
    assert ("a", "c") in train(["ab ab ac"], 1000, min_frequency=1)[1]
    assert train(["abc"], 1000, min_frequency=0)[1] == [("a", "b"), ("ab", "c")]  # what has gone is not merged


def test_no_text_gives_the_bytes():
    vocab, merges = train([], 1000)
    assert (len(vocab), merges) == (261, [])


def test_there_must_be_room_for_the_bytes():
    with pytest.raises(ValueError, match=r"vocab_size: expected at least 261 .*, got 260; ask"):
        train(["a"], 260)
    assert len(train(["aaaa"], 261)[0]) == 261


def test_training_does_not_hold_the_texts():
    """A generator is taken one text at a time."""
    alive = []

    def texts():
        for _ in range(5):
            alive.append(1)
            yield "some text"
            alive.pop()

    train(texts(), 300)
    assert not alive


def test_a_tokenizer_from_files_or_texts(tmp_path):
    text = "the cat\nthe mat\r\nthe end"
    (tmp_path / "a.txt").write_bytes(text.encode())
    from_file = RobertaTokenizer.train([tmp_path / "a.txt"], 290, min_frequency=1)
    lines = iter(["the cat\n", "the mat\r\n", "the end"])
    from_lines = RobertaTokenizer.train(lines, 290, min_frequency=1, model_max_length=9)
    assert "čĊ" in from_file.get_vocab()  # line ends are learned as they are
    assert RobertaTokenizer.train(str(tmp_path / "a.txt"), 290, min_frequency=1).get_vocab() == from_file.get_vocab()
    assert from_file.get_vocab() == from_lines.get_vocab()
    assert from_lines.model_max_length == 9
    assert from_lines.decode(from_lines("the mat").input_ids, skip_special_tokens=True) == "the mat"


def test_a_missing_training_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing\.txt"):
        RobertaTokenizer.train([tmp_path / "missing.txt"], 300)
