"""Collators: each head's labels, by laws and with a pencil; and that the batches go into every engine's models."""

import pickle
import subprocess
import sys

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
    stack_rows,
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
    with pytest.raises(ValueError, match="rows: expected at most max_length = 5 ids, got 12 in row 1; pack with"):
        CausalLMCollator(tokenizer=tiny, max_length=5)(rows)


def test_a_collator_of_masks_is_a_plain_function_of_examples(tiny):
    """Texts, rows of ids, and mappings with either; the masker counts."""
    ids = [tiny.encode(text) for text in SENTENCES]
    forms = [SENTENCES, [{"text": text, "idx": 5} for text in SENTENCES], ids, [{"input_ids": row} for row in ids]]
    forms += [tuple(map(np.array, ids)), [tiny(text) for text in SENTENCES]]
    found = []
    for examples in forms:
        collate = MaskedLMCollator(tiny, seed=3)
        found.append([collate(examples) for _ in range(2)])
        told = [collate(examples, epoch=0, index=index) for index in range(2)]
        for batch, other, first in zip(found[-1], told, found[0], strict=True):
            assert set(batch) == {"input_ids", "attention_mask", "labels"}
            assert all((batch[name] == other[name]).all() for name in batch)
            assert all((batch[name] == first[name]).all() for name in batch)
    assert not (found[0][0]["labels"] == found[0][1]["labels"]).all()


def test_a_pickled_collator_of_masks_goes_on(tiny):
    collate = MaskedLMCollator(tiny)
    collate(SENTENCES)
    other = pickle.loads(pickle.dumps(collate))  # noqa: S301  # our own
    assert (collate(SENTENCES)["labels"] == other(SENTENCES)["labels"]).all()


@pytest.mark.parametrize("make", [MaskedLMCollator, CausalLMCollator])
def test_padding_of_rows_that_are_padded_already_is_no_text(tiny, make):
    rows = [tiny.encode(text) for text in SENTENCES]
    batch, padded = make(tiny)(rows), make(tiny)(stack_rows(rows, max(map(len, rows))))
    assert all((batch[name] == padded[name]).all() for name in batch)


@pytest.mark.parametrize("make", [MaskedLMCollator, CausalLMCollator])
def test_masks_of_rows_are_kept(tiny, make):
    row = {"input_ids": [0, 5, 6, 7, 2], "attention_mask": [1, 1, 1, 0, 0]}
    assert make(tiny)([row])["attention_mask"].tolist() == [row["attention_mask"]]
    for examples in ([row, {"input_ids": [0, 2]}], [{"input_ids": [0, 2]}, row]):
        with pytest.raises(ValueError, match="expected 'attention_mask' in all 2 or in none, got it in 1; split"):
            make(tiny)(examples)


def test_what_a_special_tokens_mask_marks_is_not_masked(tiny):
    row = {"input_ids": [0, 5, 6, 7, 8, 2], "special_tokens_mask": [1, 1, 0, 1, 0, 1]}
    batch = MaskedLMCollator(tiny, probability=1.0)([row, {**row, "input_ids": [0, 9, 10, 11, 12, 2]}])
    assert batch["labels"].tolist() == [[-100, -100, 6, -100, 8, -100], [-100, -100, 10, -100, 12, -100]]
    assert set(batch) == set(CausalLMCollator(tiny)([row])) == {"input_ids", "attention_mask", "labels"}


LOADING = """
import numpy as np, torch
from roberta.tokenizer import MaskedLMCollator, RobertaTokenizer

tokenizer = RobertaTokenizer.train(["the cat sat on the mat"], vocab_size=270)
rows = [tokenizer.encode("the cat sat on the mat " * 9)] * 8
shape = 2, len(rows[0])

def epochs(seed, workers, persistent=False):
    torch.manual_seed(seed)
    collate = MaskedLMCollator(tokenizer, return_tensors="pt")
    loader = torch.utils.data.DataLoader(
        rows, batch_size=2, collate_fn=collate, num_workers=workers, persistent_workers=persistent
    )
    batches = [batch for _ in range(2) for batch in loader]
    assert all(type(batch["labels"]) is torch.Tensor and batch["labels"].shape == shape for batch in batches)
    return [batch["labels"].numpy().tobytes() for batch in batches]

for workers, persistent in ((0, False), (2, False), (2, True)):
    masks = epochs(1, workers, persistent)
    assert len(masks) == len(set(masks)) == 8, (workers, persistent, "a mask twice")
    assert masks == epochs(1, workers, persistent), (workers, persistent, "another mask in the same run")
    if workers:
        assert not set(masks) & set(epochs(2, workers, persistent)), "the same mask in another run"
"""


