"""Answers are those of transformers' pipelines on the same weights: words and places exactly, numbers to rounding.

Both compute in float64, so that what differs is the float32 in which some pipelines make scores of logits. Such a score
is exp(x - m) / sum exp(x - m) of L numbers: each x is rounded once, with an error of |x| u, which its exponential takes
over as a relative one; the exponential, the sum and the quotient add L + 3 roundings of u = 2^-24. Products and means
of two such scores at most double that: 2 (|x| + L + 3) u, which is 64 u for the logits here, of 24 at most, and 5
labels.
"""

from __future__ import annotations

import warnings
from itertools import chain, pairwise
from typing import Any

import numpy as np
import pytest
import roberta
import torch
import transformers
from roberta.reference.outputs import to_numpy

pytestmark = [pytest.mark.torch, pytest.mark.hf, pytest.mark.tokenizers]

TEXTS = [
    "Emma Woodhouse, handsome, clever, and rich, with a comfortable home and happy disposition.",
    "Mr. Knightley was a sensible man about seven or eight-and-thirty.",
    "No.",
    "She said: “Café naïve 😀”, and he\twent  away…\nTo Highbury!",
    "“Oh!” cried he.",
]
CONTEXT = (
    " ".join(TEXTS[:2]) + " " + "He lived about a mile from Highbury, was a frequent visitor, and always welcome. " * 3
)
LABELS = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC", 4: "I-LOC"}
HEADS = {
    "text-classification": "sequence_classification",
    "zero-shot-classification": "sequence_classification",
    "token-classification": "token_classification",
    "question-answering": "question_answering",
    "fill-mask": "masked_lm",
    "feature-extraction": "model",
    "text-generation": "causal_lm",
}
U = 2.0**-24


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return roberta.load_tokenizer("austen", fast=True)


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    """What `pair` has made, by what it was asked for."""
    return {}


@pytest.fixture
def pair(make_config: Any, make_model: Any, tokenizer: Any, made: Any, tmp_path_factory: Any) -> Any:
    """A task of ours and the pipeline, of the same folder, in float64."""

    def make(name: str, **changes: Any) -> tuple[Any, Any]:
        folder = tmp_path_factory.mktemp("checkpoint")
        config = make_config(vocab_size=len(tokenizer), max_position_embeddings=131, **changes)
        model = make_model(HEADS[name], config, "numpy").to_backend("numpy", dtype="float64")
        heads = ("classifier.weight", "classifier.out_proj.weight", "qa_outputs.weight")
        # logits far enough apart that texts have different labels
        model.load_state_dict_numpy(
            {key: value * (8 if key in heads else 1) for key, value in model.state_dict_numpy().items()}
        )
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        face = "Roberta" + type(model).__name__.split("Roberta", 1)[1]
        peer = getattr(transformers, face).from_pretrained(folder, dtype=torch.float64).eval()
        fast = transformers.RobertaTokenizerFast.from_pretrained(folder)
        theirs = transformers.pipeline(name, model=peer, tokenizer=fast, device="cpu")
        return roberta.task(name, folder, backend="numpy", dtype="float64", batch_size=3), theirs

    def known(name: str, **changes: Any) -> tuple[Any, Any]:
        key = f"{name} {changes}"
        if key not in made:
            made[key] = make(name, **changes)
        return made[key]

    return known


def require_same(own: Any, theirs: Any, bound: float = 64 * U) -> None:
    """Words exactly; numbers within a relative bound."""
    if isinstance(theirs, dict):
        assert set(own) == set(theirs)
        for name, value in theirs.items():
            require_same(own[name], value, bound)
    elif isinstance(theirs, list | tuple):
        assert len(own) == len(theirs)
        for one, other in zip(own, theirs, strict=True):
            require_same(one, other, bound)
    elif isinstance(theirs, float | np.floating):
        assert abs(own - theirs) <= bound * abs(theirs)
    else:
        assert own == theirs


# -- text classification -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [None, "softmax", "sigmoid", "none"])
@pytest.mark.parametrize(
    "changes",
    [
        {"num_labels": 3},
        {"num_labels": 1},
        {"num_labels": 3, "problem_type": "multi_label_classification"},
        {"num_labels": 1, "problem_type": "regression"},
        {"id2label": {0: "novel", 1: "letter"}, "label2id": {"novel": 0, "letter": 1}},
    ],
    ids=str,
)
def test_text_classification(pair: Any, changes: Any, function: Any) -> None:
    ours, theirs = pair("text-classification", **changes)
    asked = {} if function is None else {"function_to_apply": function}
    require_same(ours(TEXTS, **asked), theirs(TEXTS, **asked))
    require_same(ours(TEXTS[0], **asked), theirs(TEXTS[0], **asked)[0])
    every = theirs(TEXTS, top_k=None, **asked)
    require_same(ours(TEXTS, top_k=None, **asked), every if isinstance(every[0], list) else [[one] for one in every])


