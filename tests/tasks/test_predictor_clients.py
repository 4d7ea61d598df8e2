"""A predictor is what Ray Data, Spark, Dask and datasets take: each gives, row by row, what the task itself answers."""

from __future__ import annotations

import logging
import os
import re
import shutil
import sys
from pathlib import Path

import dask
import dask.dataframe
import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyspark.sql
import pytest
import ray
import roberta

TEXTS = [
    f"{who} was {how} to {what} him." for who in ("She", "Emma") for how in ("glad", "late") for what in ("see", "be")
]
NEEDS_JAVA = pytest.mark.skipif(
    shutil.which("java") is None,
    reason="Spark needs Java 17 or later, and there is no `java`: apt install openjdk-17-jre",
)


#: What these libraries warn about is their own: pandas 3 is new to Spark, and Ray Data reads what it has deprecated.
pytestmark = [
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
    pytest.mark.filterwarnings("ignore:`use_\\w+` is deprecated:DeprecationWarning"),
]


@pytest.fixture
def label(novelist):
    return roberta.Predictor(roberta.task("text-classification", novelist, backend="numpy"))


@pytest.fixture
def expected(label, score_limits):
    """Text -> label, score, and how far a float32 run in other batches may be from it."""
    answers = zip(TEXTS, label.task(TEXTS), score_limits(TEXTS), strict=True)
    return {text: (answer["label"], answer["score"], limit) for text, answer, limit in answers}


def require_agreement(table, expected):
    assert sorted(table["text"]) == sorted(expected)
    for text, label, score in zip(table["text"], table["label"], table["score"], strict=True):
        wanted, number, limit = expected[text]
        assert label == wanted
        assert abs(score - number) <= limit


# -- Ray Data ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster():
    ray.init(
        num_cpus=2, include_dashboard=False, object_store_memory=80 * 2**20, log_to_driver=False, logging_level="ERROR"
    )
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize("batch_format", ["numpy", "pyarrow", "pandas"])
def test_ray_data(cluster, label, expected, batch_format):
    rows = ray.data.from_arrow(pa.table({"text": TEXTS})).repartition(2)
    answered = rows.map_batches(label, batch_format=batch_format, batch_size=3)
    require_agreement(pd.DataFrame(answered.take_all()), expected)


@pytest.mark.slow
def test_ray_data_with_actors(cluster, label, expected):
    rows = ray.data.from_arrow(pa.table({"text": TEXTS}))
    pool = ray.data.ActorPoolStrategy(size=1)
    answered = rows.map_batches(roberta.Predictor, fn_constructor_args=(label.task,), compute=pool, batch_size=3)
    require_agreement(pd.DataFrame(answered.take_all()), expected)


