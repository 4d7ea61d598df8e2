"""One run of the spec as data for a page: every quantity with its equation, its line of the source, and its numbers.

    text → how it became ids → passes: taps, attention, answer → faults → a dictionary for JSON

What is recorded is `model.tape`'s; nothing is computed a second time in another way. A page has room for so many
numbers: where a run has more, pictures are coarser and matrices stop at the first tokens, and the record says so.
"""

from __future__ import annotations

import sys
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np

from .. import reference
from ..dispatch.matching import shortened
from ..reference.embeddings import position_ids
from ..reference.layers import Array, softmax
from ..reference.outputs import to_numpy
from ..reference.taps import symbols
from ..tokenizer.explain import Explanation
from ..tokenizer.unigram.explain import PieceExplanation
from ..tokenizer.unigram.normalizer import SPACE
from ..tokenizer.unigram.tokenizer import UnigramTokenizer
from .departures import TapBudgets, plain
from .faults import HONEST, record_faults, run_fault

SPEC = Path(reference.__file__).resolve().parent
#: What the axis letters stand for.
AXES = {
    "B": "texts of the batch", "C": "choices", "BC": "texts times choices", "T": "tokens that look",
    "S": "tokens that are looked at", "E": "tokens of the encoder", "D": "hidden size", "H": "heads",
    "H'": "heads that are left", "K": "head size", "HK": "heads side by side", "F": "feed-forward size",
    "V": "vocabulary", "L": "labels", "1": "one", "2": "start and end",
}  # fmt: skip
#: How many numbers a page has room for: in all pictures, a byte each, and in all matrices of attention, as text.
PICTURES, MATRICES = 400_000, 140_000
#: A picture has at most so many rows and columns, and a histogram so many bars; so many words are shown of an answer.
ROWS, COLUMNS, BARS, TOP = 48, 96, 24, 5
#: Of a text that is long, so many pieces are shown on their way to ids, and of so many tokens the norms.
PIECES, TOKENS = 64, 128
#: Longer pieces, in bytes, are shown without their ladder, which grows with the square.
LADDER = 48


def recorded(
    model: Any,
    tokenizer: Any,
    text: str,
    others: Sequence[str] = (),
    *,
    faults: bool = True,
    tell: Callable[..., None] | None = None,
) -> dict[str, Any]:
    """A run of a model on a text, for JSON.

    Args:
        model: one of ours, on any engine: its numpy twin in float32 is what runs.
        tokenizer: a `RobertaTokenizer`, which can explain.
        text: the text; of question answering the question.
        others: of question answering the context; of multiple choice the choices.
        faults: whether to make each mistake that concerns the model, too.
        tell: called with each mistake's name before it is made.

    Returns:
        Head and sizes; `words`, the way of the text to ids; `tokens`; `passes`, each with its taps, attention, norms of
        the residual stream and answer; `faults`; `source`, the files of the spec that were at work; and `notes` of what
        was left out.

    Raises:
        TypeError: no model of ours.
        ValueError: too few others for the head, or too many.

    Example:
        >>> import roberta
        >>> model = roberta.RobertaForMaskedLM.from_pretrained("austen")
        >>> tokenizer = roberta.RobertaTokenizer.from_pretrained("austen")
        >>> record = recorded(model, tokenizer, "It is a <mask>.", faults=False)
        >>> record["passes"][0]["answer"]["words"][0]["best"][0][0], len(record["passes"][0]["attention"])
        (' man', 4)
    """
    missing, model = list(model.load_report.missing), plain(model)
    notes = [f"Random, as the checkpoint lacks them: {shortened(missing)}."] if missing else []
    inputs, tokens = _inputs(model, tokenizer, text, others, notes)
    if model.head == "multiple_choice":
        notes.append("Of the choices the first is shown on its way; the answer has all.")
    if len(tokens[0]) > TOKENS:
        notes.append(f"Norms are shown of the first {TOKENS} of {len(tokens[0])} tokens.")
    passes = [_pass("The whole text", model, tokenizer, inputs, tokens, notes)]
    if model.head == "causal_lm" and model.config.is_decoder and len(tokens[0]) > 1:
        passes.append(_cached_pass(model, tokenizer, inputs, tokens, notes))
    return {
        "text": text,
        "others": list(others),
        "model": type(model).__name__.removeprefix("Numpy"),
        "config": {
            name: value for name, value in model.config.to_dict().items() if isinstance(value, int | float | str)
        },
        "parameters": model.num_parameters(),
        "axes": AXES,
        "words": _words(tokenizer, text, notes),
        "tokens": tokens,
        "embeddings": _embeddings(model, inputs),
        "passes": passes,
        "faults": _faults(model, tokenizer, inputs, tell) if faults else [],
        "source": {file: _source(file) for file in sorted({tap["file"] for one in passes for tap in one["taps"]})},
        "notes": notes,
    }


