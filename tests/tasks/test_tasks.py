"""What all tasks have: engines that agree, lists and streams, errors that say which input, names when pickled."""

from __future__ import annotations

import gc
import json
import pickle
import subprocess
import sys
import weakref
from itertools import count, islice
from typing import Any

import numpy as np
import pytest
import roberta
from roberta.tasks import TASKS

TEXTS = [
    "Emma Woodhouse, handsome, clever, and rich.",
    "No.",
    "Mr. Knightley was a sensible man.",
    "He came, she said.",
]
NLI = {0: "contradiction", 1: "neutral", 2: "entailment"}
CHOICES = [
    {"text": text, "choices": [" She was glad.", " No!", " It rained."][: 3 - at % 2]} for at, text in enumerate(TEXTS)
]
QUESTIONS = [{"question": "Who came?", "context": " ".join(TEXTS[at:] * 3)} for at in range(4)]
#: Task -> (what the configuration has besides, options, inputs).
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], list[Any]]] = {
    "text-classification": ({"num_labels": 3}, {"top_k": None}, TEXTS),
    "zero-shot-classification": (
        {"id2label": NLI, "label2id": {name: at for at, name in NLI.items()}},
        {"candidate_labels": "novel, letter"},
        TEXTS,
    ),
    "token-classification": ({"num_labels": 3}, {"aggregation_strategy": "first"}, TEXTS),
    "question-answering": ({}, {"top_k": 2, "max_seq_len": 37, "doc_stride": 5}, QUESTIONS),
    "multiple-choice": ({}, {}, CHOICES),
    "fill-mask": ({}, {"top_k": 2}, [text.replace("a", "<mask>", 1) + "<mask>" for text in TEXTS]),
    "text-generation": ({"is_decoder": True}, {"max_new_tokens": 4, "do_sample": True, "top_p": 0.9}, TEXTS),
    "feature-extraction": ({}, {"pooling": "mean", "normalize": True}, TEXTS),
}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return roberta.load_tokenizer("austen")


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    """What the spec says, by the name of the task."""
    return {}


@pytest.fixture
def make(make_config: Any, make_model: Any, tokenizer: Any) -> Any:
    """A task on an engine, by its name; in float64, so that engines differ by nothing that counts."""

    def made(name: str, backend: str, **options: Any) -> Any:
        config = make_config(vocab_size=len(tokenizer), max_position_embeddings=61, **CASES[name][0])
        model = make_model(TASKS[name].head, config, "numpy").to_backend(backend, dtype="float64")
        return roberta.task(name, model, tokenizer, **{**CASES[name][1], **options})

    return made


@pytest.fixture
def folder(make_config: Any, make_model: Any, tokenizer: Any, tmp_path: Any) -> Any:
    """A checkpoint for text classification."""
    config = make_config(vocab_size=len(tokenizer), max_position_embeddings=61, num_labels=3)
    make_model("sequence_classification", config, "numpy").save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    return tmp_path


def require_close(one: Any, other: Any) -> None:
    """Words exactly; numbers to a unit of float32, in which vectors are handed over: float64 errs far less."""
    one, other = (roberta.tasks.records.plain(each) for each in (one, other))
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        one, other = list(one.values()), list(other.values())
    if isinstance(one, list):
        assert len(one) == len(other)
        for each, its in zip(one, other, strict=True):
            require_close(each, its)
    elif isinstance(one, float):
        assert abs(one - other) <= 2.0**-23 * abs(other)
    else:
        assert one == other


# -- engines -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TASKS)
def test_engines_agree(make: Any, answers: Any, name: str, backend: str) -> None:
    task = make(name, backend, batch_size=3)
    found = task(CASES[name][2])
    if name not in answers:
        answers[name] = make(name, "numpy")(CASES[name][2])
    require_close(found, answers[name])


