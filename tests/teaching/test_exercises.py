"""Exercises: honest solutions pass, each known mistake is named, any other is refused, and misuse is told."""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from roberta.__main__ import main
from roberta.teaching.exercises import EXERCISES, judge
from roberta.teaching.exercises.files import judge_file, write_start

# -- independent solutions, as a student may write them ----------------------------------------------------------------


def bpe_merge(symbols: Any, merges: Any) -> Any:
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    word = list(symbols)
    while True:
        pairs = [(ranks[pair], at) for at, pair in enumerate(pairwise(word)) if pair in ranks]
        if not pairs:
            return word
        at = min(pairs)[1]
        word[at : at + 2] = [word[at] + word[at + 1]]


def position_ids(input_ids: Any, pad: int) -> Any:
    rows = []
    for row in input_ids:
        count, numbers = pad, []
        for token in row:
            count += token != pad
            numbers.append(pad if token == pad else count)
        rows.append(numbers)
    return rows


def layer_norm(x: Any, weight: Any, bias: Any, eps: float) -> Any:
    centred = x - np.mean(x, axis=-1, keepdims=True)
    return weight * (centred / np.sqrt(np.var(x, axis=-1, keepdims=True) + np.float32(eps))) + bias


def embeddings(input_ids: Any, position_ids: Any, token_type_ids: Any, p: Any, eps: float) -> Any:
    total = np.take(p["position"], position_ids, 0) + np.take(p["token_type"], token_type_ids, 0)
    return layer_norm(total + np.take(p["word"], input_ids, 0), p["weight"], p["bias"], eps)


def softmax(scores: Any) -> Any:
    exponents = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
    return exponents / np.sum(exponents, axis=-1, keepdims=True)


def attention(query: Any, key: Any, value: Any, is_attended: Any) -> Any:
    scores = np.einsum("bhtk,bhsk->bhts", query * np.float32(query.shape[-1] ** -0.5), key)
    return np.einsum("bhts,bhsk->bhtk", softmax(np.where(is_attended, scores, np.float32(-1e30))), value)


def relative_positions(query: Any, key: Any, table: Any) -> Any:
    B, H, T, _ = query.shape
    found = np.zeros((B, H, T, T), query.dtype)
    for i in range(T):
        for j in range(T):
            row = table[i - j + (len(table) - 1) // 2]
            found[:, :, i, j] = query[:, :, i] @ row + key[:, :, j] @ row
    return found


def gelu(x: Any) -> Any:
    return (x * np.vectorize(lambda one: 0.5 * math.erfc(-one / math.sqrt(2)))(x)).astype(x.dtype)


def masking(input_ids: Any, special_ids: Any, mask_id: int, vocab_size: int, rng: Any) -> Any:
    ordinary = np.setdiff1d(np.arange(vocab_size), [*special_ids, mask_id])
    is_chosen = (rng.random(input_ids.shape) < 0.15) & ~np.isin(input_ids, special_ids)
    labels = np.where(is_chosen, input_ids, -100)
    dice = rng.random(input_ids.shape)
    masked = np.where(is_chosen & (dice < 0.8), mask_id, input_ids)
    return np.where(is_chosen & (dice >= 0.9), rng.choice(ordinary, input_ids.shape), masked), labels


def cross_entropy(logits: Any, labels: Any) -> Any:
    total, count = 0.0, 0
    for row, label in zip(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), strict=True):
        if label != -100:
            largest = row.max()
            total += np.log(np.exp(row - largest).sum()) + largest - row[label]
            count += 1
    return total / count


def next_token_loss(logits: Any, labels: Any) -> Any:
    return cross_entropy(logits[:, :-1], labels[:, 1:])


def regression_loss(logits: Any, labels: Any) -> Any:
    return sum((logit - label) ** 2 for logit, label in zip(logits[:, 0], labels, strict=True)) / len(labels)


def binary_cross_entropy(logits: Any, labels: Any) -> Any:
    return np.mean(np.maximum(logits, 0) - logits * labels + np.log1p(np.exp(-np.abs(logits))))


