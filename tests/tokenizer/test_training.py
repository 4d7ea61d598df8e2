import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from roberta.tokenizer import RobertaTokenizer
from roberta.tokenizer.pieces import BYTE_TO_SYMBOL
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
def test_merges_are_the_librarys_on_the_novels(transformers, novels, vocab_size):
    paths = sorted(novels.glob("*.txt"))
    texts = [line for path in paths for line in path.read_text(encoding="utf-8").splitlines(keepends=True)]
    assert len(paths) == 6
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


@pytest.mark.hf
@pytest.mark.parametrize("prefixed", [False, True])
@pytest.mark.parametrize("least", [0, 3])
def test_a_new_tokenizer_is_the_peers(transformers, tiny, tmp_path, prefixed, least):
    """Vocabulary, merges, special tokens, settings and ids; the texts come in lists, as the peer wants them."""
    texts = [["the mat, the hat", " a <mask> and the <x>"], ["the cat's hat"] * 2, ["\tthe", ""]]
    settings = {"model_max_length": 7, "padding_side": "left", "add_prefix_space": prefixed}
    ours = RobertaTokenizer(tiny._base, tiny._merges, **settings)
    ours.add_tokens(["plain"])
    ours.save_pretrained(tmp_path)
    peer = transformers.RobertaTokenizerFast.from_pretrained(tmp_path)
    asked = {"new_special_tokens": ["<x>"], "special_tokens_map": {"<mask>": "[MASK]", "<s>": "[CLS]"}}
    mine = ours.train_new_from_iterator(iter(texts), 290, min_frequency=least, show_progress=False, **asked)
    theirs = peer.train_new_from_iterator(iter(texts), 290, min_frequency=least, show_progress=False, **asked)
    model = json.loads(theirs.backend_tokenizer.to_str())["model"]
    assert mine._merges == [tuple(merge) for merge in model["merges"]]
    assert mine.get_vocab() == theirs.get_vocab()
    assert mine.special_tokens_map == theirs.special_tokens_map
    assert (mine.model_max_length, mine.padding_side, mine.add_prefix_space) == (7, "left", prefixed)
    assert "plain" not in mine.get_added_vocab()
    for text in ("the  [MASK] hat<x>", "[CLS]the mat", "<mask>"):
        assert mine(text).input_ids == theirs(text).input_ids
    assert ours.mask_token == "<mask>"  # noqa: S105  (no password)


def test_a_new_tokenizer_from_files_and_texts(tiny, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"new newer\nnewest\n")
    from_both = tiny.train_new_from_iterator([tmp_path / "a.txt", ["a new"], "new"], 280)
    from_texts = tiny.train_new_from_iterator(["new newer\n", "newest\n", "a new", "new"], 280, length=4)
    assert from_both.get_vocab() == from_texts.get_vocab()
    assert [from_both.get_vocab()[token] for token in ("<s>", "<pad>", "</s>", "<unk>", "<mask>", "!")] == [*range(6)]


def test_a_role_that_nobody_plays_stays_so(tiny):
    tokenizer = RobertaTokenizer(tiny._base, tiny._merges, mask_token=None)
    assert tokenizer.train_new_from_iterator(["new"], 300).mask_token is None


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"special_tokens_map": {"<mad>": "x"}},
            ValueError,
            r"special_tokens_map: expected special .* got \['<mad>'\]",
        ),
        ({"special_tokens_map": {"<s>": "</s>"}}, ValueError, "expected each special token once"),
        ({"new_special_tokens": ["<mask>"]}, ValueError, "new_special_tokens: expected each special token once"),
        ({"new_special_tokens": [3]}, TypeError, "expected a str or an AddedToken, got int 3"),
        ({"min_frequenzy": 2}, TypeError, "did you mean 'min_frequency'"),
        ({"text_iterator": [["a", 3]]}, TypeError, "texts: expected str, Path, or lists of str, got int 3"),
        ({"text_iterator": [b"a"]}, TypeError, "texts: expected str, Path, or lists of str, got int 97"),
        ({"text_iterator": "a text"}, FileNotFoundError, "a text"),
        ({"vocab_size": 260}, ValueError, "vocab_size: expected at least 261 .*, got 260"),
    ],
)
def test_a_new_tokenizer_cannot_be_made_of_this(tiny, options, error, message):
    with pytest.raises(error, match=message):
        tiny.train_new_from_iterator(**{"text_iterator": ["a"], "vocab_size": 300, **options})
