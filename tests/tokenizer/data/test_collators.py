"""Collators: each head's labels, by laws and with a pencil; and that the batches go into every engine's models."""

import numpy as np
import pytest
import roberta
from hypothesis import given, settings
from hypothesis import strategies as st
from roberta.tokenizer import (
    CausalLMCollator,
    MaskedLMCollator,
    MultipleChoiceCollator,
    QuestionAnsweringCollator,
    RobertaTokenizer,
    SequenceClassificationCollator,
    TokenClassificationCollator,
    pack_full_sentences,
)

SETTINGS = settings(derandomize=True, deadline=None, max_examples=100)
WORD = st.text(alphabet="thecatsæ🙂,", min_size=1, max_size=8)
SENTENCES = ["the cat sat", "the cat sat on the mat, the cat sat", "mat"]


@pytest.fixture(scope="session")
def prefixed(tiny):
    return RobertaTokenizer(tiny._base, tiny._merges, add_prefix_space=True)


# -- language models ---------------------------------------------------------------------------------------------------


def test_masked_texts(tiny):
    collate = MaskedLMCollator(tokenizer=tiny, seed=3, probability=0.5)
    plain = tiny(SENTENCES, padding=True, return_tensors="np")
    batch = collate(SENTENCES, epoch=0, index=0)
    labels = batch["labels"]
    assert (np.where(labels == -100, batch["input_ids"], labels) == plain["input_ids"]).all()
    assert (batch["attention_mask"] == plain["attention_mask"]).all()
    assert (labels[np.isin(plain["input_ids"], tiny.all_special_ids)] == -100).all()
    assert (labels != -100).any()
    again, later = collate(SENTENCES, epoch=0, index=0), collate(SENTENCES, epoch=1, index=0)
    assert (batch["input_ids"] == again["input_ids"]).all()
    assert not (labels == later["labels"]).all()


@pytest.mark.parametrize("kind", ["spelling", "word_ids"])
def test_masked_words_are_masked_whole(tiny, kind):
    batch = MaskedLMCollator(tokenizer=tiny, seed=0, probability=0.4, whole_words=kind)(
        ["the wonderful cat sat, " * 9] * 9, epoch=0, index=0
    )
    words = np.array([[-1 if word is None else word for word in batch.word_ids(row)] for row in range(9)])
    for labels, ids in zip(batch["labels"], words, strict=True):
        for word in set(ids.tolist()) - {-1}:
            assert len(set((labels[ids == word] != -100).tolist())) == 1
    chosen = (batch["labels"] != -100).mean()
    assert 0 < chosen < 1


def test_rows_of_a_stream_are_taken_as_they_are(tiny):
    ids = [tiny.encode(text, add_special_tokens=False) for text in SENTENCES]
    rows = list(pack_full_sentences([ids], 12))
    batch = CausalLMCollator(tokenizer=tiny)(rows)
    assert [[i for i in row if i != 1] for row in batch["input_ids"].tolist()] == rows
    assert (batch["labels"] == np.where(batch["attention_mask"] == 1, batch["input_ids"], -100)).all()
    masked = MaskedLMCollator(tokenizer=tiny, seed=0, padding="max_length", max_length=20)(rows, epoch=0, index=0)
    assert masked["labels"].shape == masked["attention_mask"].shape == (len(rows), 20)
    with pytest.raises(ValueError, match="rows: expected at most max_length = 5 ids, got 12; pack and collate"):
        CausalLMCollator(tokenizer=tiny, max_length=5)(rows)


def test_another_kind_of_word_is_refused(tiny):
    with pytest.raises(ValueError, match="whole_words: expected False, 'spelling' or 'word_ids', got True; pass"):
        MaskedLMCollator(tokenizer=tiny, seed=0, whole_words=True)


# -- classification ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "dtype", "shape"),
    [([0, 2, 1], "int64", (3,)), ([0.5, 2, 1], "float32", (3,)), ([[0.0, 1.0]] * 3, "float32", (3, 2))],
)
def test_sequence_labels(tiny, labels, dtype, shape):
    examples = [{"text": text, "label": label} for text, label in zip(SENTENCES, labels, strict=True)]
    batch = SequenceClassificationCollator(tokenizer=tiny)(examples)
    assert batch["labels"].tolist() == labels
    assert (batch["labels"].dtype, batch["labels"].shape) == (np.dtype(dtype), shape)
    assert (batch["input_ids"] == tiny(SENTENCES, padding=True, return_tensors="np")["input_ids"]).all()


def test_pairs_and_no_labels(tiny):
    examples = [{"text": "the", "text_pair": text} for text in SENTENCES]
    batch = SequenceClassificationCollator(tokenizer=tiny, max_length=9)(examples)
    assert set(batch) == {"input_ids", "attention_mask"}
    assert (
        batch["input_ids"].tolist()
        == tiny(["the"] * 3, SENTENCES, padding=True, truncation=True, max_length=9)["input_ids"]
    )


@SETTINGS
@given(
    st.lists(st.lists(st.tuples(WORD, st.integers(0, 4)), min_size=1, max_size=6), min_size=1, max_size=3),
    st.booleans(),
)
def test_word_labels_go_to_the_tokens_of_the_word(prefixed, rows, label_all_tokens):
    examples = [{"words": [w for w, _ in row], "labels": [n for _, n in row]} for row in rows]
    collate = TokenClassificationCollator(tokenizer=prefixed, label_all_tokens=label_all_tokens)
    labels = collate(examples)["labels"].tolist()
    for example, got in zip(examples, labels, strict=True):
        expected = [-100]
        for word, label in zip(example["words"], example["labels"], strict=True):
            tokens = len(prefixed.encode(word, add_special_tokens=False))
            expected += [label] * tokens if label_all_tokens else [label] + [-100] * (tokens - 1)
        assert got[: len(expected)] == expected
        assert set(got[len(expected) :]) == {-100}