@pytest.mark.parametrize("name", TASKS)
def test_batches_lists_streams_and_one_by_one_are_alike(make: Any, name: str) -> None:
    inputs = CASES[name][2]
    task = make(name, "numpy", batch_size=2)
    expected = task(inputs)
    require_close(task(inputs, batch_size=3), expected)
    require_close(list(task(iter(inputs))), expected)
    require_close(task(tuple(inputs)), expected)
    require_close(task.attempt(inputs), expected)
    require_close(task(inputs[0]), expected[0])
    if name != "text-generation":  # whose draw is by the place in the call
        require_close([task(each) for each in inputs], expected)
    assert task([]) == []
    assert list(task(iter([]))) == []
    assert json.loads(json.dumps(roberta.tasks.records.plain(expected)))
    assert all(str(record) for record in np.ravel(np.array(expected[0], dtype=object)))


def test_a_stream_is_read_a_batch_ahead(make: Any) -> None:
    read: list[int] = []
    stream = (read.append(number) or f"text {number}" for number in count())
    assert len(list(islice(make("text-classification", "numpy", batch_size=3)(stream), 4))) == 4
    assert len(read) == 6


def test_arrays_and_series_are_lists(make: Any) -> None:
    task = make("text-classification", "numpy")
    assert task(np.array(TEXTS)) == task(TEXTS)


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TASKS)
def test_a_bad_input_spoils_no_other(make: Any, name: str) -> None:
    inputs = CASES[name][2]
    long = {"question": "Who? " * 60, "context": "She."} if name == "question-answering" else "too long " * 99
    long = {"text": long, "choices": ["x"]} if name == "multiple-choice" else long
    long = long + " <mask>" if name == "fill-mask" else long
    bad = [inputs[0], 5, inputs[1], None, long]
    task = make(name, "numpy")
    found = task.attempt(bad)
    require_close([found[0], found[2]], task(inputs[:2]) if name != "text-generation" else [found[0], found[2]])
    assert [type(each) for each in found[1::2]] == [TypeError, TypeError]
    assert isinstance(found[4], ValueError)
    assert str(found[1]).startswith(f"{name}: inputs[1]: required a")
    for each, part in ((5, "got int 5"), (None, "got NoneType")):
        with pytest.raises(TypeError, match=rf"{name}: inputs\[1\]: required a.*{part}"):
            task([inputs[0], each])


