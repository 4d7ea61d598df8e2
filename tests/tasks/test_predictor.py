"""A predictor adds a task's answers to a batch, as columns: of dicts here, where nothing but NumPy is needed."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import roberta
from roberta.tasks.answers import Column
from roberta.tasks.batches import array_of

TEXTS = ["She was glad to see him.", "He was not.", "And he was glad to see her, and she was not glad to be seen."]


@pytest.fixture
def label(novelist):
    return roberta.Predictor(roberta.task("text-classification", novelist, backend="numpy"))


def texts():
    return np.array(TEXTS, object)


def test_answers_are_the_task_s_and_columns_stay(label):
    batch = {"row": np.arange(3), "text": texts()}
    found = label(batch)
    expected = label.task(TEXTS)
    assert list(found) == ["row", "text", "label", "score"]
    assert found["text"] is batch["text"]
    assert found["label"].tolist() == [record["label"] for record in expected]
    assert found["score"].dtype == np.float64
    assert found["score"].tolist() == [record["score"] for record in expected]


def test_lists_come_back_as_lists(label):
    found = label({"text": list(TEXTS)})
    assert {type(column) for column in found.values()} == {list}
    assert found["score"] == label({"text": texts()})["score"].tolist()


def test_an_iterator_of_batches_is_answered_batch_by_batch(label):
    taken = []

    def batches():
        for text in TEXTS:
            taken.append(text)
            yield {"text": [text]}

    answered = label(batches())
    assert not taken
    assert next(answered)["label"] == [label.task(TEXTS[0])["label"]]
    assert taken == TEXTS[:1]


def test_a_pickle_holds_no_weights_and_answers_alike(label):
    found = label({"text": texts()})
    pickled = pickle.dumps(label)
    assert len(pickled) < 4096
    again = pickle.loads(pickled)({"text": texts()})  # noqa: S301  # our own
    assert again["score"].tolist() == found["score"].tolist()


def test_an_empty_batch_has_the_columns_and_needs_no_weights():
    nowhere = roberta.Predictor(roberta.task("text-classification", "austen", backend="numpy"))  # it has no such head
    found = nowhere({"text": np.array([], object)})
    assert {name: (column.dtype.kind, len(column)) for name, column in found.items()} == {
        "text": ("O", 0), "label": ("O", 0), "score": ("f", 0),
    }  # fmt: skip
    assert nowhere({"text": []}) == {"text": [], "label": [], "score": []}


def test_vectors_are_one_array():
    embed = roberta.Predictor(roberta.task("feature-extraction", "austen", pooling="mean", backend="numpy"))
    vectors = embed({"text": texts()})["vector"]
    assert (vectors.shape, vectors.dtype) == ((3, 256), np.float32)
    assert [row.tolist() for row in vectors] == [record["vector"].tolist() for record in embed.task(TEXTS)]


def test_spark_s_declaration_quotes_what_it_must(label):
    assert label.ddl() == "label string, score double"
    assert replace(label, prefix="of the novel: ", errors="column").ddl() == (
        "`of the novel: label` string, `of the novel: score` double, `of the novel: error` string"
    )
    assert Column("words", "word", "string", 1).ddl == "words array<string>"


# -- bad rows ------------------------------------------------------------------------------------------------------

BAD = ["She was glad.", None, 7, "glad " * 99]


def test_a_bad_row_is_said_and_the_others_are_answered(novelist):
    label = roberta.Predictor(roberta.task("text-classification", novelist, backend="numpy"), errors="column")
    found = label({"text": np.array(BAD, object)})
    assert found["label"][0] == label.task(BAD[0])["label"]
    assert found["label"][1:].tolist() == [None, None, None]
    assert np.isnan(found["score"]).tolist() == [False, True, True, True]
    assert found["error"][0] is None
    assert [
        part for part, said in zip(("None", "int", "59"), found["error"][1:], strict=True) if part not in said
    ] == []


@pytest.mark.parametrize("place", [1, 2, 3])
def test_a_bad_row_ends_the_batch_where_errors_are_raised(label, place):
    with pytest.raises((TypeError, ValueError)) as caught:
        label({"text": [BAD[0], BAD[0], BAD[place]]})
    assert "row 2 of a batch of 3" in caught.value.__notes__[0]


def test_not_a_number_among_strings_is_null(novelist):
    label = roberta.Predictor(roberta.task("text-classification", novelist, backend="numpy"), errors="column")
    assert "None" in label({"text": np.array(["She.", float("nan")], object)})["error"][1]


@pytest.mark.parametrize(
    ("batch", "error", "parts"),
    [
        ({"body": ["She."]}, KeyError, ["'text'", "got body", "column="]),
        ({}, KeyError, ["'text'", "got none"]),
        ({"text": ["She."], "score": [1.0]}, ValueError, ["'score' already", "prefix="]),
        (["She."], TypeError, ["dict of arrays", "got list"]),
        ("She.", TypeError, ["dict of arrays", "got str"]),
        ({"text": "She."}, TypeError, ["a list or an array of texts in column 'text'", "put it in a list"]),
    ],
)
def test_misuse(label, batch, error, parts):
    with pytest.raises(error) as caught:
        label(batch)
    assert [part for part in parts if part not in str(caught.value)] == []


@pytest.mark.parametrize(
    ("changes", "error", "parts"),
    [
        ({"errors": "ignore"}, ValueError, ["'raise' or 'column'", "'ignore'"]),
        ({"column": 3}, TypeError, ["a name", "got 3"]),
        ({"column": {"question": 3}}, TypeError, ["a name", "'question': 3"]),
        ({"column": {"txt": "body"}}, TypeError, ["takes text and text_pair", "look at 'txt'"]),
        ({"task": "text-classification"}, TypeError, ["roberta.task", "got str"]),
    ],
)
def test_misuse_when_it_is_made(label, changes, error, parts):
    with pytest.raises(error) as caught:
        replace(label, **changes)
    assert [part for part in parts if part not in str(caught.value)] == []


def test_a_task_of_several_parts_wants_several_columns(checkpoint_of):
    ask = roberta.task("question-answering", checkpoint_of("question_answering"), backend="numpy")
    with pytest.raises(TypeError, match=r"takes question and context, got 'text'; such as \{'question': 'question'"):
        roberta.Predictor(ask, "text")
    asked = {"question": "Who was glad?", "context": TEXTS[0]}
    (by_default,) = roberta.Predictor(ask)({name: [text] for name, text in asked.items()})["answer"]
    named = roberta.Predictor(ask, {"question": "q", "context": "body"})
    (by_name,) = named({"q": [asked["question"]], "body": [asked["context"]]})["answer"]
    assert by_default == by_name == ask(asked)["answer"]


def test_parts_by_name(label):
    texts = {"text": ["She."], "body": ["She."]}
    (alone,) = label({"text": ["She."]})["score"]
    assert replace(label, column={"text": "body"})(texts)["score"] == [alone]
    both = replace(label, column={"text": "body", "text_pair": "text"})
    assert both(texts)["score"] == [label.task({"text": "She.", "text_pair": "She."}).score]


# -- kinds of columns ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        (Column("start", "start", "int64"), [3, 5], [3, 5]),
        (Column("start", "start", "int64"), [3, None], [3, None]),
        (Column("word", "word", "string", 1), [["a", "b"], ["c", "d"]], [["a", "b"], ["c", "d"]]),
        (Column("vector", "vector", "float32", 1, 2), [np.ones(2), np.zeros(2)], [[1.0, 1.0], [0.0, 0.0]]),
    ],
)
def test_arrays_of_each_kind(column, values, expected):
    found = array_of(column, values, nullable=any(value is None for value in values))
    assert found.tolist() == expected
    assert found.ndim == (2 if column.size else 1)


def test_a_list_of_records_gives_a_list_in_each_column():
    column = Column("word", "word", "string", 1, records=1)
    assert column.value([{"word": "Jane"}, {"word": "Emma"}]) == ["Jane", "Emma"]
    assert column.value([]) == []
    assert column.value(None) is None