def span_loss(start_logits: Any, end_logits: Any, start_positions: Any, end_positions: Any) -> Any:
    halves = []
    for logits, positions in ((start_logits, start_positions), (end_logits, end_positions)):
        labels = np.where(positions < logits.shape[1], positions, -100)
        halves.append(cross_entropy(logits[None], labels[None]))
    return sum(halves) / 2


def masked_lm(input_ids: Any, attention_mask: Any, p: Any, config: Any) -> Any:
    def dense(x: Any, name: str) -> Any:
        return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]

    def norm(x: Any, name: str) -> Any:
        return layer_norm(x, p[f"{name}.weight"], p[f"{name}.bias"], config.layer_norm_eps)

    def heads(x: Any) -> Any:
        return x.reshape(*x.shape[:2], config.num_attention_heads, -1).swapaxes(1, 2)

    start = "roberta.embeddings"
    tables = {name: p[f"{start}.{name}_embeddings.weight"] for name in ("word", "position", "token_type")}
    tables |= {"weight": p[f"{start}.LayerNorm.weight"], "bias": p[f"{start}.LayerNorm.bias"]}
    positions = np.array(position_ids(input_ids, config.pad_token_id))
    x = embeddings(input_ids, positions, 0 * input_ids, tables, config.layer_norm_eps)
    for i in range(config.num_hidden_layers):
        layer = f"roberta.encoder.layer.{i}"
        parts = [heads(dense(x, f"{layer}.attention.self.{name}")) for name in ("query", "key", "value")]
        mixed = attention(*parts, attention_mask[:, None, None, :] == 1).swapaxes(1, 2).reshape(x.shape)
        x = norm(x + dense(mixed, f"{layer}.attention.output.dense"), f"{layer}.attention.output.LayerNorm")
        inner = gelu(dense(x, f"{layer}.intermediate.dense"))
        x = norm(x + dense(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
    x = norm(gelu(dense(x, "lm_head.dense")), "lm_head.layer_norm")
    return x @ tables["word"].T + p["lm_head.bias"]


SOLUTIONS: dict[str, Callable[..., Any]] = {name: globals()[name] for name in EXERCISES}
MISTAKES = [(name, mistake) for name, one in EXERCISES.items() for mistake in one.mistakes]


def in_double(function: Any) -> Any:
    """The function on float64."""

    def widened(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: widened(part) for name, part in value.items()}
        return value.astype(np.float64) if getattr(value, "dtype", None) == np.float32 else value

    return lambda *args, **given: function(*map(widened, args), **{name: widened(v) for name, v in given.items()})


# -- verdicts ----------------------------------------------------------------------------------------------------------


def test_there_are_ten_and_they_begin_with_tokens_and_end_with_a_model() -> None:
    assert len(EXERCISES) >= 10
    assert next(iter(EXERCISES)) == "bpe_merge"
    assert [*EXERCISES][-1] == "masked_lm"


@pytest.mark.parametrize("name", EXERCISES)
@pytest.mark.parametrize("seed", range(3))
def test_an_honest_solution_passes(name: str, seed: int) -> None:
    for function in (SOLUTIONS[name], in_double(SOLUTIONS[name]), EXERCISES[name].answer):
        verdict = judge(name, function, seed)
        assert verdict.passed, str(verdict)
        assert "right" in str(verdict)
        assert not verdict.extent > 1


PYTORCHS = ("gelu", "softmax", "layer_norm", "attention", "cross_entropy", "binary_cross_entropy", "regression_loss")


@pytest.mark.torch
@pytest.mark.parametrize("name", PYTORCHS)
def test_pytorchs_own_functions_pass(name: str) -> None:
    import torch
    from torch.nn import functional as F

    def tensors(values: Any) -> Any:
        return [torch.from_numpy(value) for value in values]

    functions: dict[str, Callable[..., Any]] = {
        "gelu": lambda x: F.gelu(torch.from_numpy(x)),
        "softmax": lambda scores: torch.from_numpy(scores).softmax(-1),
        "layer_norm": lambda x, weight, bias, eps: F.layer_norm(
            *tensors([x]), weight.shape, *tensors([weight, bias]), eps
        ),
        "attention": lambda query, key, value, is_attended: F.scaled_dot_product_attention(
            *tensors([query, key, value]), attn_mask=torch.from_numpy(np.ascontiguousarray(is_attended))
        ),
        "cross_entropy": lambda logits, labels: F.cross_entropy(
            torch.from_numpy(logits).flatten(0, 1), torch.from_numpy(labels).flatten()
        ),
        "binary_cross_entropy": lambda logits, labels: F.binary_cross_entropy_with_logits(*tensors([logits, labels])),
        "regression_loss": lambda logits, labels: F.mse_loss(*tensors([logits[:, 0], labels])),
    }
    verdict = judge(name, functions[name])
    assert verdict.passed, str(verdict)


@pytest.mark.parametrize(("name", "mistake"), MISTAKES, ids=[f"{name}: {mistake.name}" for name, mistake in MISTAKES])
def test_a_known_mistake_is_named(name: str, mistake: Any) -> None:
    verdict = judge(name, mistake.answer, seed=1)
    assert not verdict.passed
    assert (verdict.mistake, verdict.hint) == (mistake.name, mistake.hint)
    assert mistake.name in str(verdict)


@pytest.mark.parametrize("name", [name for name, one in EXERCISES.items() if not one.is_exact and one.count is None])
def test_a_small_error_that_is_nobodys_is_refused_without_a_name(name: str) -> None:
    def off(**given: Any) -> Any:
        found = np.array(SOLUTIONS[name](**given), np.float32)
        found.reshape(-1)[-1] += np.float32(1e-3) * max(1.0, float(np.abs(found).max()))
        return found

    verdict = judge(name, off)
    assert not verdict.passed
    assert verdict.mistake == ""
    assert "times the budget" in verdict.problem


MASKINGS = {
    "required a pair": lambda ids, *_: ids,
    "changed in place": lambda ids, s, m, v, rng: (ids.__setitem__((0, 1), 7), masking(ids, s, m, v, rng))[1],
    "tokens of special_ids are never chosen": lambda ids, s, *rest: masking(ids, (), *rest),
    "80% of the chosen become the mask": lambda ids, s, m, v, rng: (
        lambda labels: (np.where(labels == -100, ids, m), labels)
    )(masking(ids, s, m, v, rng)[1]),
    "15% of all tokens are chosen": lambda ids, s, m, v, rng: (
        lambda masked, labels: (np.where(ids % 2, ids, masked), np.where(ids % 2, -100, labels))
    )(*masking(ids, s, m, v, rng)),
    "where a token is not chosen": lambda ids, *rest: (masking(ids, *rest)[0], np.full(ids.shape, -100)),
    "the label of a chosen token is its true id": lambda ids, *rest: (
        lambda masked, labels: (masked, np.where(labels == -100, -100, masked))
    )(*masking(ids, *rest)),
    "another generator": lambda ids, s, m, v, rng: masking(ids, s, m, v, np.random.default_rng(3)),
}


@pytest.mark.parametrize("words", MASKINGS)
def test_masking_is_judged_by_counting(words: str) -> None:
    verdict = judge("masking", MASKINGS[words])
    assert not verdict.passed
    assert words in verdict.problem


class Unsaid(Exception):  # noqa: N818  # a student's
    """Whose text cannot be had."""

    def __str__(self) -> str:
        raise OSError


class Untouchable:
    """An answer of which nothing can be asked."""

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise OSError


def raises(error: Exception) -> Any:
    raise error


def changes_in_place(x: Any) -> Any:
    x[...] = 0
    return x


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: x.sum(), r"required shape \(97,\), got \(\)"),
        (lambda x: None, "is there a return missing"),
        (lambda x: "no", "required an array of real numbers, got a str"),
        (lambda x: x * np.nan, "which is no number"),
        (lambda x: 1 / 0, "it raised ZeroDivisionError"),
        (lambda: 0, r"The function is called as gelu\(x\)"),
        (lambda y: y, r"called as gelu\(x\)"),
        (changes_in_place, "changes its arguments in place"),
        (lambda x: gelu(x) + 0j, "array of real numbers, got complex"),
        (lambda x: [str(v) for v in gelu(x)], "array of real numbers, got texts"),
        (lambda x: [*gelu(x)[:-1], "1"], "array of real numbers, got texts"),
        (lambda x: gelu(x) > 0, "array of real numbers, got bool"),
        (lambda x: (v for v in gelu(x)), "got a generator"),
        (lambda x: np.ma.masked_less(gelu(x), 0), "got a MaskedArray"),
        (lambda x: [[1.0], [1.0, 2.0]], "array of real numbers, got a list"),
        (lambda x: {"a": 1}, "got a dict"),
        (lambda x: exit(3), "it ends Python itself; a function returns its answer"),
        (lambda x: (_ for _ in ()).throw(GeneratorExit), "it raised GeneratorExit"),
        (lambda x: gelu(gelu), "it raised TypeError"),
        (lambda x: (lambda f: f(f))(lambda f: f(f)), "it raised RecursionError"),
        (lambda x: raises(Unsaid()), r"it raised Unsaid: \(which has no text\)"),
        (lambda x: raises(ValueError("\ud800")), r"it raised ValueError: "),
        (lambda x: Untouchable(), "got a Untouchable"),
    ],
    ids=range(23),
)
def test_what_goes_wrong_is_said(function: Any, words: str) -> None:
    verdict = judge("gelu", function)
    assert not verdict.passed
    assert re.search(words, verdict.problem), verdict.problem
    str(verdict).encode()


