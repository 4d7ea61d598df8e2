"""Predictors on Arrow's tables and pandas' frames: the kind stays, nulls are nulls, and the schema is known before."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import roberta
from roberta.tasks.answers import Column
from roberta.tasks.batches import Arrow, Pandas
from roberta.tasks.records import plain

TEXTS = ["She was glad to see him.", "He was not.", "And he was glad to see her, and she was not glad to be seen."]


@pytest.fixture
def label(novelist):
    return roberta.Predictor(roberta.task("text-classification", novelist, backend="numpy"))


@pytest.fixture
def careful(novelist):
    return roberta.Predictor(roberta.task("text-classification", novelist, backend="numpy"), errors="column")


@pytest.fixture
def embed():
    task = roberta.task("feature-extraction", "austen", pooling="mean", backend="numpy")
    return roberta.Predictor(task, errors="column")


# -- Arrow ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [pa.table, pa.RecordBatch.from_pydict])
def test_a_table_comes_back_with_the_schema_that_was_said(label, make):
    batch = make({"row": pa.array([0, 1, 2], pa.int8()), "text": pa.array(TEXTS)})
    found = label(batch)
    assert type(found) is type(batch)
    assert found.schema == label.schema(batch.schema)
    assert found.column("label").to_pylist() == [record["label"] for record in label.task(TEXTS)]
    assert found.select(["row", "text"]).equals(batch)


def test_columns_in_chunks_and_of_codes_are_read(label):
    whole = label(pa.table({"text": TEXTS}))["score"].to_pylist()
    chunks = pa.table({"text": pa.chunked_array([TEXTS[:1], TEXTS[1:]])})
    codes = pa.table({"text": pa.array(TEXTS).dictionary_encode()})
    large = pa.table({"text": pa.array(TEXTS, pa.large_string())})
    assert [label(table)["score"].to_pylist() for table in (chunks, codes, large)] == [whole] * 3


def test_vectors_are_lists_of_fixed_size_and_may_be_null(embed):
    found = embed(pa.table({"text": [TEXTS[0], None, TEXTS[2]]}))
    assert found.schema.field("vector").type == pa.list_(pa.float32(), 256)
    vectors = found["vector"].to_pylist()
    assert vectors[1] is None
    assert vectors[0] == embed.task.attempt([TEXTS[0], TEXTS[2]])[0]["vector"].tolist()
    assert [error is None for error in found["error"].to_pylist()] == [True, False, True]


@pytest.mark.parametrize("texts", [pa.array([], pa.string()), pa.array(["a", "b"]).slice(2)])
def test_an_empty_table_has_the_schema(embed, texts):
    batch = pa.table({"text": texts})
    assert embed(batch).schema == embed.schema(batch.schema)


def test_a_schema_without_the_column_or_with_the_answer_s_is_refused(label):
    with pytest.raises(KeyError, match="required a column 'text', got body"):
        label.schema(pa.schema([("body", pa.string())]))
    with pytest.raises(ValueError, match="has a column 'label' already"):
        label.schema(pa.schema([("text", pa.string()), ("label", pa.string())]))


def test_lists_of_answers_in_arrow():
    column = Column("word", "word", "string", 1)
    found = Arrow.extended(pa.table({"text": TEXTS[:2]}), {column: [["a", "b"], None]}, True)
    assert found["word"].to_pylist() == [["a", "b"], None]
    assert found.schema.field("word").type == column.arrow == pa.list_(pa.string())


@pytest.mark.parametrize(
    ("name", "head", "options"),
    [
        ("text-classification", "sequence_classification", {}),
        ("text-classification", "sequence_classification", {"top_k": 2}),
        ("zero-shot-classification", "sequence_classification", {"candidate_labels": ["novel", "letter"]}),
        ("token-classification", "token_classification", {}),
        ("token-classification", "token_classification", {"aggregation_strategy": "simple"}),
        ("question-answering", "question_answering", {}),
        ("question-answering", "question_answering", {"top_k": 3}),
        ("multiple-choice", "multiple_choice", {}),
        ("fill-mask", "masked_lm", {"top_k": 2}),
        ("text-generation", "causal_lm", {"max_new_tokens": 2}),
        ("text-generation", "causal_lm", {"max_new_tokens": 2, "num_beams": 2, "num_return_sequences": 2}),
        ("feature-extraction", "masked_lm", {}),
        ("feature-extraction", "masked_lm", {"pooling": "first", "normalize": True}),
    ],
)
def test_every_task_s_answers_fit_the_schema(checkpoint_of, name, head, options):
    task = roberta.task(name, checkpoint_of(head), backend="numpy", **options)
    predict = roberta.Predictor(task)
    columns = {
        "text": ["She was <mask>.", "<mask> was <mask> to see."],
        "question": ["Who was glad?"] * 2,
        "context": TEXTS[:2],
        "choices": [["glad", "late"], ["seen", "a novel", "a letter"]],
    }
    if name == "multiple-choice":
        items = [
            {"text": text, "choices": choices}
            for text, choices in zip(columns["text"], columns["choices"], strict=True)
        ]
    elif name == "question-answering":
        items = [{"question": "Who was glad?", "context": text} for text in TEXTS[:2]]
    else:
        items = columns["text"]
    batch = pa.table(columns)
    found = predict(batch)
    assert found.schema == predict.schema(batch.schema)
    assert predict(batch[:0]).schema == found.schema
    for column in predict.columns:
        values = [plain(column.value(answer)) for answer in task(items)]
        assert found[column.name].to_pylist() == values
        assert pa.array(predict(batch.to_pandas())[column.name], column.arrow).to_pylist() == values
    assert {column.field for column in predict.columns} >= set(_record(task(items)[0]).keys()) - {"sequence"}


def _record(answer):
    return _record(answer[0]) if isinstance(answer, list) else answer


# -- pandas --------------------------------------------------------------------------------------------------------


def test_a_frame_comes_back_with_its_index(label):
    frame = pd.DataFrame({"text": TEXTS, "row": [5, 3, 2]}, index=[7, 11, 13])
    found = label(frame)
    assert list(found.columns) == ["text", "row", "label", "score"]
    assert found.index.equals(frame.index)
    assert list(frame.columns) == ["text", "row"]
    assert found["score"].tolist() == [record["score"] for record in label.task(TEXTS)]


def test_a_series_gives_a_frame_of_answers(label):
    found = label(pd.Series(TEXTS, index=[7, 11, 13], name="whatever"))
    assert list(found.columns) == ["label", "score"]
    assert found.index.tolist() == [7, 11, 13]


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA])
def test_nulls_of_every_kind(careful, missing):
    found = careful(pd.DataFrame({"text": pd.Series([TEXTS[0], missing], dtype=object)}))
    assert found["label"].isna().tolist() == found["score"].isna().tolist() == [False, True]
    assert "None" in found["error"][1]


def test_dtypes_do_not_depend_on_the_rows(careful, embed):
    for predict in (careful, embed):
        frame = pd.DataFrame({"text": pd.Series([*TEXTS, None], dtype="str")})
        dtypes = predict(frame).dtypes
        assert predict(frame[:0]).dtypes.equals(dtypes)
        assert predict(frame[:3]).dtypes.equals(dtypes)


def test_vectors_in_a_frame_are_arrays(embed):
    found = embed(pd.DataFrame({"text": [*TEXTS, None]}))["vector"]
    assert [None if value is None else value.shape for value in found] == [(256,), (256,), (256,), None]


def test_integers_that_may_be_null_stay_integers():
    column = Column("start", "start", "int64")
    frame = pd.DataFrame({"text": TEXTS[:2]})
    assert Pandas.extended(frame, {column: [2**62 + 1, None]}, True)["start"].tolist() == [2**62 + 1, pd.NA]
    assert Pandas.extended(frame, {column: [1, 2]}, False)["start"].dtype == np.int64
