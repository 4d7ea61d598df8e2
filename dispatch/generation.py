"""A decoder writes on, token by token: the loop and the draw are NumPy, every pass is the engine's."""

from __future__ import annotations

import difflib
import inspect
import secrets
import warnings
from collections.abc import Iterable, Mapping, Sized
from dataclasses import dataclass
from numbers import Real
from typing import Any, cast

import numpy as np

from ..reference.config import RobertaConfig
from ..reference.embeddings import Integers
from ..reference.layers import Array, softmax
from ..reference.outputs import Output
from . import arguments

#: Settings that only HF has -> the value with which they change nothing.
NEUTRAL: Mapping[str, Any] = {
    "num_beams": 1,
    "num_beam_groups": 1,
    "num_return_sequences": 1,
    "early_stopping": False,
    "length_penalty": 1.0,
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "typical_p": 1.0,
    "min_p": None,
    "min_length": 0,
    "min_new_tokens": 0,
    "output_logits": False,
    "output_attentions": False,
    "output_hidden_states": False,
    "diversity_penalty": 0.0,
    "encoder_no_repeat_ngram_size": 0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
    "guidance_scale": 1.0,
    "remove_invalid_values": False,
    "renormalize_logits": False,
    **dict.fromkeys(
        (
            "assistant_model", "prompt_lookup_num_tokens", "bad_words_ids", "force_words_ids", "suppress_tokens",
            "begin_suppress_tokens", "forced_bos_token_id", "forced_eos_token_id", "constraints", "sequence_bias",
            "exponential_decay_length_penalty", "penalty_alpha", "dola_layers", "stop_strings", "watermarking_config",
            "logits_processor", "stopping_criteria", "prefix_allowed_tokens_fn", "streamer",
        )
    ),
}  # fmt: skip
#: The same -> what to type here.
INSTEAD: Mapping[str, str] = {
    "inputs": "type input_ids",
    "assistant_model": "there is no assisted decoding: a RoBERTa decoder is small enough to be its own",
}
#: What clients pass along that no text depends on here.
IDLE = frozenset({"tokenizer", "synced_gpus", "token_type_ids"})


@dataclass(eq=False)
class GenerateOutput(Output[Any]):
    """What `generate(return_dict_in_generate=True)` gives.

    Attributes:
        sequences: (B, T + new) ids.
        scores: of each step (B, V) logits of the next token in float64, as the choice was made among them: -inf for
            what must not come. Given with `output_scores=True`.
        past_key_values: the `Cache` behind the last step, where one was kept.
    """

    sequences: Any = None
    scores: tuple[Any, ...] | None = None
    past_key_values: Any = None