def test_who_stops_it_by_hand_is_heard() -> None:
    def stopped(x: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        judge("gelu", stopped)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda ids: ids.astype(float), "required integers, .*got float64"),
        (lambda ids: ids.astype(complex), "required integers, .*got complex"),
        (lambda ids: ids.astype(str), "required integers, .*got texts"),
        (lambda ids: [[str(i) for i in row] for row in ids], "required integers, .*got texts"),
        (lambda ids: [[1, 2], [3]], "required rows of one length, .*got a list"),
        (lambda ids: None, "is there a return missing"),
        (lambda ids: ids > 1, "required integers, .*got bool"),
        (lambda ids: ids[0], "required .*, got"),
        (lambda ids: ids.astype(object), "required integers, .*got a ndarray"),
    ],
    ids=range(9),
)
def test_position_ids_are_integers(change: Any, words: str) -> None:
    verdict = judge("position_ids", lambda **given: change(np.asarray(position_ids(**given))))
    assert not verdict.passed
    assert re.search(words, verdict.problem), verdict.problem
    for right in (list, lambda ids: [list(map(int, row)) for row in ids], lambda ids: ids.astype(np.uint8)):
        assert judge("position_ids", lambda right=right, **given: right(np.asarray(position_ids(**given)))).passed


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda parts: [np.array(part) for part in parts], "required a list of texts, .*got a list"),
        (lambda parts: [part.encode() for part in parts], "required a list of texts"),
        (lambda parts: "".join(parts), "required a list of texts, .*got a str"),
        (lambda parts: np.array(parts), "required a list of texts, .*got a ndarray"),
        (lambda parts: [[*parts]], "required a list of texts"),
        (lambda parts: iter(parts), "required a list of texts, .*got a list_iterator"),
        (lambda parts: None, "is there a return missing"),
    ],
    ids=range(7),
)
def test_merged_pieces_are_texts(change: Any, words: str) -> None:
    verdict = judge("bpe_merge", lambda **given: change(bpe_merge(**given)))
    assert not verdict.passed
    assert re.search(words, verdict.problem), verdict.problem
    assert judge("bpe_merge", lambda **given: tuple(bpe_merge(**given))).passed