# -- the inputs ------------------------------------------------------------------------------------------------------


def _inputs(
    model: Any, tokenizer: Any, text: str, others: Sequence[str], notes: list[str]
) -> tuple[dict[str, Any], list[list[str]]]:
    """The arguments of the call, and the tokens of each row, as a reader has them."""
    needed = {"question_answering": 1, "multiple_choice": 2}.get(model.head, 0)
    if len(others) < needed or (others and not needed) or (needed == 1 and len(others) > 1):
        what = {"question_answering": "one context", "multiple_choice": "two choices or more"}.get(model.head, "none")
        message = f"others: required {what} beside the text of {type(model).__name__}, got {len(others)}"
        raise ValueError(f"{message}; give each with --other" if needed else f"{message}; leave --other out")
    rows = [(text, other) for other in others] if needed else [(text,)]
    whole = max(len(tokenizer(*row, verbose=False)["input_ids"]) for row in rows)
    limit = model.config.usable_length
    if whole > limit:
        notes.append(f"The model has positions for {limit} tokens: of {whole} these run, the rest is cut off.")
    ids = [list(tokenizer(*row, truncation=True, max_length=limit)["input_ids"]) for row in rows]
    longest = max(map(len, ids))
    padded = np.full((len(ids), longest), model.config.pad_token_id)
    for row, own in zip(padded, ids, strict=True):
        row[: len(own)] = own
    mask = (np.arange(longest) < np.array([len(own) for own in ids])[:, None]).astype(np.int64)
    shape = (1, *padded.shape) if model.head == "multiple_choice" else padded.shape
    given = {"input_ids": padded.reshape(shape), "attention_mask": mask.reshape(shape)}
    return given, [[_readable(tokenizer, number) for number in row] for row in padded.tolist()]


def _readable(tokenizer: Any, number: int) -> str:
    """A token with its space; bytes that are no character for themselves as escapes."""
    token = str(tokenizer.convert_ids_to_tokens(number))
    if number in tokenizer.all_special_ids:
        return token
    if isinstance(tokenizer, UnigramTokenizer):
        return token.replace(SPACE, " ")
    return str(tokenizer.convert_tokens_to_string([token]))


def _words(tokenizer: Any, text: str, notes: list[str]) -> list[dict[str, Any]]:
    """Each piece of the text, on its way to ids."""
    explained = tokenizer.explain(text, add_special_tokens=False)
    found = _cut(explained) if isinstance(explained, PieceExplanation) else _merged(explained)
    if len(found) > PIECES:
        notes.append(f"Of {len(found)} pieces of the text the first {PIECES} are shown on their way to ids.")
    return found[:PIECES]


def _cut(explained: PieceExplanation) -> list[dict[str, Any]]:
    """Each piece that the likeliest cut gives, with its score; added and unknown tokens have none."""
    scored = zip(explained.tokens, explained.scores, strict=True)
    return [
        {
            "spelled": token.token.replace(SPACE, " "),
            "added": False,
            "score": None if score is None else _number(score, 4),
            "tokens": [[token.id, token.token]],
        }
        for token, score in scored
    ]


