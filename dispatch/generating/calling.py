"""What the caller's own functions are given: arrays of the engine on whose model they look on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, cast

import numpy as np

from ...reference.embeddings import Integers
from ...reference.layers import Array
from ...reference.outputs import to_numpy
from .processors import Rule, allowed_only
from .settings import Settings, fail

#: ids (R, T) and the scores so far -> (R,) booleans, which rows are to end.
Criterion = Callable[[Integers, Any], Any]


def functions(name: str, given: Any) -> list[Callable[..., Any]]:
    """One function or several, as a list.

    Raises:
        TypeError: something else.
    """
    found = [] if given is None else list(cast("Iterable[Any]", given)) if isinstance(given, Iterable) else [given]
    for each in found:
        if not callable(each):
            required = "a function of ids and scores, or several"
            message = f"generate: {name}: expected {required}, got {type(each).__name__}: {each!r:.60}"
            raise TypeError(message)
    return found


def own_rules(logits_processor: Any, prefix_allowed_tokens_fn: Any, model: Any, beams: int) -> list[Rule]:
    """The caller's rules for the scores of the next token."""

    def rule(scores: Array, ids: Integers, change: Callable[..., Any]) -> Array:
        native = (model.engine.to_native(value, model._like()) for value in (ids, scores))
        changed = np.asarray(to_numpy(change(*native)), np.float64)
        if changed.shape != scores.shape or np.isnan(changed).any():
            got = "NaN" if changed.shape == scores.shape else changed.shape
            raise fail("logits_processor", f"scores (R, V) = {scores.shape} without NaN in return", got)
        return changed

    allowed = functions("prefix_allowed_tokens_fn", prefix_allowed_tokens_fn)
    given = functions("logits_processor", logits_processor)
    return [
        *(partial(allowed_only, allowed=_on(model, function), copies=beams) for function in allowed),
        *(partial(rule, change=function) for function in given),
    ]


def _on(model: Any, allowed: Callable[[int, Any], Any]) -> Callable[[int, Any], list[int]]:
    def listed(row: int, ids: Integers) -> list[int]:
        found = allowed(row, model.engine.to_native(ids, model._like()))
        return [int(token) for token in found]

    return listed


def criteria(stopping_criteria: Any, settings: Settings, tokenizer: Any, prompt_length: int, model: Any) -> Criterion:
    """Which rows are to end, besides those that came to an end token: (ids, scores so far) -> (R,) booleans."""
    given = functions("stopping_criteria", stopping_criteria)
    begin = time.monotonic()
    strings = [settings.stop_strings] if isinstance(settings.stop_strings, str) else settings.stop_strings or []
    if strings and not hasattr(tokenizer, "decode"):
        raise fail("stop_strings", "tokenizer= beside them, which says what the ids are in words", tokenizer)

    def stopped(ids: Integers, scores: Any) -> Any:
        is_over = np.full(len(ids), settings.max_time is not None and time.monotonic() - begin > settings.max_time)
        if strings:
            texts = [tokenizer.decode(row[prompt_length:].tolist()) for row in ids]
            is_over |= np.array([any(string in text for string in strings) for text in texts], bool)
        for criterion in given:
            said = criterion(model.engine.to_native(ids, model._like()), scores)
            is_over = is_over | np.asarray(to_numpy(said)).astype(bool)
        return is_over

    return stopped


class Stream:
    """Who is told the tokens as they come: HF's protocol, `put` for the prompt and each step, and `end`."""

    def __init__(self, streamer: Any, model: Any) -> None:
        self.streamer = streamer
        self.model = model
        for name in ("put", "end"):
            if streamer is not None and not callable(getattr(streamer, name, None)):
                message = f"generate: streamer: expected an object with put(ids) and end(), got {streamer!r:.60}"
                raise TypeError(message)

    def put(self, ids: Integers) -> None:
        """The prompt (R, T), or the next token of each row (R,): tensors on PyTorch, NumPy arrays elsewhere."""
        if self.streamer is not None:
            native = self.model.engine.to_native(ids, self.model._like())
            self.streamer.put(native.cpu() if hasattr(native, "detach") else ids)

    def end(self) -> None:
        """Nothing more comes."""
        if self.streamer is not None:
            self.streamer.end()