def test_of_several_known_mistakes_the_nearest_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from roberta.teaching.exercises import judging
    from roberta.teaching.exercises.exercise import Mistake

    one = EXERCISES["gelu"]
    far, near = (
        Mistake(name, "", lambda x, by=by: np.asarray(gelu(x), np.float64) * (1 + by))
        for name, by in (("far", 1.001e-2), ("near", 1.0000001e-2))
    )
    monkeypatch.setattr(judging, "LIKE", 1e6)
    monkeypatch.setattr(judging, "EXERCISES", {"gelu": replace(one, mistakes=(far, near))})
    assert judge("gelu", lambda x: np.asarray(gelu(x), np.float64) * 1.01).mistake == "near"


def test_misuse_is_an_error() -> None:
    with pytest.raises(ValueError, match="did you mean 'layer_norm'"):
        judge("layernorm", gelu)
    with pytest.raises(TypeError, match=r"required a function gelu\(x\), got int"):
        judge("gelu", 3)  # pyright: ignore[reportArgumentType]


def test_a_verdict_is_data_and_has_a_face_in_notebooks() -> None:
    verdict = judge("gelu", lambda x: "<b>")
    assert pickle.loads(pickle.dumps(verdict)) == verdict  # noqa: S301  # our own
    assert "&lt;b&gt;" in verdict._repr_html_()
    assert "<b>✗</b>" in verdict._repr_html_()