@dataclass(frozen=True)
class Choice:
    """How the next token is chosen.

    Attributes:
        do_sample: draw it; otherwise it is the most probable one.
        temperature: divides the logits: below 1 the draw is bolder, above 1 wilder.
        top_k: draw among so many of the most probable tokens; None for all.
        top_p: draw among the fewest tokens whose probabilities reach this sum; None for all.
    """

    do_sample: bool = False
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ValueError: one out of its range.
        """
        if not (isinstance(self.temperature, Real) and 0.0 < self.temperature < float("inf")):
            remedy = "for the most probable token, leave out do_sample"
            raise _fail("temperature", "a number above 0", self.temperature, remedy)
        if self.top_k is not None and not (_is_integer(self.top_k) and self.top_k >= 1):
            raise _fail("top_k", "an integer of at least 1, or None for all tokens", self.top_k)
        if self.top_p is not None and not (isinstance(self.top_p, Real) and 0.0 < self.top_p <= 1.0):
            raise _fail("top_p", "a sum of probabilities in (0, 1], or None", self.top_p)
        idle = [name for name in ("temperature", "top_k", "top_p") if getattr(self, name) != getattr(Choice, name)]
        if idle and not self.do_sample:
            warnings.warn(f"{', '.join(idle)}: no effect without do_sample=True", stacklevel=4)

    def next_tokens(self, logits: Array, draws: Array) -> Integers:
        """The next token of each row.

        Args:
            logits: (B, V) in float64; -inf for what must not come.
            draws: (B,) uniform numbers in [0, 1), one for each row.

        Returns:
            (B,) ids. Of equal logits the lowest id wins; a draw takes the id at which the cumulative sum of the
            probabilities, in the order of ids, passes the number drawn.

        Example:
            >>> logits = np.log([[0.1, 0.6, 0.3]])
            >>> Choice().next_tokens(logits, np.array([0.05])), Choice(True).next_tokens(logits, np.array([0.05]))
            (array([1]), array([0]))
            >>> Choice(True, top_k=2).next_tokens(logits, np.array([0.05]))
            array([1])
        """
        if not self.do_sample:
            return logits.argmax(-1)  # B
        with np.errstate(over="ignore"):  # a quotient below all numbers is -inf, which is right
            logits = (logits - logits.max(-1, keepdims=True)) / self.temperature  # B V
        logits = within_top_p(within_top_k(logits, self.top_k), self.top_p)  # B V
        cumulative = softmax(logits).cumsum(-1)  # B V
        is_passed = cumulative > draws[:, None] * cumulative[:, -1:]  # B V
        return is_passed.argmax(-1)  # B


def within_top_k(logits: Array, top_k: int | None) -> Array:
    """The logits with all but the k largest of a row at -inf; what equals the k-th largest stays too.

    Example:
        >>> within_top_k(np.array([[3.0, 1.0, 2.0]]), 2)
        array([[  3., -inf,   2.]])
    """
    if top_k is None or top_k >= logits.shape[-1]:
        return logits
    least = np.partition(logits, -top_k, axis=-1)[:, -top_k, None]  # B 1
    return np.where(logits >= least, logits, -np.inf)  # B V


def within_top_p(logits: Array, top_p: float | None) -> Array:
    """The logits with all at -inf but the fewest, from the most probable on, whose probabilities reach p in sum.

    Source: Holtzman et al. (2020), section 3.1.

    Example:
        >>> np.exp(within_top_p(np.log([[0.5, 0.2, 0.3]]), 0.7)).round(1)
        array([[0.5, 0. , 0.3]])
    """
    if top_p is None:
        return logits
    order = np.argsort(-logits, axis=-1, kind="stable")  # B V
    probabilities = softmax(np.take_along_axis(logits, order, -1))  # B V
    before = probabilities.cumsum(-1) - probabilities  # B V
    is_kept = np.zeros(logits.shape, bool)  # B V
    np.put_along_axis(is_kept, order, before < top_p, -1)
    return np.where(is_kept, logits, -np.inf)  # B V


class Generating:
    """What a causal language model can do besides: `generate`."""

    def generate(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        *,
        max_new_tokens: int = 20,
        do_sample: bool = False,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        eos_token_id: int | Iterable[int] | None = None,
        pad_token_id: int | None = None,
        seed: int | None = 0,
        use_cache: bool = True,
        encoder_hidden_states: Any = None,
        encoder_attention_mask: Any = None,
        max_length: int | None = None,
        generation_config: Any = None,
        return_dict_in_generate: bool = False,
        output_scores: bool = False,
        **others: Any,
    ) -> Any:
        """Continue each row of ids, token by token, until all have ended or `max_new_tokens` have been added.

        The text is the same on every engine: greedy text unless the two largest logits lie closer together than the
        error of the arithmetic (`roberta.parity`), sampled text unless the number drawn lies as close to the border
        between two tokens. Rows do not depend on each other, nor on how far they are padded on the left. Dropout is
        off, whatever the mode of the model. The padding id, which has no position, is never chosen.

        Args:
            input_ids: (B, T) integers in [0, V), padded on the left.
            attention_mask: (B, T), 1 attend, 0 do not; None: to all but padding.
            max_new_tokens: how many tokens to add at most.
            do_sample: draw the next token, in place of the most probable one.
            temperature: above 0; divides the logits before the draw.
            top_k: draw among the k most probable tokens.
            top_p: draw among the most probable tokens that together have this probability, in (0, 1].
            eos_token_id: one that ends a row, or several; None for the config's, () for none.
            pad_token_id: what follows the end of a row; None for the config's.
            seed: of the draw. Each row has a stream of its own, `np.random.default_rng([seed, row])`, and takes one
                number of it at each step: whatever else is in the batch, the row of this place is continued alike. None
                for another draw at each call.
            use_cache: keep keys and values, so that each step computes one token only.
            encoder_hidden_states: (B, E, D), for cross-attention.
            encoder_attention_mask: (B, E).
            max_length: in place of `max_new_tokens`: of the prompt and what is added.
            generation_config: settings under these names, of transformers' `GenerationConfig` or a mapping: those that
                are not given by themselves are taken from it.
            return_dict_in_generate: a record, `GenerateOutput`, in place of the ids.
            output_scores: keep in it the logits of each step.
            **others: settings that HF has besides, such as `num_beams`, as long as they ask for nothing: `num_beams=1`.

        Returns:
            (B, T + new) ids in the engine's own arrays; the prompt is in front. Or the record.

        Raises:
            ValueError: no decoder, an empty or right-padded prompt, more tokens than the model has positions, or a
                setting out of its range.
            TypeError: a setting that does not exist here.
            RuntimeError: inside `jit` or `tf.function`, where ids have no values yet.

        Source: HF `GenerationMixin.generate` @ 4.57.6, whose positions start at 0 where RoBERTa's start behind the
        padding id, so that it continues otherwise than its own forward pass would.

        Example:
            >>> from roberta import RobertaConfig, RobertaForCausalLM
            >>> config = RobertaConfig(11, 4, 1, 2, 7, is_decoder=True)
            >>> model = RobertaForCausalLM(config, backend="numpy")
            >>> model.generate([[0, 5, 6]], max_new_tokens=4, eos_token_id=()).shape
            (1, 7)
        """
        model: Any = self
        config: RobertaConfig = model.config
        if generation_config is not None:
            given = {name: value for name, value in locals().items() if name in SETTINGS}
            chosen = {**_settings(generation_config), **{n: v for n, v in given.items() if v != SETTINGS[n]}, **others}
            source = {"encoder_hidden_states": encoder_hidden_states, "encoder_attention_mask": encoder_attention_mask}
            return model.generate(input_ids, attention_mask, **source, **chosen)
        _require_known(others)
        _require_values(model)
        choice = Choice(do_sample, temperature, top_k, top_p)
        ids = arguments.visible("input_ids", input_ids)  # B T
        if max_length is not None and getattr(ids, "ndim", 0) == 2:
            max_new_tokens = _room(max_length, ids.shape[1])
        ids = _prompt(ids, config, max_new_tokens)  # B T
        mask = _prompt_mask(arguments.visible("attention_mask", attention_mask), ids, config)  # B T
        ends = _ends(eos_token_id, config)
        padding = config.pad_token_id if pad_token_id is None else _token("pad_token_id", pad_token_id, config)
        draws = _draws(seed, len(ids), max_new_tokens)  # new B
        source = {"encoder_hidden_states": encoder_hidden_states, "encoder_attention_mask": encoder_attention_mask}
        past = _empty_cache(model, len(ids), ids.shape[1] + max_new_tokens) if use_cache else None
        steps = _Steps(model, past, use_cache, source)
        has_ended = np.zeros(len(ids), bool)  # B
        scores: list[Array] = []
        with model.inference():
            for drawn in draws:
                if has_ended.all():
                    break
                logits = steps.logits(ids, mask)  # B V
                if output_scores:
                    scores.append(logits)
                chosen = choice.next_tokens(logits, drawn)  # B
                token = np.where(has_ended, padding, chosen)  # B
                ids = np.concatenate([ids, token[:, None]], axis=1)  # B T+1
                mask = np.concatenate([mask, ~has_ended[:, None]], axis=1)  # B T+1
                has_ended |= np.isin(token, ends)  # B
        sequences = model.engine.to_native(ids, model.like())
        if not return_dict_in_generate:
            return sequences
        return GenerateOutput(sequences, tuple(scores) if output_scores else None, steps.past)


#: The settings that a `generation_config` may have for `generate` -> their defaults.
SETTINGS: Mapping[str, Any] = {
    name: parameter.default
    for name, parameter in inspect.signature(Generating.generate).parameters.items()
    if parameter.kind is parameter.KEYWORD_ONLY and not name.startswith("encoder_") and name != "generation_config"
}


class _Steps:
    """The model, asked again and again with one token more."""

    def __init__(self, model: Any, past: Any, use_cache: bool, source: Mapping[str, Any]) -> None:
        self.model = model
        self.past = past
        self.use_cache = use_cache
        self.source = dict(source)
        self.seen = 0

    def logits(self, ids: Integers, mask: Any) -> Array:
        """The logits of the next token, (B, V) in float64, of rows so far (B, T) and their mask (B, T)."""
        new = ids[:, self.seen :]  # B T or B 1
        room = 0 if self.past is None else self.past.key_count(new.shape[1]) - mask.shape[1]
        shown = np.pad(mask, ((0, 0), (0, room)), constant_values=True).astype(np.int64)  # B S
        last = np.stack([np.arange(len(new)), np.full(len(new), new.shape[1] - 1)], -1)  # B 2
        given = {
            "input_ids": new,
            "attention_mask": shown,
            "past_key_values": self.past,
            "positions": last,
            **self.source,
        }
        output = self.model(**given, use_cache=self.use_cache, return_dict=True)
        if self.use_cache:
            self.past, self.seen = output.past_key_values, ids.shape[1]
            self.source["encoder_hidden_states"] = None  # its keys and values are in the cache
        logits = np.array(self.model.engine.to_numpy(output.logits), np.float64)  # B V
        if not np.isfinite(logits).all():
            raise _fail("logits", "finite numbers", "NaN or infinity", "look at the weights of the model")
        logits[:, self.model.config.pad_token_id] = -np.inf
        return logits


def _empty_cache(model: Any, batch_size: int, length: int) -> Any:
    """A cache with room for all tokens, of an engine that has such as it compiles each length anew; else None."""
    return model.init_cache(batch_size, length) if hasattr(model, "init_cache") else None


# -- checks ----------------------------------------------------------------------------------------------------------


def _fail(name: str, required: str, got: object, remedy: str = "") -> ValueError:
    shown = repr(got) if isinstance(got, str) else got
    return ValueError(f"generate: {name}: expected {required}, got {shown}" + (f"; {remedy}" if remedy else ""))


def _settings(generation_config: Any) -> dict[str, Any]:
    """What a `GenerationConfig` or a mapping asks for: its settings that are not None, without its bookkeeping."""
    read = getattr(generation_config, "to_dict", lambda: generation_config)()
    if not isinstance(read, Mapping):
        raise _fail("generation_config", "a GenerationConfig or a mapping", generation_config)
    named = {name: value for name, value in cast("Mapping[str, Any]", read).items() if value is not None}
    known = {name: value for name, value in named.items() if name in SETTINGS or name in NEUTRAL}
    if "max_new_tokens" in known:
        known.pop("max_length", None)
    return known


def _room(max_length: Any, prompt_length: int) -> int:
    """How many tokens may be added to a prompt, if there are to be so many in all."""
    if not _is_integer(max_length) or max_length <= prompt_length:
        raise _fail("max_length", f"an integer above the {prompt_length} tokens of the prompt", max_length)
    return int(max_length) - prompt_length


def _require_known(others: Mapping[str, Any]) -> None:
    """Of what only HF has, what asks for nothing."""
    for name, value in others.items():
        if name in IDLE or (isinstance(value, Sized) and not len(value) and name in NEUTRAL):
            continue
        if name in NEUTRAL and (value is None or value == NEUTRAL[name]):
            continue
        there = [
            known for known in inspect.signature(Generating.generate).parameters if known not in {"self", "others"}
        ]
        neutral = f"only {name}={NEUTRAL[name]!r} is possible" if name in NEUTRAL else ""
        near = difflib.get_close_matches(name, there, n=1)
        hint = INSTEAD.get(name) or neutral or (f"did you mean {near[0]!r}?" if near else "leave it out")
        message = f"generate: unknown setting {name}={value!r:.60}; there are {', '.join(there)}; {hint}"
        raise TypeError(message)


def _require_values(model: Any) -> None:
    if model.engine.is_tracing():
        where = "a function that is being compiled or derived, where ids have no values"
        message = f"generate: cannot run inside {where}; call it outside of jit, grad and tf.function"
        raise RuntimeError(message)


def _is_integer(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _draws(seed: Any, row_count: int, step_count: int) -> Array:
    """The number for each step and row, (steps, rows): each row has a stream of its own."""
    if seed is not None and not (_is_integer(seed) and seed >= 0):
        raise _fail("seed", "an integer of at least 0, or None for another draw each time", seed)
    chosen = secrets.randbits(64) if seed is None else int(seed)
    streams = [np.random.default_rng([chosen, row]).random(step_count) for row in range(row_count)]
    return np.array(streams).reshape(row_count, step_count).T  # steps rows


def _prompt(ids: Any, config: RobertaConfig, max_new_tokens: int) -> Integers:
    """The ids, if the model can continue them."""
    if not config.is_decoder:
        remedy = "load it with is_decoder=True, and train it so: an encoder's weights look at what comes"
        raise _fail("config", "a decoder (is_decoder=True)", "an encoder", remedy)
    if ids is None or ids.ndim != 2 or not ids.shape[1]:
        remedy = f"to begin with nothing, begin with <s>: [[{config.bos_token_id}]]"
        raise _fail("input_ids", "rows of at least one token, (B, T)", getattr(ids, "shape", None), remedy)
    if not _is_integer(max_new_tokens) or max_new_tokens < 1:
        raise _fail("max_new_tokens", "an integer of at least 1", max_new_tokens)
    is_absolute = config.position_embedding_type == "absolute"  # then padding takes no position
    count = int((ids != config.pad_token_id).sum(-1).max(initial=0)) if is_absolute else ids.shape[1]
    room = config.usable_length - count
    if max_new_tokens > room:
        required = f"at most {config.usable_length} tokens in all, of which the prompt has {count}"
        remedy = f"ask for at most {room}" if room > 0 else "shorten the prompt"
        raise _fail("max_new_tokens", required, max_new_tokens, remedy)
    return ids


def _prompt_mask(mask: Any, ids: Integers, config: RobertaConfig) -> Any:
    """Which tokens of the prompt are attended to: (B, T) booleans. The last of each row must be."""
    is_token = ids != config.pad_token_id  # B T
    if mask is None:
        mask = is_token
    if tuple(mask.shape) != tuple(ids.shape):
        raise _fail("attention_mask", f"(B, T) = {tuple(ids.shape)}", tuple(mask.shape))
    is_wrong = (mask != 0) & (mask != 1)  # B T
    if is_wrong.any():
        place = tuple(np.argwhere(is_wrong)[0].tolist())
        raise _fail("attention_mask", "zeros and ones (1 attend, 0 do not)", f"{mask[place]} at {list(place)}")
    is_open = (mask[:, -1] == 1) & is_token[:, -1]  # B
    if not is_open.all():
        row = int(np.argmin(is_open))
        remedy = "pad on the left (tokenizer.padding_side = 'left'), so that each row ends where it is to go on"
        raise _fail("input_ids", "rows that end in a token", f"padding at the end of row {row}", remedy)
    return mask.astype(bool)


def _ends(eos_token_id: Any, config: RobertaConfig) -> list[int]:
    """The ids that end a row."""
    chosen: Any = config.eos_token_id if eos_token_id is None else eos_token_id  # the config's may be None as well
    if hasattr(chosen, "dtype"):
        chosen = arguments.visible("eos_token_id", chosen).tolist()
    several = isinstance(chosen, Iterable) and not isinstance(chosen, str)
    ends: list[Any] = list(cast("Iterable[Any]", chosen)) if several else [] if chosen is None else [chosen]
    return [_token("eos_token_id", end, config) for end in ends]


def _token(name: str, value: Any, config: RobertaConfig) -> int:
    """An id of the vocabulary."""
    if not (_is_integer(value) and 0 <= value < config.vocab_size):
        remedy = f"a token's id, such as tokenizer.{name}" if isinstance(value, str) else ""
        raise _fail(name, f"ids in [0, {config.vocab_size})", value, remedy)
    return int(value)