def _merged(explained: Explanation) -> list[dict[str, Any]]:
    """Each piece of the text: its bytes, every merge, and the ids that come of it."""
    text = explained.text
    found: list[dict[str, Any]] = []
    for segment in explained.segments:
        if segment.added is not None:
            token = segment.tokens[0]
            found.append(
                {"spelled": text[segment.start : segment.end], "added": True, "tokens": [[token.id, token.token]]}
            )
        for piece in segment.pieces:
            is_short = len(piece.data) <= LADDER
            steps = [list(step) for step in piece.ladder()] if is_short else []
            merges = [
                [merge.rank, merge.left, merge.right, _index(step, merge.at)]
                for merge, step in zip(piece.merges, steps[1:], strict=is_short)
            ]
            tokens = [[token.id, token.token] for token in piece.tokens]
            found.append({
                "spelled": piece.spelled, "added": False, "bytes": piece.data[:LADDER].hex(" "),
                "merges": merges, "steps": steps, "tokens": tokens,
            })  # fmt: skip
    return found


def _index(symbols: Sequence[str], at: int) -> int:
    """Which of the symbols begins with a byte of the piece: each has a character for each of its bytes."""
    return int(np.searchsorted(np.cumsum([0, *map(len, symbols)]), at))


def _embeddings(model: Any, inputs: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Of each token of the first row: ids and the norms of what is summed."""
    state, config = model.state_dict_numpy(), model.config
    start = "" if model.head == "model" else "roberta."
    table = {kind: state[f"{start}embeddings.{kind}_embeddings.weight"] for kind in ("word", "position", "token_type")}
    ids = inputs["input_ids"].reshape(-1, inputs["input_ids"].shape[-1])[:1]  # 1 T
    positions = position_ids(ids, config.pad_token_id, np.zeros(1, np.int64))[0]  # T
    is_absolute = config.position_embedding_type == "absolute"
    rows = {"word": table["word"][ids[0]], "token_type": table["token_type"][np.zeros(ids.shape[1], int)]}  # T D
    if is_absolute:
        rows["position"] = table["position"][positions]
    return [
        {
            "id": int(number),
            "position": int(position) if is_absolute else None,
            "norms": {kind: _number(np.linalg.norm(row[t])) for kind, row in rows.items()},
        }
        for t, (number, position) in enumerate(zip(ids[0][:TOKENS], positions, strict=False))
    ]


# -- a pass ----------------------------------------------------------------------------------------------------------


def _pass(
    title: str, model: Any, tokenizer: Any, inputs: Mapping[str, Any], tokens: list[list[str]], notes: list[str]
) -> dict[str, Any]:
    """What a call computes: taps in the order of computation, attention, the residual stream, and the answer."""
    tape = model.tape(**inputs)
    lines = _lines(model, inputs, tape)
    table = symbols(model.head, model.config, **model.options)
    size = PICTURES // max(len(tape), 1)
    taps = [
        {
            "name": name,
            "equation": table[name].equation,
            "axes": table[name].axes,
            **lines[name],
            **_numbers(value, size),
        }
        for name, value in tape.items()
    ]
    return {
        "title": title,
        "tokens": tokens,
        "taps": taps,
        "attention": _attention(tape, notes),
        "stream": _stream(tape),
        "answer": _answer(model, tokenizer, tape, inputs),
    }


def _cached_pass(
    model: Any, tokenizer: Any, inputs: Mapping[str, Any], tokens: list[list[str]], notes: list[str]
) -> dict[str, Any]:
    """The last token by itself, on the cache of those before it."""
    ids = inputs["input_ids"]
    before = model(input_ids=ids[:, :-1], use_cache=True)
    given = {"input_ids": ids[:, -1:], "past_key_values": before.past_key_values, "use_cache": True}
    return _pass("The last token, on the cache of the others", model, tokenizer, given, tokens, notes)


def _lines(model: Any, inputs: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Where in the spec each quantity is handed to its tap: asked of the run itself, not of the text of the source."""
    found: dict[str, tuple[str, int]] = {}

    def note(name: str) -> Any:
        def listen(value: Any) -> Any:
            found[name] = _caller()
            return value

        return listen

    model.tape(replace={name: note(name) for name in names}, **inputs)
    return {
        name: {"file": file, "line": line, "source": _source(file)[line - 1].strip()}
        for name, (file, line) in found.items()
    }


def _caller() -> tuple[str, int]:
    """File and line of the spec that is at work."""
    frame: Any = sys._getframe()
    while frame is not None:
        room, _, module = str(frame.f_globals.get("__name__")).rpartition(".")
        if room == reference.__name__ and module != "taps":
            return f"{module}.py", frame.f_lineno
        frame = frame.f_back
    message = "no line of the spec is at work"
    raise LookupError(message)


@cache
def _source(file: str) -> list[str]:
    return (SPEC / file).read_text(encoding="utf-8").splitlines()


def _numbers(value: Array, size: int) -> dict[str, Any]:
    """Shape, extremes, a histogram, and a picture of at most so many bytes."""
    flat = np.asarray(value, np.float64)
    finite = flat[np.isfinite(flat)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    counts = np.histogram(finite, BARS, (low, high))[0] if high > low else np.array([finite.size])
    return {
        "shape": list(flat.shape),
        "min": _number(low),
        "max": _number(high),
        "mean": _number(finite.mean() if finite.size else 0.0),
        "rms": _number(np.sqrt((finite**2).mean()) if finite.size else 0.0),
        "histogram": counts.tolist(),
        "picture": _picture(flat, max(abs(low), abs(high)), size),
    }


def _picture(value: Array, largest: float, size: int) -> dict[str, Any]:
    """The numbers as bytes: 128 is zero, 1 and 255 the largest of both signs, 0 what is no finite number."""
    table = value.reshape(-1, value.shape[-1]) if value.ndim > 1 else value.reshape(1, -1)
    rows, columns = min(ROWS, len(table)), min(COLUMNS, table.shape[-1])
    while rows * columns > size and columns > 8:
        rows, columns = max(1, rows * 3 // 4), columns * 3 // 4
    steps = (-(-len(table) // max(rows, 1)), -(-table.shape[-1] // max(columns, 1)))
    chosen = table[:: max(steps[0], 1), :: max(steps[1], 1)]
    with np.errstate(invalid="ignore"):
        scaled = np.where(np.isfinite(chosen), np.round(chosen / (largest or 1.0) * 127) + 128, 0)
    data = b64encode(scaled.astype(np.uint8).tobytes()).decode()
    return {"rows": chosen.shape[0], "columns": chosen.shape[1], "steps": list(steps), "data": data}


def _attention(tape: Any, notes: list[str]) -> list[dict[str, Any]]:
    """Of each attention of the first row: scores and probabilities by head, as far as there is room."""
    ends = ".scores"
    names = [name.removesuffix(ends) for name in tape if name.endswith(ends)]
    shapes = [tape[f"{name}{ends}"].shape for name in names]
    heads = sum(shape[1] for shape in shapes) or 1
    shown = max(4, int((MATRICES / 2 / heads) ** 0.5))
    longest = max((max(shape[2:]) for shape in shapes), default=0)
    note = f"Attention is shown of the first {shown} of {longest} tokens."
    if longest > shown and note not in notes:
        notes.append(note)
    found: list[dict[str, Any]] = []
    for name in names:
        scores, probs = (tape[f"{name}{end}"][0, :, :shown, :shown] for end in (ends, ".probs"))  # H T S
        found.append({"name": name, "scores": _matrix(scores), "probs": _matrix(probs)})
    return found


def _matrix(values: Array) -> Any:
    """Four digits, in nested lists; None for what is no finite number."""
    if values.ndim:
        return [_matrix(value) for value in values]
    return _number(values, 4)


def _stream(tape: Any) -> list[dict[str, Any]]:
    """The residual stream: how long each token's vector is, of each sum and behind its norm; of the first row."""
    names = [name for name in tape if name.endswith(("LayerNorm.output", ".sum"))]
    norms = {name: np.linalg.norm(tape[name][0], axis=-1)[:TOKENS] for name in names}  # T
    return [{"name": name, "norms": [_number(norm, 4) for norm in row]} for name, row in norms.items()]


def _answer(model: Any, tokenizer: Any, tape: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What the head says: words and their probabilities of a language model, else its numbers."""
    output = tape.output
    if model.head in ("masked_lm", "causal_lm"):
        logits = to_numpy(output.logits)[0]  # T V
        ids = inputs["input_ids"][0]
        places = np.flatnonzero(ids == tokenizer.mask_token_id)
        places = places if len(places) and model.head == "masked_lm" else np.array([len(ids) - 1])
        return {"words": [_best(tokenizer, logits[place], int(place)) for place in places]}
    names = ("logits", "start_logits", "end_logits", "pooler_output")
    values = {name: to_numpy(output[name])[0] for name in names if output.get(name) is not None}
    return {"values": {name: _matrix(value) for name, value in values.items()}}


def _best(tokenizer: Any, logits: Array, place: int) -> dict[str, Any]:
    probabilities = softmax(logits.astype(np.float64))  # V
    best = np.argsort(-probabilities, kind="stable")[:TOP]
    words = [[_readable(tokenizer, int(i)), _number(logits[i]), _number(probabilities[i], 4)] for i in best]
    return {"token": place, "best": words}


# -- mistakes --------------------------------------------------------------------------------------------------------


def _faults(
    model: Any, tokenizer: Any, inputs: Mapping[str, Any], tell: Callable[..., None] | None
) -> list[dict[str, Any]]:
    """Each mistake, and before them the engine without one; beside a row with padding, which some need to show."""
    inputs = _beside_a_padded_row(model, inputs)
    order = list(TapBudgets.of(model, inputs).truth)
    runs = [
        run_fault(model, inputs, HONEST, mask_token_id=tokenizer.mask_token_id),
        *record_faults(model, inputs, mask_token_id=tokenizer.mask_token_id, tell=tell),
    ]
    found: list[dict[str, Any]] = []
    for run in runs:
        said: dict[str, Any] = {**vars(run)}
        said["ratios"] = [_number(run.ratios.get(name), 3) for name in order]
        words = cast("list[dict[str, Any]]", run.outcome.get("words", []))
        pairs = [zip(one["ids"], one["probabilities"], strict=True) for one in words if one["row"] == 0]
        said["words"] = [[[_readable(tokenizer, number), share] for number, share in one] for one in pairs]
        values = cast("dict[str, Any]", run.outcome.get("values", {}))
        said["values"] = {name: value[0] for name, value in values.items()}
        del said["outcome"]
        found.append({"order": order, **said} if not found else said)
    return found


def _beside_a_padded_row(model: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The batch, and its first half behind padding in one row more."""
    ids = inputs["input_ids"]
    if ids.ndim > 2 or ids.shape[1] < 4:
        return dict(inputs)
    count = ids.shape[1] // 2
    hidden = ids.shape[1] - count
    row = np.concatenate([np.full(hidden, model.config.pad_token_id), ids[0, :count]])
    mask = np.repeat([0, 1], [hidden, count])
    return {"input_ids": np.stack([ids[0], row]), "attention_mask": np.stack([inputs["attention_mask"][0], mask])}


def _number(value: Any, digits: int = 6) -> float | None:
    """So many digits of a number; None for what is none, as JSON has no NaN and no infinity."""
    if value is None or not np.isfinite(value):
        return None
    return float(f"{float(value):.{digits}g}")