@pytest.mark.torch
def test_each_worker_and_epoch_of_a_data_loader_draws_masks_of_its_own_and_the_next_run_the_same():
    """In a process of its own, as its workers are forks of it."""
    pytest.importorskip("torch", reason="PyTorch is not installed")
    found = subprocess.run([sys.executable, "-c", LOADING], capture_output=True, text=True, check=False)  # noqa: S603
    assert found.returncode == 0, found.stderr


def test_another_kind_of_word_is_refused(tiny):
    with pytest.raises(ValueError, match="whole_words: expected False, 'spelling' or 'word_ids', got True; pass"):
        MaskedLMCollator(tokenizer=tiny, seed=0, whole_words=True)
    with pytest.raises(ValueError, match="expected the record of a tokenizer call"):
        MaskedLMCollator(tiny, whole_words="word_ids")([[0, 5, 2]])


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


@pytest.mark.parametrize(
    ("labels", "expected", "dtype"),
    [
        ([True, False], [1, 0], "int64"),
        ([np.int32(1), np.uint8(2)], [1, 2], "int64"),
        ([np.array(1), np.array(2)], [1, 2], "int64"),
        ([np.float64(0.5), 2], [0.5, 2], "float32"),
        ([[1, 0, 1], [0, 0, 1]], [[1, 0, 1], [0, 0, 1]], "float32"),  # several at once, whose loss takes floats
        ([[True, False], [False, False]], [[1, 0], [0, 0]], "float32"),
        ([np.array([1, 0]), (0, 1)], [[1, 0], [0, 1]], "float32"),
    ],
)
def test_labels_may_come_in_anything(tiny, labels, expected, dtype):
    batch = SequenceClassificationCollator(tiny)([{"text": "the", "label": label} for label in labels])
    assert (batch["labels"].tolist(), batch["labels"].dtype) == (expected, dtype)


@pytest.mark.parametrize(
    "labels", [[None, None], [1, None], [0.5, float("nan")], ["1", "0"], [[1, 0], [1]], [1, [1]], [[1, None], [0, 1]]]
)
def test_labels_that_are_no_numbers_are_refused(tiny, labels):
    with pytest.raises(
        ValueError, match=r"label: expected a number, or as many .*, got .* in example \d; give classes"
    ):
        SequenceClassificationCollator(tiny)([{"text": "the", "label": label} for label in labels])


@pytest.mark.torch
def test_labels_and_rows_may_be_tensors_and_batches_are_where_they_are_asked_for(tiny):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    examples = [{"text": "the", "label": torch.tensor(label)} for label in (0.5, 1.0)]
    batch = SequenceClassificationCollator(tiny, return_tensors="pt")(examples)
    assert (batch["labels"].dtype, batch["labels"].tolist()) == (torch.float32, [0.5, 1.0])
    assert batch["input_ids"].dtype == torch.int64
    rows = torch.tensor([tiny.encode("the cat")] * 3)
    (one, other) = (MaskedLMCollator(tiny)(examples)["labels"] for examples in (rows, rows.tolist()))
    assert (one == other).all()


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


@pytest.mark.parametrize("labels", [[1.7, 2.0], ["1", "2"], [1, None], "12", None, {"a": 1, "b": 2}])
def test_word_labels_that_are_no_integers_are_refused(prefixed, labels):
    with pytest.raises(TypeError, match=r"labels of example 1: expected .*, got .*; give classes their numbers"):
        TokenClassificationCollator(prefixed)(
            [
                {"words": ["the"], "labels": [1]},
                {"words": ["the", "cat"], "labels": labels},
            ]
        )


def test_word_labels_may_be_arrays(prefixed):
    examples = [{"words": np.array(["the", "cat"]), "labels": np.array([1, 2], dtype=np.uint8)}]
    assert TokenClassificationCollator(prefixed)(examples)["labels"].max() == 2


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


