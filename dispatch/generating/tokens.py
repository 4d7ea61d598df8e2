"""Settings that name tokens: every id is in the vocabulary, in whatever form it comes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, cast

from ...reference.config import RobertaConfig
from .. import arguments
from .settings import Settings, fail, is_at_least, is_integer, is_number


def with_tokens(settings: Settings, config: RobertaConfig) -> Settings:
    """The same settings, with ids as integers, several of them as lists, and the config's where none is named.

    Raises:
        ValueError: an id outside the vocabulary, or a form that is none of HF's.
    """
    several = {
        name: None if getattr(settings, name) is None else tokens(name, getattr(settings, name), config)
        for name in ("suppress_tokens", "begin_suppress_tokens", "forced_eos_token_id")
    }
    begin = config.bos_token_id if settings.bos_token_id is None else settings.bos_token_id
    one = {
        name: None if value is None else token(name, value, config)
        for name, value in (("forced_bos_token_id", settings.forced_bos_token_id), ("bos_token_id", begin))
    }
    padding = config.pad_token_id if settings.pad_token_id is None else settings.pad_token_id
    # the config's may be None as well
    ends: Any = config.eos_token_id if settings.eos_token_id is None else settings.eos_token_id
    bad = settings.bad_words_ids
    return replace(
        settings,
        **several,
        **one,
        pad_token_id=token("pad_token_id", padding, config),
        eos_token_id=[] if ends is None else tokens("eos_token_id", ends, config),
        bad_words_ids=None if bad is None else [_word("bad_words_ids", word, config) for word in _listed(bad)],
        sequence_bias=_biases(settings.sequence_bias, config),
        exponential_decay_length_penalty=_decay(settings.exponential_decay_length_penalty),
    )


def token(name: str, value: Any, config: RobertaConfig) -> int:
    """An id of the vocabulary.

    Raises:
        ValueError: anything else.
    """
    if not (is_integer(value) and 0 <= value < config.vocab_size):
        remedy = f"a token's id, such as tokenizer.{name}" if isinstance(value, str) else ""
        raise fail(name, f"ids in [0, {config.vocab_size})", value, remedy)
    return int(value)


def tokens(name: str, value: Any, config: RobertaConfig) -> list[int]:
    """One id, or several in any form."""
    chosen = arguments.visible(name, value).tolist() if hasattr(value, "dtype") else value
    return [token(name, each, config) for each in _listed(chosen)]


def _listed(value: Any) -> list[Any]:
    is_several = isinstance(value, Iterable) and not isinstance(value, str)
    return list(cast("Iterable[Any]", value)) if is_several else [value]


def _word(name: str, value: Any, config: RobertaConfig) -> tuple[int, ...]:
    """A sequence of tokens."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        remedy = "give tokenizer(words, add_special_tokens=False)['input_ids']"
        raise fail(name, "sequences of ids, [[id, …], …]", value, remedy)
    found = tuple(tokens(name, value, config))
    if not found:
        raise fail(name, "sequences of at least one id", list(found))
    return found


def _biases(value: Any, config: RobertaConfig) -> dict[tuple[int, ...], float] | None:
    """Sequence of tokens -> number, of a mapping or of pairs."""
    if value is None:
        return None
    pairs: Any = cast("Mapping[Any, Any]", value).items() if isinstance(value, Mapping) else value
    try:
        return {_word("sequence_bias", word, config): float(number) for word, number in pairs}
    except TypeError as error:
        raise fail("sequence_bias", "{(id, …): number} or [[[id, …], number], …]", f"{value!r:.60}") from error


def _decay(value: Any) -> tuple[int, float] | None:
    if value is None:
        return None
    parts = _listed(value)
    if len(parts) != 2 or not is_at_least(0, parts[0]) or not (is_number(parts[1]) and parts[1] > 0):
        raise fail("exponential_decay_length_penalty", "(tokens of at least 0, a factor above 0)", value)
    return int(parts[0]), float(parts[1])
