"""The model, asked again and again with one token more: with a cache one token is computed, without it the row."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...reference.embeddings import Integers
from ...reference.layers import Array
from ...reference.outputs import to_numpy
from .prompts import Prompt
from .settings import Settings, fail


class Steps:
    """The passes of one call of `generate`.

    Attributes:
        past: the `Cache` after the last pass, or None.
        attentions: a pass each, if they are asked for.
        hidden_states: likewise.
    """

    def __init__(self, model: Any, prompt: Prompt, settings: Settings, copies: int, most_new: int) -> None:
        self.model = model
        self.prompt = prompt
        # embeddings are always cached, as those of the tokens to come are the engine's affair
        self.use_cache = settings.use_cache or prompt.embeds is not None or prompt.past is not None
        self.seen = prompt.cached_length
        self.past = prompt.past
        self.source = dict(prompt.source)
        if self.past is not None:
            self.reorder(np.repeat(np.arange(len(prompt.ids) // copies), copies))
            self.source["encoder_hidden_states"] = None if len(self.past[0]) == 4 else self.source[STATES]
        elif self.use_cache:
            self.past = _empty_cache(model, len(prompt.ids), prompt.length + most_new)
        flags = {"output_attentions": settings.output_attentions, "output_hidden_states": settings.output_hidden_states}
        self.flags = {name: True for name, is_asked in flags.items() if is_asked}
        self.attentions: list[Any] = []
        self.hidden_states: list[Any] = []

    def logits(self, ids: Integers, mask: Any) -> Array:
        """The logits of the next token, (R, V) in float64, of ids so far (R, T) and the mask of all columns (R, S)."""
        room = 0 if self.past is None else self.past.key_count(mask.shape[1] - self.seen) - mask.shape[1]
        shown = np.pad(mask, ((0, 0), (0, room)), constant_values=True).astype(np.int64)  # R S
        last = np.stack([np.arange(len(mask)), np.full(len(mask), mask.shape[1] - self.seen - 1)], -1)  # R 2
        given = {**self._new(ids, mask), "attention_mask": shown, "past_key_values": self.past, **self.source}
        given["positions"] = last  # of the other tokens nobody wants logits
        output = self.model(**given, **self.flags, use_cache=self.use_cache, return_dict=True)
        self.attentions.append(output.get("attentions"))
        self.hidden_states.append(output.get("hidden_states"))
        if self.use_cache:
            self.past, self.seen = output.past_key_values, mask.shape[1]
            self.source[STATES] = None  # its keys and values are in the cache
        logits = np.array(self.model.engine.to_numpy(output.logits), np.float64)  # R V
        if not np.isfinite(logits).all():
            raise fail("logits", "finite numbers", "NaN or infinity", "look at the weights of the model")
        return logits

    def _new(self, ids: Integers, mask: Any) -> dict[str, Any]:
        """What is not in the cache: columns from `seen` on."""
        count = mask.shape[1] - self.seen
        prompt, config = self.prompt, self.model.config
        is_first = prompt.embeds is not None and not self.seen
        found: dict[str, Any] = {"inputs_embeds": prompt.embeds} if is_first else {"input_ids": ids[:, -count:]}
        if prompt.types is not None:  # what is new is of the type of the last token
            types = np.pad(prompt.types, ((0, 0), (0, mask.shape[1] - prompt.length)), mode="edge")  # R S
            found["token_type_ids"] = types[:, self.seen :]
        if prompt.embeds is not None and config.position_embedding_type == "absolute":
            # of embeddings nobody but the mask can say which are padding, and that has no position
            positions = mask.cumsum(-1) * mask + config.pad_token_id  # R S
            found["position_ids"] = positions[:, self.seen :]
        return found

    def reorder(self, rows: Integers) -> None:
        """Of the cache, these rows in this order."""
        if self.past is None or np.array_equal(rows, np.arange(len(self.past.token_count))):
            return
        layers = tuple(tuple(self._rows(part, rows) for part in layer) for layer in self.past.layers)
        self.past = replace(self.past, layers=layers, token_count=self._rows(self.past.token_count, rows))

    def _rows(self, array: Any, rows: Integers) -> Any:
        try:
            return array[rows]
        except TypeError:  # TensorFlow's tensors are not indexed by arrays
            return self.model.engine.to_native(to_numpy(array)[rows], self.model._like())


STATES = "encoder_hidden_states"


def _empty_cache(model: Any, batch_size: int, length: int) -> Any:
    """A cache with room for all tokens, of an engine that has such as it compiles each length anew; else None."""
    return model.init_cache(batch_size, length) if hasattr(model, "init_cache") else None


def handed_back(past: Any, given: Any, copies: int) -> Any:
    """What `past_key_values` of the record is: a Cache of transformers, if one was given, with the new tokens in it.

    As its own models do, it is the same object, longer; its rows are repeated where there are several continuations.
    """
    if past is None or not hasattr(given, "get_seq_length") or not hasattr(past.layers[0][0], "detach"):
        return past
    own = getattr(given, "self_attention_cache", given)
    seen = int(own.get_seq_length())
    if seen and copies > 1:
        given.batch_repeat_interleave(copies)
    for i, (key, value, *crossed) in enumerate(past.layers):
        own.update(key[:, :, seen:], value[:, :, seen:], i)
        if crossed and own is not given and not given.is_updated.get(i):
            given.cross_attention_cache.update(*crossed, i)
            given.is_updated[i] = True
    return given
