"""Text generation: a decoder writes on."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from queue import Queue
from typing import Any, ClassVar, Literal, cast

import numpy as np

from ..dispatch.generating.settings import Asked, fail, settings_of
from ..reference.outputs import to_numpy
from ..tokenizer.rows import Row
from .calling import Task, padded, require
from .records import Record

#: What a decoder writes where the last token is only a part of a character.
PARTIAL = "\ufffd"
#: More tokens than any prompt has.
ANY = 2**62


@dataclass(frozen=True)
class GeneratedText(Record):
    """A text that was written.

    Attributes:
        generated_text: the prompt and what was added to it, or the latter alone.
    """

    generated_text: str

    def __str__(self) -> str:
        return self.generated_text


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TextGeneration(Task[GeneratedText | Any]):
    """How a text goes on, by a causal language model.

    An input is a str, the prompt. It begins with <s>, and does not end with </s>, behind which nothing would follow.
    Prompts of a batch do not touch each other; with `do_sample` an answer depends on the seed and on the place of its
    prompt in the call, and not on the batches.

    Args:
        return_full_text: whether the prompt is part of what is returned.
        prefix: goes in front of each prompt, and is no part of what is returned.
        handle_long_generation: None: a prompt that leaves no room for what is asked for is an error; "hole": its
            beginning is left out, as far as is needed.
        settings: of `generate`, by name: `max_new_tokens`, `do_sample`, `temperature`, `top_k`, `top_p`, `num_beams`,
            `num_return_sequences`, `repetition_penalty`, `no_repeat_ngram_size`, `min_new_tokens`, `stop_strings`,
            `seed` and more; see `Settings` of dispatch/generating/settings.py. `roberta.task` and the call take them
            as options of their own.

    Returns of a call a record; with `num_return_sequences` above 1 a list of them.

    Source: HF `TextGenerationPipeline` @ 4.57.6, which writes on behind </s>, and whose positions start at 0 (see
    `generate`).

    Example:
        >>> import roberta
        >>> tokenizer = roberta.load_tokenizer("austen")
        >>> config = roberta.RobertaConfig(len(tokenizer), 4, 1, 2, 7, is_decoder=True)
        >>> write = TextGeneration(roberta.RobertaForCausalLM(config, backend="numpy"), tokenizer)
        >>> write("My dear", max_new_tokens=3).generated_text.startswith("My dear")
        True
        >>> "".join(write.stream("My dear", max_new_tokens=3)) == write(
        ...     "My dear", max_new_tokens=3, return_full_text=False
        ... ).generated_text
        True
    """

    return_full_text: bool = True
    prefix: str = ""
    handle_long_generation: Literal["hole"] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])

    name: ClassVar[str] = "text-generation"
    head: ClassVar[str] = "causal_lm"
    more_options: ClassVar[tuple[str, ...]] = tuple(Asked.__annotations__)

    def __post_init__(self) -> None:
        super().__post_init__()
        required = "None, or 'hole'"
        require(self, "handle_long_generation", required, self.handle_long_generation in (None, "hole"))
        unknown = [name for name in self.settings if name not in Asked.__annotations__]
        if unknown:
            message = f"{self.name}: settings: expected settings of generate, got {unknown[0]!r}"
            raise TypeError(message)

    @property
    def limit(self) -> int:
        """The most tokens of a prompt; where its beginning may be left out, any number."""
        return super().limit if self.handle_long_generation is None else ANY

    def _require_options(self) -> None:
        super()._require_options()
        model = self.weights.model
        if not model.config.is_decoder:
            remedy = "load it with is_decoder=True, and train it so: an encoder's weights look at what comes"
            raise fail("config", "a decoder (is_decoder=True)", "an encoder", remedy)
        self._fitted([])
        asked = settings_of(self.settings, getattr(model, "generation_config", None))
        usable = model.config.usable_length
        if (asked.max_new_tokens or 0) >= usable:
            raise fail("max_new_tokens", f"at most {usable} tokens in all, with the prompt's", asked.max_new_tokens)

    def stream(self, prompt: str, **options: Any) -> Iterator[str]:
        """Write on, and give each piece of text as it comes; joined they are what was added to the prompt.

        Args:
            prompt: one text.
            **options: as of the call; one continuation, no beams.

        Raises:
            ValueError, TypeError: as of the call.
        """
        asked = self.replace(**options)
        row = asked._encode([asked._require(prompt, "prompt")])[0][0]
        asked._require_fitting([row], 0, asked.weights.model.config.vocab_size)
        pieces = _Pieces(asked.weights.tokenizer)

        def write() -> None:
            try:
                asked._generated([row], [0], streamer=pieces)
            except BaseException as error:  # noqa: BLE001  # raised again where the text is read
                pieces.queue.put(error)

        threading.Thread(target=write, daemon=True).start()
        while (piece := pieces.queue.get()) is not None:
            if isinstance(piece, BaseException):
                raise piece
            yield piece

    def _changes(self, options: dict[str, Any]) -> dict[str, Any]:
        own, settings = parted(options)
        return {**own, "settings": {**self.settings, **own.get("settings", {}), **settings}}

    def _encode(self, items: list[Any]) -> list[list[Row]]:
        return self._rows_of([self.prefix + item for item in items])

    def _compute(self, rows: list[Row], places: list[int]) -> list[Any]:
        return self._generated(rows, places)

    def _generated(self, rows: list[Row], places: list[int], **more: Any) -> list[Any]:
        """Of each prompt the ids (R, T + new) of its continuations, without padding before them."""
        asked, model = dict(self.settings), self.weights.model
        prompts = [self._fitted(_prompt(row, self.weights.tokenizer)) for row in rows]
        ids, mask = padded(prompts, self.weights.tokenizer.pad_token_id, is_left=True)  # B T
        if (seed := asked.get("seed", 0)) is not None:
            asked["seed"] = [(seed, place) for place in places]
        strings = {"tokenizer": self.weights.tokenizer} if asked.get("stop_strings") else {}
        found = to_numpy(model.generate(ids, mask, **cast("Any", asked), **strings, **more))  # R T+new
        copies = len(found) // len(rows)
        begins = [ids.shape[1] - len(prompt) for prompt in prompts]
        return [found[b * copies : (b + 1) * copies, begin:] for b, begin in enumerate(begins)]

    def _fitted(self, prompt: list[int]) -> list[int]:
        """The prompt, or as much of its end as leaves room for what is to be added."""
        if self.handle_long_generation is None:
            return prompt
        usable, asked = self.weights.model.config.usable_length, self.settings
        most = asked.get("max_new_tokens") or max(0, (asked.get("max_length") or len(prompt) + 20) - len(prompt))
        required = f"fewer new tokens than the {usable} that the model has positions for"
        require(self, "handle_long_generation", f"{required} ({most} are asked for)", most < usable)
        return prompt[-(usable - most) :]

    def _answer(self, item: Any, rows: list[Row], said: list[Any]) -> GeneratedText | list[GeneratedText]:
        tokenizer = self.weights.tokenizer
        prompt = self._fitted(_prompt(rows[0], tokenizer))
        taken = len(tokenizer.decode(prompt, skip_special_tokens=True))
        before = item if self.return_full_text else ""
        texts = [tokenizer.decode(ids.tolist(), skip_special_tokens=True) for ids in said[0]]
        found = [GeneratedText(before + text[taken:]) for text in texts]
        return found if self.settings.get("num_return_sequences", 1) > 1 else found[0]


def parted(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of the task, and settings of `generate`, which go by their own names.

    Example:
        >>> parted({"batch_size": 2, "top_k": 5})
        ({'batch_size': 2}, {'top_k': 5})
    """
    settings = {name: value for name, value in options.items() if name in Asked.__annotations__}
    return {name: value for name, value in options.items() if name not in settings}, settings


# -- pieces ------------------------------------------------------------------------------------------------------------


def _prompt(row: Row, tokenizer: Any) -> list[int]:
    """The ids of a prompt, without the </s> at their end."""
    return row.ids[:-1] if row.ids[-1:] == [tokenizer.sep_token_id] else row.ids


class _Pieces:
    """What `generate` tells its tokens: pieces of text, whole characters, in a queue; None at the end."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.queue: Queue[Any] = Queue()
        self.ids: list[int] = []
        self.shown = -1  # characters that were handed on; before the prompt has come, none can be

    def put(self, ids: Any) -> None:
        """The prompt (1, T), then each token (1,)."""
        self.ids += np.asarray(to_numpy(ids)).ravel().tolist()
        text = self.tokenizer.decode(self.ids, skip_special_tokens=True)
        if self.shown < 0:
            self.shown = len(text)
        elif not text.endswith(PARTIAL):
            self._hand_on(text)

    def end(self) -> None:
        """Nothing more comes."""
        self._hand_on(self.tokenizer.decode(self.ids, skip_special_tokens=True))
        self.queue.put(None)

    def _hand_on(self, text: str) -> None:
        if text[self.shown :]:
            self.queue.put(text[self.shown :])
        self.shown = max(self.shown, len(text))