@pytest.mark.parametrize(
    ("name", "options", "error", "match"),
    [
        ("text-classification", {"top_k": 0}, ValueError, "top_k: required an integer of at least 1, or None.*got 0"),
        ("text-classification", {"function_to_apply": "tanh"}, ValueError, "one of softmax, sigmoid, none, got 'tanh'"),
        ("text-classification", {"topk": 2}, TypeError, "got 'topk'; did you mean 'top_k'"),
        ("text-classification", {"batch_size": True}, ValueError, "batch_size: required an integer of at least 1"),
        (
            "text-classification",
            {"max_length": 60},
            ValueError,
            "max_length: required None, or an integer from 3 to 59",
        ),
        ("text-classification", {"max_length": 2}, ValueError, "max_length: required None, .*got 2"),
        ("zero-shot-classification", {"hypothesis_template": "x"}, ValueError, "with {} once, .*got 'x'"),
        ("zero-shot-classification", {"candidate_labels": []}, ValueError, "candidate_labels: required at least one"),
        ("zero-shot-classification", {"candidate_labels": [3]}, ValueError, r"candidate_labels: required texts.*\[3\]"),
        ("token-classification", {"aggregation_strategy": "last"}, ValueError, "none, simple, first.*'last'"),
        ("token-classification", {"stride": 57}, ValueError, "stride: required less than the 57 tokens"),
        ("token-classification", {"aggregation_strategy": "none", "stride": 3}, ValueError, "None where aggregation"),
        ("question-answering", {"top_k": 0}, ValueError, "top_k: required an integer of at least 1"),
        ("question-answering", {"doc_stride": -1}, ValueError, "doc_stride: required None, or an integer"),
        ("question-answering", {"max_seq_len": 9}, ValueError, "stride"),
        ("fill-mask", {"top_k": 10**9}, ValueError, r"top_k: required an integer in \[1, "),
        ("fill-mask", {"targets": []}, ValueError, "targets: required None, a text, or a list"),
        ("text-generation", {"max_new_tokens": 99}, ValueError, "max_new_tokens: expected at most 59 tokens in all"),
        ("text-generation", {"max_new": 9}, TypeError, "got 'max_new'"),
        ("feature-extraction", {"pooling": None, "normalize": True}, ValueError, "normalize: required False"),
        ("feature-extraction", {"pooling": "max"}, ValueError, "pooling: required None, 'first' or 'mean', got 'max'"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_options_out_of_their_range(make: Any, name: str, options: Any, error: Any, match: str) -> None:
    with pytest.raises(error, match=match):
        make(name, "numpy")(CASES[name][2], **options)


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("text-classification", {"max_length": 60}, "max_length: required None, or an integer from 3 to 59"),
        ("zero-shot-classification", {"candidate_labels": []}, "candidate_labels: required at least one"),
        ("token-classification", {"stride": 57}, "stride: required less than the 57 tokens"),
        ("fill-mask", {"top_k": 10**9}, r"top_k: required an integer in \[1, "),
        ("text-generation", {"max_new_tokens": 99}, "max_new_tokens: expected at most 59 tokens in all"),
        ("text-generation", {"temperature": -1}, "temperature: expected a number above 0"),
    ],
)
def test_options_that_no_input_can_be_answered_with_are_no_fault_of_the_inputs(make, name, options, match) -> None:
    with pytest.raises(ValueError, match=match):
        make(name, "numpy").attempt(CASES[name][2], **options)


def test_what_holds_texts(make: Any) -> None:
    embed, name = make("feature-extraction", "numpy"), "feature-extraction: "
    (of_list,), of_array = embed([TEXTS[1]]), embed(np.array(TEXTS[1]))  # an array of no axes is the text itself
    assert np.array_equal(of_list.vector, of_array.vector)
    assert len(embed.attempt(text for text in TEXTS)) == len(TEXTS)
    with pytest.raises(TypeError, match=f"{name}inputs: required a str, got bytes b'She.'; decode it"):
        embed(b"She.")
    with pytest.raises(TypeError, match=f"{name}attempt: required a list of inputs, got str 'She.'; put it in a list"):
        embed.attempt("She.")


def test_a_table_is_no_list_of_its_columns(make: Any) -> None:
    pandas = pytest.importorskip("pandas", reason="a table of pandas")
    embed, table = make("feature-extraction", "numpy"), pandas.DataFrame({"text": TEXTS})
    for call in (embed, embed.attempt):
        with pytest.raises(TypeError, match=r"got a table, DataFrame; pass a column, such as table\['text'\]"):
            call(table)
    assert len(embed(table["text"])) == len(TEXTS)


def test_lists_of_options_may_be_arrays_and_streams(make: Any) -> None:
    fill, text = make("fill-mask", "numpy"), CASES["fill-mask"][2][0]
    zero, tag = make("zero-shot-classification", "numpy"), make("token-classification", "numpy")
    targets, labels = [" glad", " sad"], ["novel", "letter"]
    for kind in (np.array, tuple, iter):
        assert fill(text, targets=kind(targets)) == fill(text, targets=targets)
        assert zero(TEXTS[0], candidate_labels=kind(labels)) == zero(TEXTS[0], candidate_labels=labels)
    assert zero(TEXTS[0], labels) == zero(TEXTS[0], candidate_labels=labels)  # as transformers' users write it
    assert tag(TEXTS[0], ignore_labels="LABEL_0") == tag(TEXTS[0], ignore_labels=["LABEL_0"])
    with pytest.raises(ValueError, match="ignore_labels: required texts, got 3"):
        tag(TEXTS[0], ignore_labels=3)
    choose = make("multiple-choice", "numpy")
    assert choose({"text": "", "choices": np.array([" a", " b"])}) == choose({"text": "", "choices": [" a", " b"]})


def test_questions_that_leave_no_room(make: Any) -> None:
    ask = make("question-answering", "numpy")
    with pytest.raises(ValueError, match=r"question: required a window of 37 .*'who who .*; shorten the question"):
        ask(question="who " * 60, context="Emma.")
    with pytest.raises(ValueError, match=r"doc_stride = 36 .*'Who\?'; pass a doc_stride below "):
        ask(question="Who?", context=" ".join(TEXTS * 9), doc_stride=36)
    with pytest.raises(TypeError, match="required inputs, or question and context, got both"):
        ask(QUESTIONS[0], question="Who?", context="Emma.")


def test_long_prompts_and_near_misses(make: Any) -> None:
    write = make("text-generation", "numpy")
    with pytest.raises(ValueError, match="or pass handle_long_generation='hole'"):
        write("She was. " * 99)
    with pytest.raises(TypeError, match="got 'max_newtokens'; did you mean 'max_new_tokens'"):
        write("She", max_newtokens=3)


def test_what_is_no_task() -> None:
    with pytest.raises(ValueError, match=r"task: expected one of .*, got None"):
        roberta.task(None)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match=r"task: expected one of text-classification, .*did you mean 'fill-mask'"):
        roberta.task("fillmask")
    with pytest.raises(TypeError, match="text-classification: model: required a checkpoint with this head, got None"):
        roberta.task("text-classification")
    with pytest.raises(TypeError, match=r"model: required a checkpoint .* or a RobertaForMaskedLM, got int"):
        roberta.task("fill-mask", 3)
    with pytest.raises(TypeError, match=r"token-classification: expected the options .*got 'labels'"):
        roberta.task("ner", "austen", labels=3)