# -- files -------------------------------------------------------------------------------------------------------------


def written(folder: Path, source: str) -> Path:
    path = folder / "mine.py"
    path.write_text(source)
    return path


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def gelu(x)\n    return x\n", "line 1 is no Python"),
        ("def relu(x):\n    return x\n", r"mine.py has no function gelu\(x\); it has relu"),
        ("import nothing_of_this_name\n", "raised ModuleNotFoundError"),
        ("def gelu(x):\n    return x.nothing\n", "in line 2, 'return x.nothing'"),
        ("def gelu(x):\n    while True:\n        pass\n", "loop that never ends"),
        ("import os\ndef gelu(x):\n    os._exit(7)\n", "ended Python itself, with status 7"),
        ("def gelu(x):\n    return x * (x > 0)\n", "ReLU"),
        ("from beside import relu as gelu\n", "ReLU"),
        ("raise ValueError('\\ud800')\n", r"raised ValueError: \\ud800"),
        ("import sys\nsys.exit(0)\n", "ended Python itself, with status 0"),
    ],
    ids=["syntax", "name", "import", "line", "loop", "exit", "mistake", "beside", "surrogate", "top"],
)
def test_a_file_is_judged_in_a_process_of_its_own(source: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("def relu(x):\n    return x * (x > 0)\n")
    verdict = judge_file("gelu", written(tmp_path, source), seconds=3 if "while" in source else 60)
    assert not verdict.passed
    assert re.search(words, str(verdict)), str(verdict)


def test_a_start_can_be_run_and_is_not_overwritten(tmp_path: Path) -> None:
    for name in EXERCISES:
        write_start(name, tmp_path / f"{name}.py")
        compile((tmp_path / f"{name}.py").read_text(), name, "exec")
    assert "not written yet" in str(judge_file("softmax", tmp_path / "softmax.py"))
    with pytest.raises(FileExistsError, match="give another name"):
        write_start("gelu", tmp_path / "gelu.py")


def run(monkeypatch: pytest.MonkeyPatch, capsys: Any, *words: Any) -> tuple[int, str]:
    monkeypatch.setattr("sys.argv", ["roberta", "exercise", *map(str, words)])
    with pytest.raises(SystemExit) as status:
        main()
    shown = capsys.readouterr()
    return int(status.value.code or 0), shown.out + shown.err


def test_the_command(monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path) -> None:
    status, shown = run(monkeypatch, capsys)
    assert status == 0
    assert all(name in shown for name in EXERCISES)
    assert "sqrt(variance + eps)" in run(monkeypatch, capsys, "layer_norm")[1]
    assert run(monkeypatch, capsys, "gelu", "--start", tmp_path / "new.py")[0] == 0
    right = "import math, numpy as np\ngelu = lambda x: 0.5 * x * (1 + np.vectorize(math.erf)(x / 2**0.5))\n"
    status, shown = run(monkeypatch, capsys, "gelu", written(tmp_path, right))
    assert (status, "Next: roberta exercise masking" in shown) == (0, True)
    status, shown = run(monkeypatch, capsys, "gelu", tmp_path / "new.py")
    assert (status, "not written yet" in shown) == (1, True)
    status, shown = run(monkeypatch, capsys, "gelu", tmp_path / "nothing.py")
    assert (status, "--start" in shown) == (2, True)
    assert run(monkeypatch, capsys, "gellu")[0] == 2