@pytest.mark.parametrize(
    ("label", "message"), [(3, "label: expected 0 to 2, as there are 3 choices, got 3; give"), (-1, "label: .* got -1")]
)
def test_a_choice_that_is_not_there_is_refused(tiny, label, message):
    with pytest.raises(ValueError, match=message):
        MultipleChoiceCollator(tiny)([{"text": "a", "choices": SENTENCES, "label": label}])


@pytest.mark.parametrize("label", [1.0, None, "1", [1]])
def test_a_choice_is_told_by_its_place(tiny, label):
    with pytest.raises(TypeError, match=r"label: expected integers, got \[.*\]; give the place of the right choice"):
        MultipleChoiceCollator(tiny)([{"text": "a", "choices": SENTENCES, "label": label}])


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


@pytest.mark.parametrize(
    ("make", "examples", "message"),
    [
        (TokenClassificationCollator, [{"words": "the cat"}], "words of example 0: expected a list, got str 'the cat'"),
        (
            TokenClassificationCollator,
            [{"words": ["the", 5]}],
            "words of example 0: expected str, got int 5 at place 1",
        ),
        (
            MultipleChoiceCollator,
            [{"text": "a", "choices": "bc"}],
            "choices of example 0: expected a list, got str 'bc'",
        ),
        (
            MultipleChoiceCollator,
            [{"text": ["a"], "choices": ["bc"]}],
            r"text: expected str, got list \['a'\] at place 0",
        ),
        (
            SequenceClassificationCollator,
            [{"text": ["a", "b"]}],
            r"text: expected str, got list \['a', 'b'\] at place 0",
        ),
        (
            SequenceClassificationCollator,
            [{"text": "a", "text_pair": None}],
            "text_pair: expected str, got NoneType None",
        ),
        (
            SequenceClassificationCollator,
            {"text": ["a", "b"]},
            "examples: expected a list, got dict .*; pass one example",
        ),
        (SequenceClassificationCollator, {"text": "a"}, "examples: expected a list, got dict .*; pass one example"),
        (
            SequenceClassificationCollator,
            ["a text"],
            "examples: expected mappings, got str 'a text' in example 0; pass",
        ),
        (QuestionAnsweringCollator, [{"question": ["a"], "context": "b"}], "question: expected str, got list"),
        (MaskedLMCollator, {"input_ids": [[0, 2]], "attention_mask": [[1, 1]]}, "examples: expected a list, got dict"),
        (MaskedLMCollator, "the cat", "examples: expected a list, got str 'the cat'"),
        (MaskedLMCollator, np.array([0, 5, 2]), "example 0: expected a list, got int 0; pass a text, a row of ids"),
        (MaskedLMCollator, [[0.5, 1.5]], r"example 0: expected integers, got \[0.5, 1.5\]; pass"),
        (MaskedLMCollator, [["the", "cat"]], r"example 0: expected integers, got \['the', 'cat'\]; pass"),
        (MaskedLMCollator, [{"input_ids": [[0, 2]]}], r"example 0: expected integers, got \[\[0, 2\]\]; pass"),
        (MaskedLMCollator, ["the", [0, 2]], "examples: expected mappings, got str 'the' in example 0; pass"),
        (MaskedLMCollator, [None], "example 0: expected a list, got NoneType None; pass"),
        (CausalLMCollator, [{"text": None}], "text of example 0: expected str, got NoneType None at place 0; give ids"),
        (
            CausalLMCollator,
            [{"text": [0, 5, 2]}],
            r"text of example 0: expected str, got list \[0, 5, 2\] at place 0; give",
        ),
    ],
)
def test_what_is_no_example_is_named(prefixed, make, examples, message):
    """The letters of a text, and the names of a record's fields, are neither texts nor words nor choices."""
    with pytest.raises(TypeError, match=message):
        make(prefixed)(examples)


@pytest.mark.parametrize(
    "make", [MaskedLMCollator, CausalLMCollator, QuestionAnsweringCollator, MultipleChoiceCollator]
)
def test_an_empty_batch_is_refused(tiny, make):
    with pytest.raises(ValueError, match="examples: expected at least one, got none; leave empty batches out"):
        make(tiny)([])
    with pytest.raises(ValueError, match="return_tensors: expected one of 'np', 'pt'"):
        CausalLMCollator(tiny, return_tensors="keras")(["the"])


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