@pytest.mark.parametrize(
    "name", [name for name in TASKS if name not in ("fill-mask", "feature-extraction", "text-generation")]
)
def test_random_weights_never_answer(name: str, backend: str) -> None:
    task = roberta.task(name, "austen", backend=backend)
    with pytest.raises(ValueError, match=rf"{name}: required .* lacks .*random, .*has whole: .*RobertaForMaskedLM"):
        task.load()
    with pytest.raises(ValueError, match="lacks"):
        task.attempt(CASES[name][2])


def test_an_encoder_writes_no_text() -> None:
    with pytest.raises(ValueError, match=r"required a decoder|expected a decoder"):
        roberta.task("text-generation", "austen", backend="numpy")("She was", max_new_tokens=3)


# -- weights -----------------------------------------------------------------------------------------------------------


def test_a_task_is_pickled_as_names(folder: Any, tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(folder)
    with roberta.use_backend("numpy"):
        task = roberta.task("text-classification", ".", batch_size=3, top_k=None)
        content = pickle.dumps(task)
    assert len(content) < 1000
    code = (
        "import pickle, sys, json, roberta; task = pickle.loads(bytes.fromhex(sys.argv[1]));"
        f"print(json.dumps([task.backend, [one.to_dict() for one in task({TEXTS[0]!r})]]))"
    )
    command = [sys.executable, "-c", code, content.hex()]
    elsewhere = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/")  # noqa: S603  # our own
    _, found = json.loads(elsewhere.stdout)
    require_close(found, task(TEXTS[0], top_k=None))
    again = pickle.loads(content)  # noqa: S301
    assert (again.top_k, again.batch_size) == (None, 3)
    assert again.weights.backend == "numpy"
    assert again(TEXTS) == task(TEXTS)
    assert again.weights.model is task.weights.model


def test_a_model_object_is_no_name(make: Any) -> None:
    with pytest.raises(TypeError, match=r"required the name of a checkpoint.*got a model object; save it"):
        pickle.dumps(make("text-classification", "numpy"))


def test_weights_are_loaded_once_and_again_when_they_are_replaced(
    folder: Any, make_config: Any, make_model: Any, tokenizer: Any
) -> None:
    first, second = (roberta.task("text-classification", folder, backend="numpy") for _ in range(2))
    before = first(TEXTS)
    assert first.weights.model is second.weights.model
    config = make_config(vocab_size=len(tokenizer), max_position_embeddings=61, num_labels=3)
    make_model("sequence_classification", config, "numpy", seed=1).save_pretrained(folder)
    third = roberta.task("text-classification", folder, backend="numpy")
    assert third.weights.model is not first.weights.model
    assert third(TEXTS) != before == first(TEXTS)
    old = weakref.ref(first.weights.model)
    del first, second
    gc.collect()
    assert old() is None  # nobody holds on to what has been replaced


def test_other_options_are_on_the_same_weights(make: Any) -> None:
    task = make("text-classification", "numpy")
    other = task.replace(top_k=1)
    assert other.weights is task.weights
    assert (task.top_k, other.top_k) == (None, 1)
    with pytest.raises(TypeError, match="got 'backend'"):
        task.replace(backend="torch")


def test_memory(folder: Any, backend: str) -> None:
    memory = roberta.task("text-classification", folder, backend=backend).memory()
    assert memory.private is None or memory.private > 10**6
    assert memory.laid_out is None or memory.laid_out > 10**5
    assert str(memory)


# -- generation --------------------------------------------------------------------------------------------------------


def test_generation_is_that_of_generate(make: Any, tokenizer: Any) -> None:
    task = make("text-generation", "numpy", do_sample=False, top_p=None)
    ids = [tokenizer.encode(TEXTS[0])[:-1]]
    for asked in (
        {},
        {"num_beams": 3},
        {"repetition_penalty": 1.7},
        {"no_repeat_ngram_size": 2},
        {"min_new_tokens": 3},
    ):
        new = task.weights.model.generate(ids, max_new_tokens=4, **asked)[0, len(ids[0]) :]
        spelled = tokenizer.decode(new.tolist(), skip_special_tokens=True)
        assert task(TEXTS[0], return_full_text=False, **asked).generated_text == spelled
        assert task(TEXTS[0], **asked).generated_text == TEXTS[0] + spelled
    several = task(TEXTS[:2], num_beams=3, num_return_sequences=2)
    assert [len(each) for each in several] == [2, 2]
    assert several[0][0] == task(TEXTS[0], num_beams=3)


def test_a_long_prompt_loses_its_beginning_where_it_may(make: Any, tokenizer: Any) -> None:
    task = make("text-generation", "numpy", do_sample=False, top_p=None)
    long = " ".join(TEXTS * 4)
    with pytest.raises(ValueError, match=r"required at most 59 tokens.*got .* in inputs\[0\]"):
        task(long)
    end = tokenizer.encode(long)[:-1][-55:]
    new = task.weights.model.generate([end], max_new_tokens=4)[0, 55:].tolist()
    found = task(long, handle_long_generation="hole")
    assert (
        found.generated_text
        == long
        + tokenizer.decode([*end, *new], skip_special_tokens=True)[
            len(tokenizer.decode(end, skip_special_tokens=True)) :
        ]
    )
    assert task(TEXTS[0], handle_long_generation="hole") == task(TEXTS[0])
    with pytest.raises(ValueError, match="fewer new tokens than the 59"):
        task(long, handle_long_generation="hole", max_new_tokens=59)
    with_prefix = task(TEXTS[0], prefix="Yes. ", return_full_text=False)
    assert with_prefix == task("Yes. " + TEXTS[0], return_full_text=False)
    assert task(TEXTS[0], prefix="Yes. ").generated_text.startswith(TEXTS[0])


def test_a_draw_is_by_the_place_in_the_call(make: Any) -> None:
    task = make("text-generation", "numpy", max_new_tokens=9, top_p=None)
    same = task([TEXTS[0]] * 5, batch_size=2)
    assert len({each.generated_text for each in same}) > 1
    assert same == task([TEXTS[0]] * 5, batch_size=5)
    assert same != task([TEXTS[0]] * 5, seed=1)


def test_streaming_gives_whole_characters(make: Any) -> None:
    task = make("text-generation", "numpy", max_new_tokens=40, temperature=3.0, top_p=None)
    whole = task(TEXTS[1], return_full_text=False).generated_text
    pieces = list(task.stream(TEXTS[1]))
    assert "".join(pieces) == whole
    assert len(pieces) > 5
    assert all(not piece.endswith("\ufffd") for piece in pieces[:-1])
    with pytest.raises(ValueError, match="num_beams=1 beside it"):
        list(task.stream(TEXTS[1], num_beams=2))