def test_words_that_are_cut_off_lose_their_labels(prefixed):
    examples = [{"words": ["the", "the", "the", "the"], "labels": [1, 2, 3, 4]}]
    assert TokenClassificationCollator(tokenizer=prefixed, max_length=4)(examples)["labels"].tolist() == [
        [-100, 1, 2, -100]
    ]


@SETTINGS
@given(st.lists(st.tuples(WORD, st.lists(WORD, min_size=3, max_size=3)), min_size=1, max_size=4))
def test_choices_are_pairs_in_a_third_axis(tiny, rows):
    examples = [{"text": text, "choices": choices, "label": 1} for text, choices in rows]
    batch = MultipleChoiceCollator(tokenizer=tiny)(examples)
    assert batch["input_ids"].shape == batch["attention_mask"].shape
    for b, (text, choices) in enumerate(rows):
        for c, choice in enumerate(choices):
            is_token = batch["attention_mask"][b, c] == 1
            assert batch["input_ids"][b, c, is_token].tolist() == tiny.encode(text, choice)
    assert batch["labels"].tolist() == [1] * len(rows)


# -- all ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "examples", "message"),
    [
        (SequenceClassificationCollator, [], "examples: expected at least one, got none; leave"),
        (SequenceClassificationCollator, [{"sentence": "the"}], r"mapping with 'text', got \['sentence'\]; rename"),
        (
            SequenceClassificationCollator,
            [{"text": "the", "label": 1}, {"text": "cat"}],
            "expected 'label' in all 2 or in none, got it in 1; split",
        ),
        (
            TokenClassificationCollator,
            [{"words": ["the"], "labels": [1, 2]}],
            "expected one for each of 1 words, got 2",
        ),
        (
            MultipleChoiceCollator,
            [{"text": "a", "choices": ["b"]}, {"text": "a", "choices": ["b", "c"]}],
            r"choices: expected as many in each example, and at least 1, got \[1, 2\]; split",
        ),
        (MultipleChoiceCollator, [{"text": "a", "choices": []}], r"choices: .* got \[0\]"),
    ],
)
def test_examples_that_make_no_sense_are_named(prefixed, make, examples, message):
    with pytest.raises(ValueError, match=message):
        make(tokenizer=prefixed)(examples)


BATCHES = {
    "masked_lm": lambda t: MaskedLMCollator(tokenizer=t, seed=0)(SENTENCES, epoch=0, index=0),
    "causal_lm": lambda t: CausalLMCollator(tokenizer=t)(SENTENCES),
    "sequence_classification": lambda t: SequenceClassificationCollator(tokenizer=t)(
        [{"text": text, "label": at} for at, text in enumerate(SENTENCES)]
    ),
    "token_classification": lambda t: TokenClassificationCollator(tokenizer=t)(
        [{"words": text.split(), "labels": [2] * len(text.split())} for text in SENTENCES]
    ),
    "question_answering": lambda t: QuestionAnsweringCollator(tokenizer=t, max_length=19, stride=3)(
        [{"question": "the cat", "context": text, "answer": (0, 3)} for text in SENTENCES]
    ),
    "multiple_choice": lambda t: MultipleChoiceCollator(tokenizer=t)(
        [{"text": text, "choices": SENTENCES, "label": 2} for text in SENTENCES]
    ),
}


@pytest.mark.parametrize("head", BATCHES)
def test_batches_go_into_the_models_of_every_engine(prefixed, head, backend, make_config, make_model):
    labels = {} if head == "question_answering" else {"num_labels": 3}
    config = make_config(vocab_size=len(prefixed), max_position_embeddings=61, **labels)
    model = make_model(head, config, backend)
    batch = BATCHES[head](prefixed)
    output = model(**batch).numpy()
    assert isinstance(model, getattr(roberta, roberta.reference.parameters.CLASS_NAMES[head]))
    assert np.isfinite(output["loss"])
    assert output["loss"] > 0


@pytest.mark.tokenizers
@pytest.mark.parametrize("head", BATCHES)
def test_the_fast_tokenizer_gives_the_same_batches(prefixed, head):
    fast = roberta.RobertaTokenizerFast.from_tokenizer(prefixed)
    batch, expected = BATCHES[head](fast), BATCHES[head](prefixed)
    assert set(batch) == set(expected)
    assert all((batch[name] == expected[name]).all() for name in expected)


@pytest.mark.tokenizers
def test_the_fast_tokenizer_gives_the_same_words_and_answers(prefixed):
    fast = roberta.RobertaTokenizerFast.from_tokenizer(prefixed)
    whole = [MaskedLMCollator(tokenizer=t, seed=0, whole_words="word_ids") for t in (fast, prefixed)]
    masked = [collate(SENTENCES * 9, epoch=0, index=0)["labels"] for collate in whole]
    assert (masked[0] == masked[1]).all()
    examples = [{"question": "the cat", "context": text} for text in SENTENCES]
    asked = [QuestionAnsweringCollator(tokenizer=t, max_length=19, stride=3) for t in (fast, prefixed)]
    scores = np.random.default_rng(0).standard_normal((2, *asked[0](examples)["input_ids"].shape))
    assert asked[0].answers(examples, *scores) == asked[1].answers(examples, *scores)