# -- Spark ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spark():
    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.shuffle.partitions": "2",
    }
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # a worker is otherwise whatever `python3` there is
    builder = pyspark.sql.SparkSession.builder.master("local[2]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture
def sentences(spark):
    return spark.createDataFrame([(text,) for text in TEXTS], "text string").repartition(2)


@pytest.mark.slow
@NEEDS_JAVA
def test_spark_map_in_pandas(sentences, label, expected):
    answered = sentences.mapInPandas(label, f"text string, {label.ddl()}")
    require_agreement(answered.toArrow().to_pydict(), expected)


@pytest.mark.slow
@NEEDS_JAVA
def test_spark_map_in_arrow(sentences, label, expected):
    answered = sentences.mapInArrow(label, f"text string, {label.ddl()}")
    require_agreement(answered.toArrow().to_pydict(), expected)


@pytest.mark.slow
@NEEDS_JAVA
def test_spark_pandas_udf(sentences, label, expected):
    def answers(text: pd.Series) -> pd.DataFrame:
        return label(text)

    from pyspark.sql.functions import col, pandas_udf

    answered = sentences.select("text", pandas_udf(answers, label.ddl())("text").alias("answer"))
    flat = answered.select("text", col("answer.label"), col("answer.score"))
    require_agreement(flat.toArrow().to_pydict(), expected)


@pytest.mark.slow
@NEEDS_JAVA
def test_spark_writes_vectors_and_nulls(spark, tmp_path):
    embed = roberta.Predictor(
        roberta.task("feature-extraction", "austen", pooling="mean", backend="numpy"), errors="column"
    )
    frame = spark.createDataFrame([(TEXTS[0],), (None,)], "text string").coalesce(1)
    frame.mapInPandas(embed, f"text string, {embed.ddl()}").write.parquet(str(tmp_path / "out"))
    found = pq.read_table(tmp_path / "out").to_pylist()
    assert [len(row["vector"] or []) for row in found] == [256, 0]
    assert "None" in found[1]["error"]


# -- Dask ----------------------------------------------------------------------------------------------------------


def test_dask(label, expected):
    frame = dask.dataframe.from_pandas(pd.DataFrame({"text": TEXTS}), npartitions=3)
    with dask.config.set(scheduler="synchronous"):
        answered = frame.map_partitions(label, meta=label(frame._meta))
        assert list(answered.columns) == ["text", "label", "score"]
        require_agreement(answered.compute(), expected)


def test_dask_writes_vectors(tmp_path):
    embed = roberta.Predictor(roberta.task("feature-extraction", "austen", pooling="mean", backend="numpy"))
    frame = dask.dataframe.from_pandas(pd.DataFrame({"text": TEXTS}), npartitions=3)
    schema = embed.schema(pa.schema([("text", pa.string())]))
    with dask.config.set(scheduler="synchronous"):
        answered = frame.map_partitions(embed, meta=embed(frame._meta))
        answered.to_parquet(tmp_path / "out", schema=schema, write_index=False)
    found = pq.read_table(tmp_path / "out")
    assert found.schema.field("vector").type == pa.list_(pa.float32(), 256)
    assert len(found) == len(TEXTS)


# -- datasets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [None, "numpy", "arrow", "pandas"])
def test_datasets(label, expected, form):
    rows = datasets.Dataset.from_dict({"text": TEXTS})
    answered = rows.with_format(form).map(label, batched=True, batch_size=3).with_format(None)
    require_agreement(answered.to_pandas(), expected)


def test_datasets_streaming(label, expected):
    rows = datasets.Dataset.from_dict({"text": TEXTS}).to_iterable_dataset()
    require_agreement(pd.DataFrame(list(rows.map(label, batched=True, batch_size=3))), expected)


def test_datasets_with_vectors():
    embed = roberta.Predictor(roberta.task("feature-extraction", "austen", pooling="mean", backend="numpy"))
    rows = datasets.Dataset.from_dict({"text": TEXTS}).map(embed, batched=True)
    assert np.shape(rows["vector"][:]) == (len(TEXTS), 256)


# -- the page ------------------------------------------------------------------------------------------------------

PAGE = Path(roberta.__file__).parent / "docs" / "scale.md"
RECIPES = dict(
    re.findall(r"^### ([\w ]+)\n\n```py\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
)
CLIENTS = [
    pytest.param("Ray Data", "cluster", marks=pytest.mark.slow, id="ray"),
    pytest.param("Spark", "spark", marks=[pytest.mark.slow, NEEDS_JAVA], id="spark"),
    pytest.param("Dask", None, id="dask"),
    pytest.param("datasets", None, id="datasets"),
]


def test_the_page_has_a_recipe_for_each():
    assert list(RECIPES) == [client.values[0] for client in CLIENTS]


@pytest.mark.parametrize(("client", "fixture"), CLIENTS)
def test_the_page_s_recipe(client, fixture, request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("sentences.txt").write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    names = {"embed": roberta.Predictor(roberta.task("feature-extraction", "austen", pooling="mean", backend="numpy"))}
    if fixture is not None:
        names[fixture] = request.getfixturevalue(fixture)
    recipe = RECIPES[client].replace('"sentences.txt"', f'"{tmp_path}/sentences.txt"')
    recipe = re.sub(r'"(vectors[.\w]*)"', rf'"{tmp_path}/\1"', recipe)  # Spark's and Ray's folders are not ours
    exec(recipe, names)  # noqa: S102  # our own page
    (written,) = tmp_path.glob("vectors*")
    found = pq.read_table(written).to_pydict()
    assert sorted(found["text"]) == sorted(TEXTS)
    assert {len(vector) for vector in found["vector"]} == {256}
