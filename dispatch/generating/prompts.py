"""What is continued: rows of ids or of embeddings, whom they attend to, and what of them is in a cache already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...reference.config import RobertaConfig
from ...reference.embeddings import Integers
from .. import arguments
from .settings import Settings, fail


@dataclass
class Prompt:
    """Rows to be continued, as NumPy arrays.

    Attributes:
        ids: (R, T) integers, padded on the left; (R, 0) where there are only embeddings.
        mask: (R, S) booleans, S columns of ids or of embeddings.
        embeds: (R, S, D), or None.
        types: (R, S) token types, or None.
        past: a `Cache` of the first columns, in the engine's arrays, or None.
        source: the encoder's states (R, E, D) and their mask (R, E), or None.
    """

    ids: Integers
    mask: Any
    embeds: Any = None
    types: Any = None
    past: Any = None
    source: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def length(self) -> int:
        """S, the columns, padding included."""
        return self.mask.shape[1]

    @property
    def cached_length(self) -> int:
        """How many of the columns are in the cache."""
        return 0 if self.past is None else int(getattr(self.past, "taken", self.past.length))

    def repeated(self, count: int) -> Prompt:
        """Each row so many times, one after the other; the cache is `Steps`' to repeat."""

        def again(value: Any) -> Any:
            return None if value is None else np.repeat(value, count, 0)

        source = {name: again(value) for name, value in self.source.items()}
        parts = {name: again(getattr(self, name)) for name in ("ids", "mask", "embeds", "types")}
        return replace(self, **parts, source=source)


def prompt_of(given: Mapping[str, Any], settings: Settings, model: Any) -> Prompt:
    """What a call is given, if the model can continue it.

    Raises:
        ValueError: no decoder, an empty or right-padded prompt, or inputs that do not fit each other.
    """
    config: RobertaConfig = model.config
    if not config.is_decoder:
        remedy = "load it with is_decoder=True, and train it so: an encoder's weights look at what comes"
        raise fail("config", "a decoder (is_decoder=True)", "an encoder", remedy)
    arrays = {name: arguments.visible(name, value) for name, value in given.items()}
    ids: Any = arrays["input_ids"]
    embeds, mask = arrays["inputs_embeds"], arrays["attention_mask"]
    if ids is None and embeds is None and settings.bos_token_id is not None:
        ids = np.array([[settings.bos_token_id]])
    _require_rows(ids, embeds, config)
    if embeds is not None:
        mask = np.ones(embeds.shape[:2], np.int64) if mask is None else mask
        is_token = np.ones(embeds.shape[:2], bool)  # S columns, which only the mask can take for padding
        ids = np.zeros((len(embeds), 0), np.int64) if ids is None else ids
    else:
        is_token = ids != config.pad_token_id
    types = arrays["token_type_ids"]
    if types is not None and types.shape != is_token.shape:
        raise fail("token_type_ids", f"(B, T) = {is_token.shape}", types.shape)
    shown, ids = _mask(mask, is_token), np.asarray(ids)
    past = arguments.as_cache(given["past_key_values"], is_token, model)
    source = {name: arrays[name] for name in ("encoder_hidden_states", "encoder_attention_mask")}
    prompt = Prompt(ids, shown, embeds, types, past, source)
    _require_more_than_cached(prompt)
    return prompt


def new_token_counts(prompt: Prompt, settings: Settings, config: RobertaConfig) -> tuple[int, int]:
    """How many tokens are added at least, before an end may come, and at most.

    `max_length` and `min_length` count the prompt's columns, as HF does.

    Raises:
        ValueError: more than the model has positions for, or no room for a single one.
    """
    least = max(settings.min_new_tokens, settings.min_length - prompt.length)
    if settings.max_new_tokens is not None or settings.max_length is None:
        name, most = "max_new_tokens", 20 if settings.max_new_tokens is None else settings.max_new_tokens
    else:
        name, most = "max_length", settings.max_length - prompt.length
        if most < 1:
            remedy = "type max_new_tokens, which does not count the prompt"
            raise fail(name, f"more than the {prompt.length} columns of the prompt", settings.max_length, remedy)
    is_absolute = config.position_embedding_type == "absolute"  # then padding takes no position
    seen = prompt.mask if prompt.embeds is not None else prompt.ids != config.pad_token_id  # R S
    count = int(seen.sum(-1).max(initial=0)) if is_absolute else prompt.length
    room = config.usable_length - count
    if most > room:
        required = f"at most {config.usable_length} tokens in all, of which the prompt has {count}"
        remedy = f"ask for at most {room}" if room > 0 else "shorten the prompt"
        raise fail(name, required, getattr(settings, name) or most, remedy)
    return least, most


def _require_rows(ids: Any, embeds: Any, config: RobertaConfig) -> None:
    if embeds is not None:
        if embeds.ndim != 3 or not embeds.shape[1]:
            raise fail("inputs_embeds", "rows of at least one token, (B, T, D)", embeds.shape)
        if ids is not None and (ids.ndim != 2 or len(ids) != len(embeds)):
            raise fail("input_ids", f"as many rows as inputs_embeds, {len(embeds)}", ids.shape)
    elif ids is None or ids.ndim != 2 or not ids.shape[1]:
        remedy = f"to begin with nothing, begin with <s>: [[{config.bos_token_id}]]"
        raise fail("input_ids", "rows of at least one token, (B, T)", getattr(ids, "shape", None), remedy)


def _mask(mask: Any, is_token: Any) -> Any:
    """Which columns are attended to: (B, S) booleans. The last of each row must be."""
    if mask is None:
        mask = is_token
    if tuple(mask.shape) != tuple(is_token.shape):
        raise fail("attention_mask", f"(B, T) = {tuple(is_token.shape)}", tuple(mask.shape))
    is_wrong = (mask != 0) & (mask != 1)  # B S
    if is_wrong.any():
        place = tuple(np.argwhere(is_wrong)[0].tolist())
        raise fail("attention_mask", "zeros and ones (1 attend, 0 do not)", f"{mask[place]} at {list(place)}")
    is_open = (mask[:, -1] == 1) & is_token[:, -1]  # B
    if not is_open.all():
        row = int(np.argmin(is_open))
        remedy = "pad on the left (tokenizer.padding_side = 'left'), so that each row ends where it is to go on"
        raise fail("input_ids", "rows that end in a token", f"padding at the end of row {row}", remedy)
    return mask.astype(bool)


def _require_more_than_cached(prompt: Prompt) -> None:
    if prompt.past is None:
        return
    rows = prompt.past.layers[0][0].shape[0]
    if rows != len(prompt.ids):
        raise fail("past_key_values", f"as many rows as input_ids, {len(prompt.ids)}", rows)
    if prompt.embeds is not None:
        raise fail("past_key_values", "input_ids beside it", "inputs_embeds", "give the ids of the whole text")
    if prompt.cached_length >= prompt.length:
        required = f"the whole text, the {prompt.cached_length} cached tokens and at least one more"
        remedy = "give the sequences that generate returned, not only what is new"
        raise fail("input_ids", required, f"{prompt.length} columns", remedy)