def test_text_classification_of_pairs(pair: Any) -> None:
    ours, theirs = pair("text-classification", num_labels=3)
    pairs = [{"text": text, "text_pair": other} for text, other in pairwise(TEXTS)]
    require_same(ours(pairs), theirs(pairs))
    mixed = [pairs[0], TEXTS[1], {"text": TEXTS[2]}]
    require_same(ours(mixed), [theirs(each) if isinstance(each, dict) else theirs(each)[0] for each in mixed])


def test_text_classification_cuts_where_it_is_told_to(pair: Any) -> None:
    ours, theirs = pair("text-classification", num_labels=3)
    long = " ".join(TEXTS * 9)
    require_same(ours([long], truncation=True), theirs([long], truncation=True, max_length=128))
    short = {"truncation": True, "max_length": 9}
    require_same(ours(TEXTS, **short), theirs(TEXTS, **short))
    require_same(ours([TEXTS[2]], max_length=9), theirs([TEXTS[2]]))
    with pytest.raises(ValueError, match=r"required at most 9 tokens, .*in inputs\[0\].*truncation=True"):
        ours(TEXTS, max_length=9)
    with pytest.raises(ValueError, match=r"required at most 128 tokens, .*in inputs\[1\].*truncation=True"):
        ours([TEXTS[0], long])


# -- zero-shot classification ------------------------------------------------------------------------------------------

NLI = {0: "contradiction", 1: "neutral", 2: "entailment"}


@pytest.mark.parametrize("names", [NLI, {0: "ENTAILMENT", 1: "other", 2: "not"}], ids=["last", "first"])
@pytest.mark.parametrize(
    "asked",
    [
        {"candidate_labels": ["novel", "letter", "speech, long"]},
        {"candidate_labels": "novel, letter,speech"},
        {"candidate_labels": ["novel", "letter"], "multi_label": True},
        {"candidate_labels": ["novel"], "hypothesis_template": "It is a {}, I say."},
    ],
    ids=str,
)
def test_zero_shot_classification(pair: Any, names: Any, asked: Any) -> None:
    ours, theirs = pair("zero-shot-classification", id2label=names, label2id={name: at for at, name in names.items()})
    require_same(ours(TEXTS, **asked), theirs(TEXTS, **asked))
    require_same(ours(TEXTS[0], **asked), theirs(TEXTS[0], **asked))


def test_zero_shot_classification_needs_a_model_of_inference(pair: Any) -> None:
    ours, _ = pair("zero-shot-classification", num_labels=3)
    with pytest.raises(ValueError, match=r"begins with 'entail', got the labels \['LABEL_0'"):
        ours(TEXTS[0], candidate_labels="novel")


# -- token classification ----------------------------------------------------------------------------------------------

TAGS = {"id2label": LABELS, "label2id": {label: at for at, label in LABELS.items()}}


@pytest.mark.parametrize("strategy", ["none", "simple", "first", "average", "max"])
@pytest.mark.parametrize("asked", [{}, {"ignore_labels": []}, {"ignore_labels": ["LOC", "B-LOC"]}], ids=str)
@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
def test_token_classification(pair: Any, strategy: str, asked: Any) -> None:
    ours, theirs = pair("token-classification", **TAGS)
    theirs_too = theirs(TEXTS, aggregation_strategy=strategy, **asked)
    require_same(ours(TEXTS, aggregation_strategy=strategy, **asked), theirs_too)
    assert any(theirs_too)


@pytest.mark.parametrize("strategy", ["none", "simple", "first", "average", "max"])
@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
def test_token_classification_of_words(pair: Any, strategy: str, monkeypatch: Any) -> None:
    ours, theirs = pair("token-classification", **TAGS)
    words = [["Emma", "Woodhouse", ",", "hand-some"], ["Highbury", "is", "a", "naïve", "village"]]
    asked = {"aggregation_strategy": strategy, "is_split_into_words": True, "ignore_labels": []}
    fast = transformers.RobertaTokenizerFast.from_pretrained(theirs.tokenizer.name_or_path, add_prefix_space=True)
    monkeypatch.setattr(theirs, "tokenizer", fast)
    ours = roberta.task(
        "token-classification",
        ours.weights.source,
        roberta.load_tokenizer(ours.weights.source, fast=True, add_prefix_space=True),
        backend="numpy",
        dtype="float64",
    )
    require_same(ours(words, **asked), [theirs(each, **asked)[0] for each in words])
    require_same(ours(words[0], **asked), theirs(words[0], **asked)[0])


@pytest.mark.parametrize("stride", [0, 7])
@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
def test_token_classification_in_windows(pair: Any, stride: int, monkeypatch: Any) -> None:
    ours, theirs = pair("token-classification", **TAGS)
    for each in (theirs.tokenizer, ours.weights.tokenizer):
        monkeypatch.setattr(each, "model_max_length", 31)
    text = " ".join(TEXTS * 2)
    asked = {"aggregation_strategy": "simple", "stride": stride}
    found = ours(text, **asked)
    require_same(found, theirs(text, **asked))
    assert len(found) > 9


# -- question answering ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"top_k": 3},
        {"top_k": 3, "align_to_words": False},
        {"handle_impossible_answer": True},
        {"handle_impossible_answer": True, "top_k": 4},
        {"max_answer_len": 2},
        {"max_seq_len": 40, "doc_stride": 11, "top_k": 2},
        {"max_seq_len": 40, "doc_stride": 0},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")
def test_question_answering(pair: Any, asked: Any) -> None:
    ours, theirs = pair("question-answering")
    questions = ["Who was clever?", "Where did he live?"]
    contexts = [CONTEXT, TEXTS[1]]
    own = ours(question=questions, context=contexts, **asked)
    require_same(own, theirs(question=questions, context=contexts, **asked))
    require_same(
        ours(question=questions[0], context=CONTEXT, **asked), theirs(question=questions[0], context=CONTEXT, **asked)
    )
    pairs = [{"question": question, "context": context} for question, context in zip(questions, contexts, strict=True)]
    assert ours(pairs, **asked) == own


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")
def test_no_answer_is_the_least_likely_of_all_windows(pair: Any) -> None:
    ours, theirs = pair("question-answering")
    asked = {"question": "Who was clever?", "context": CONTEXT, "max_seq_len": 40, "doc_stride": 11, "top_k": 2000}
    found, expected = (task(**asked, handle_impossible_answer=True) for task in (ours, theirs))
    (own,) = [one.score for one in found if not one.answer]
    theirs_empty = [one["score"] for one in expected if not one["answer"]]  # white space is an answer there, too
    assert len(theirs_empty) == 2
    assert min(theirs_empty) == pytest.approx(own, rel=64 * U)


# -- multiple choice, for which there is no pipeline -------------------------------------------------------------------


def test_multiple_choice(make_config: Any, make_model: Any, tokenizer: Any, tmp_path: Any) -> None:
    config = make_config(vocab_size=len(tokenizer), max_position_embeddings=131)
    model = make_model("multiple_choice", config, "numpy").to_backend("numpy", dtype="float64")
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    peer = transformers.RobertaForMultipleChoice.from_pretrained(tmp_path, dtype=torch.float64).eval()
    fast = transformers.RobertaTokenizerFast.from_pretrained(tmp_path)
    ours = roberta.task("multiple-choice", tmp_path, backend="numpy", dtype="float64")
    choices = [[" She was glad.", " No!", " It rained all day."], [" He was not."]]
    found = ours([{"text": text, "choices": of_text} for text, of_text in zip(TEXTS, choices, strict=False)])
    for text, of_text, one in zip(TEXTS, choices, found, strict=False):
        inputs = fast([text] * len(of_text), of_text, return_tensors="pt", padding=True)
        with torch.no_grad():
            scores = peer(**{name: value[None] for name, value in inputs.items()}).logits.softmax(-1)[0].tolist()
        require_same(list(one.scores), scores)
        best = int(np.argmax(scores))
        require_same(one.to_dict(), {"choice": of_text[best], "index": best, "score": scores[best], "scores": scores})


# -- filling masks -----------------------------------------------------------------------------------------------------

MASKED = ["She was <mask> to see him.", "He was the eldest<mask>.", "<mask> dear Emma, you are 😀"]


@pytest.mark.parametrize("asked", [{}, {"top_k": 1}, {"top_k": 11}, {"targets": ["Ġglad", "Ġsorry", "!"]}], ids=str)
def test_filling_masks(pair: Any, asked: Any) -> None:
    ours, theirs = pair("fill-mask")
    require_same(ours(MASKED, **asked), theirs(MASKED, **asked))


def test_filling_several_masks_keeps_the_text(pair: Any) -> None:
    ours, theirs = pair("fill-mask")
    text = "She was <mask> to <mask> him."
    found, expected = ours(text), theirs(text)
    for one, other in zip(chain(*found), chain(*expected), strict=True):
        require_same({**one, "sequence": ""}, {**other, "sequence": ""})
        assert one.sequence.replace(" <mask>", "<mask>") == other["sequence"].removeprefix("<s>").removesuffix("</s>")


def test_targets_that_are_no_tokens_are_told(pair: Any) -> None:
    ours, theirs = pair("fill-mask")
    with pytest.warns(UserWarning, match="' gladdish' is no token; 'Ġglad', the first of its"):
        found = ours(MASKED[0], targets=[" gladdish"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        require_same(found, theirs(MASKED[0], targets=[" gladdish"]))


# -- features ----------------------------------------------------------------------------------------------------------


def test_feature_extraction(pair: Any) -> None:
    ours, theirs = pair("feature-extraction")
    expected = [np.array(one)[0] for one in theirs(TEXTS)]  # T D each
    for found, wanted in zip(ours(TEXTS), expected, strict=True):
        # float32 of a number whose error in float64 is nothing beside it
        assert np.abs(found.vectors - wanted).max() <= U * np.abs(wanted).max() * 2
    for pooling, pooled in (("first", lambda x: x[0]), ("mean", lambda x: x.mean(0))):
        for found, wanted in zip(ours(TEXTS, pooling=pooling, normalize=True), map(pooled, expected), strict=True):
            unit = wanted / np.linalg.norm(wanted)
            assert np.abs(np.asarray(found) - unit).max() <= U * np.abs(unit).max() * 2
            assert to_numpy(found.vector).dtype == np.float32


# -- what is different, on purpose; docs/tasks.md lists it -------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")
def test_a_context_has_no_more_answers_than_spans(pair: Any) -> None:
    ours, theirs = pair("question-answering")
    asked = {"question": "Who?", "context": "Emma came.", "top_k": 9, "align_to_words": False}
    assert any(one["start"] > one["end"] or not one["answer"] for one in theirs(**asked))
    found = ours(**asked)
    assert 2 < len(found) < 9
    assert all(asked["context"][one.start : one.end] == one.answer != "" for one in found)


def test_the_last_label_is_not_entailment(pair: Any) -> None:
    ours, theirs = pair("zero-shot-classification", num_labels=3)
    assert theirs(TEXTS[0], candidate_labels="novel, letter")["labels"]
    with pytest.raises(ValueError, match="begins with 'entail'"):
        ours(TEXTS[0], candidate_labels="novel, letter")


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")
def test_long_texts_are_told(pair: Any) -> None:
    long = " ".join(TEXTS * 9)
    ours, theirs = pair("token-classification", **TAGS)
    theirs(long)
    zero, their_zero = pair("zero-shot-classification", id2label=NLI, label2id={name: at for at, name in NLI.items()})
    their_zero(long, candidate_labels="novel")
    for task, options in ((ours, {}), (zero, {"candidate_labels": "novel"})):
        with pytest.raises(ValueError, match=r"required at most 128 tokens.*truncation=True"):
            task(long, **options)
        assert task(long, truncation=True, **options)
    _, classify = pair("text-classification", num_labels=3)
    with pytest.raises((IndexError, RuntimeError)):
        classify(long * 2)


def test_one_label_is_a_record(pair: Any) -> None:
    ours, theirs = pair("text-classification", num_labels=3)
    assert isinstance(theirs(TEXTS[0], top_k=1), list)
    assert isinstance(theirs(TEXTS)[0], dict)
    assert ours(TEXTS[0], top_k=1) == ours(TEXTS[0])


def test_a_prompt_is_not_at_its_end(pair: Any, tokenizer: Any, monkeypatch: Any) -> None:
    ours, theirs = pair("text-generation", is_decoder=True)
    seen: list[Any] = []
    for model in (ours.weights.model, theirs.model):
        kept = model.generate
        monkeypatch.setattr(
            type(model),
            "generate",
            lambda _, *args, kept=kept, **given: (
                seen.append((*args, given.get("input_ids"))[0]) or kept(*args, **given)
            ),
        )
    ours(TEXTS[2], max_new_tokens=2)
    theirs(TEXTS[2], max_new_tokens=2, do_sample=False)
    ids = tokenizer.encode(TEXTS[2])
    assert [np.asarray(each).tolist() for each in seen] == [[ids[:-1]], [ids]]


def test_generated_texts_are_those_of_the_same_prompt(pair: Any, tokenizer: Any) -> None:
    """Given the prompt without its end and its own positions, which `test_generation_transformers` says why."""
    ours, theirs = pair("text-generation", is_decoder=True)
    ids = torch.tensor([tokenizer.encode(TEXTS[2])[:-1]])
    for _ in range(4):
        logits = theirs.model(ids).logits[0, -1]
        logits[tokenizer.pad_token_id] = -torch.inf
        ids = torch.cat([ids, logits.argmax()[None, None]], 1)
    spelled = tokenizer.decode(ids[0].tolist(), skip_special_tokens=True)
    assert ours(TEXTS[2], max_new_tokens=4, eos_token_id=()).generated_text == spelled
