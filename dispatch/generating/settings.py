"""What may be asked of `generate`: settings by HF's names, their ranges, and what to do instead of what only HF has."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from numbers import Real
from typing import Any, Literal, Self, TypedDict, cast

import numpy as np


class Asked(TypedDict, total=False):
    """The settings by name, as an editor shows them; `Settings` says what they are."""

    max_new_tokens: int | None
    max_length: int | None
    min_new_tokens: int | None
    min_length: int | None
    max_time: float | None
    stop_strings: str | list[str] | None
    do_sample: bool | None
    temperature: float | None
    top_k: int | None
    top_p: float | None
    min_p: float | None
    typical_p: float | None
    epsilon_cutoff: float | None
    eta_cutoff: float | None
    seed: int | list[Any] | None
    num_beams: int | None
    num_return_sequences: int | None
    length_penalty: float | None
    early_stopping: bool | Literal["never"] | None
    repetition_penalty: float | None
    no_repeat_ngram_size: int | None
    bad_words_ids: Any
    sequence_bias: Any
    suppress_tokens: Any
    begin_suppress_tokens: Any
    forced_bos_token_id: int | None
    forced_eos_token_id: Any
    exponential_decay_length_penalty: tuple[int, float] | None
    renormalize_logits: bool | None
    eos_token_id: Any
    pad_token_id: int | None
    bos_token_id: int | None
    use_cache: bool | None
    return_dict_in_generate: bool | None
    output_scores: bool | None
    output_logits: bool | None
    output_attentions: bool | None
    output_hidden_states: bool | None


@dataclass
class Settings:
    """How to write on. A model's `generation_config` is one of these, and `generation_config=` takes one.

    Attributes:
        max_new_tokens: how many tokens to add at most; None for 20, or what `max_length` leaves.
        max_length: how many columns there may be in all, the prompt and its padding included; `max_new_tokens` wins.
        min_new_tokens: no end before so many tokens have been added.
        min_length: no end before there are so many columns.
        max_time: seconds after which no step is begun.
        stop_strings: a row ends when its new text has one of these; beside them `tokenizer=`.
        do_sample: draw the next token; otherwise it is the most probable one.
        temperature: above 0; divides the logits before the draw: below 1 it is more cautious, above 1 wilder.
        top_k: draw among the k most probable tokens; None or 0 for all.
        top_p: draw among the fewest tokens that together have this probability, in (0, 1].
        min_p: draw among the tokens with at least this share of the largest probability, in [0, 1].
        typical_p: draw among the tokens whose surprise is nearest to the entropy, of this probability, in (0, 1].
        epsilon_cutoff: draw among tokens of at least this probability, in [0, 1); 0 for all.
        eta_cutoff: the same, and less where the entropy is high.
        seed: of the draw; None for another draw at each call; a list: of each row's by itself.
        num_beams: K, how many continuations of a row are pursued side by side; 1 for no beam search.
        num_return_sequences: how many continuations of each row are returned.
        length_penalty: the power of the length by which a sequence's score is divided: above 0 prefers long ones.
        early_stopping: True ends a row's search when K sequences have ended; False when no better ones are likely;
            "never" when none are possible.
        repetition_penalty: above 1 makes tokens that are there already less likely.
        no_repeat_ngram_size: no n tokens in a row come twice; 0 for no such rule.
        bad_words_ids: sequences of tokens that must not come, [[id, …], …].
        sequence_bias: what is added to the score of a token that ends a sequence, {(id, …): number}.
        suppress_tokens: ids that must not come.
        begin_suppress_tokens: ids that must not come first.
        forced_bos_token_id: what comes after a prompt of one token.
        forced_eos_token_id: what comes last, where the most tokens are reached.
        exponential_decay_length_penalty: (start, factor): after `start` new tokens, ends become likelier by this factor
            a token.
        renormalize_logits: make log-probabilities of the scores again after all rules.
        eos_token_id: one that ends a row, or several; None for the config's, () for none.
        pad_token_id: what follows the end of a row; None for the config's.
        bos_token_id: with what to begin where there is no prompt; None for the config's.
        use_cache: keep keys and values, so that each step computes one token only.
        return_dict_in_generate: return a record and not the ids alone.
        output_scores: with the scores of each step in it.
        output_logits: with the logits of each step, before all rules.
        output_attentions: with the attentions of each step.
        output_hidden_states: with the hidden states of each step.

    Source: HF `GenerationConfig` @ 4.57.6, whose `top_k` is 50 and whose `max_length` is 20 unless told otherwise.

    Example:
        >>> Settings(num_beams=4, num_return_sequences=2).checked().num_beams
        4
        >>> Settings(num_return_sequences=2).checked()
        Traceback (most recent call last):
        ValueError: generate: num_return_sequences: expected 1, as the most probable text is one, got 2; ask for...
    """

    max_new_tokens: int | None = None
    max_length: int | None = None
    min_new_tokens: int = 0
    min_length: int = 0
    max_time: float | None = None
    stop_strings: Any = None
    do_sample: bool = False
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    typical_p: float | None = None
    epsilon_cutoff: float | None = None
    eta_cutoff: float | None = None
    seed: Any = 0
    num_beams: int = 1
    num_return_sequences: int = 1
    length_penalty: float = 1.0
    early_stopping: bool | Literal["never"] = False
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    bad_words_ids: Any = None
    sequence_bias: Any = None
    suppress_tokens: Any = None
    begin_suppress_tokens: Any = None
    forced_bos_token_id: Any = None
    forced_eos_token_id: Any = None
    exponential_decay_length_penalty: tuple[int, float] | None = None
    renormalize_logits: bool = False
    eos_token_id: Any = None
    pad_token_id: Any = None
    bos_token_id: int | None = None
    use_cache: bool = True
    return_dict_in_generate: bool = False
    output_scores: bool = False
    output_logits: bool = False
    output_attentions: bool = False
    output_hidden_states: bool = False

    def update(self, **given: Any) -> None:
        """Set several; what is no setting is refused.

        Raises:
            TypeError: an unknown name.
        """
        require_known(given)
        for name in given.keys() & DEFAULTS:
            setattr(self, name, given[name])

    def checked(self) -> Self:
        """Itself, if every setting is in its range and none contradicts another.

        Raises:
            ValueError: otherwise.
        """
        for name, (is_right, required, remedy) in RANGES.items():
            value = getattr(self, name)
            may_be_absent = name == "seed" or DEFAULTS[name] is None
            if not (value is None and may_be_absent) and not is_right(value):
                raise fail(name, required, value, remedy)
        if self.num_beams == 1 and not self.do_sample and self.num_return_sequences > 1:
            remedy = "ask for num_beams of at least as many, or for do_sample=True"
            required = "1, as the most probable text is one"
            raise fail("num_return_sequences", required, self.num_return_sequences, remedy)
        if 1 < self.num_beams < self.num_return_sequences:
            raise fail("num_return_sequences", f"at most num_beams = {self.num_beams}", self.num_return_sequences)
        return self


#: Setting -> what it is if nobody says.
DEFAULTS: Mapping[str, Any] = {field.name: field.default for field in fields(Settings)}
#: Which settings say something only of a draw.
OF_DRAWS = ("temperature", "top_k", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff")


# -- ranges ------------------------------------------------------------------------------------------------------------


def is_integer(value: object) -> bool:
    """Whether it is a whole number by type; True and False are none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Whether it is a finite number; True and False are none."""
    return not isinstance(value, bool) and isinstance(value, Real) and bool(np.isfinite(float(value)))


def is_at_least(least: int, value: Any) -> bool:
    """Whether it is a whole number that is not below another."""
    return is_integer(value) and value >= least


def _within(low: float, high: float, *, closed: str) -> Callable[[Any], bool]:
    """In an interval, whose ends belong to it as `closed` says: "[" the lower, "]" the upper."""
    return lambda x: is_number(x) and (low < x < high or (x == low and "[" in closed) or (x == high and "]" in closed))


_Range = tuple[Callable[[Any], bool], str, str]
_COUNT: _Range = (partial(is_at_least, 1), "an integer of at least 1", "")
_FROM_0: _Range = (partial(is_at_least, 0), "an integer of at least 0", "")
_FLAG: _Range = (lambda value: isinstance(value, bool | np.bool_), "True or False", "")
#: Setting -> whether a value is in its range, the range in words, and what to do.
RANGES: Mapping[str, _Range] = {
    **dict.fromkeys(("max_new_tokens", "max_length", "num_beams", "num_return_sequences"), _COUNT),
    **dict.fromkeys(("min_new_tokens", "min_length", "no_repeat_ngram_size"), _FROM_0),
    **{name: _FLAG for name, default in DEFAULTS.items() if isinstance(default, bool) and name != "early_stopping"},
    "max_time": (_within(0.0, np.inf, closed=""), "seconds, a number above 0", ""),
    "temperature": (
        _within(0.0, np.inf, closed=""),
        "a number above 0",
        "for the most probable token, leave out do_sample",
    ),
    "top_k": (partial(is_at_least, 0), "an integer of at least 1, or None or 0 for all tokens", ""),
    "top_p": (_within(0.0, 1.0, closed="]"), "a sum of probabilities in (0, 1], or None", ""),
    "min_p": (_within(0.0, 1.0, closed="[]"), "a share of the largest probability in [0, 1], or None", ""),
    "typical_p": (_within(0.0, 1.0, closed="]"), "a sum of probabilities in (0, 1], or None", ""),
    "epsilon_cutoff": (_within(0.0, 1.0, closed="["), "a probability in [0, 1), or None", ""),
    "eta_cutoff": (_within(0.0, 1.0, closed="["), "a probability in [0, 1), or None", ""),
    "seed": (
        lambda value: all(is_at_least(0, each) for each in np.ravel(value).tolist()),
        "an integer of at least 0, a list of one for each row, or None for another draw each time",
        "",
    ),
    "length_penalty": (is_number, "a number", ""),
    "early_stopping": (lambda value: isinstance(value, bool) or value == "never", 'True, False or "never"', ""),
    "repetition_penalty": (_within(0.0, np.inf, closed=""), "a number above 0", "1.0 is no penalty"),
}


def fail(name: str, required: str, got: object, remedy: str = "") -> ValueError:
    """What to raise where a setting or an input is not as it must be."""
    shown = repr(got) if isinstance(got, str) else got
    return ValueError(f"generate: {name}: expected {required}, got {shown}" + (f"; {remedy}" if remedy else ""))


# -- what only HF has --------------------------------------------------------------------------------------------------

#: Names that only HF has -> the values with which they change nothing; None always does.
NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "num_beam_groups": (1,),
    "diversity_penalty": (0.0,),
    "penalty_alpha": (0.0,),
    "encoder_repetition_penalty": (1.0,),
    "encoder_no_repeat_ngram_size": (0,),
    "guidance_scale": (1.0,),
    "remove_invalid_values": (False,),
    "token_healing": (False,),
    "low_memory": (False,),
    "is_assistant": (False,),
    "synced_gpus": (False,),
    "return_legacy_cache": (False,),
    "cache_implementation": ("dynamic",),
    **dict.fromkeys(
        (
            "assistant_model", "prompt_lookup_num_tokens", "assistant_early_exit", "dola_layers", "constraints",
            "force_words_ids", "watermarking_config", "custom_generate", "negative_prompt_ids",
            "negative_prompt_attention_mask", "prefill_chunk_size", "cache_config", "compile_config", "position_ids",
            "head_mask", "cache_position", "labels",
        ),
        (),
    ),
}  # fmt: skip
#: Names of HF's that say nothing here, whatever they say: how something is done that is not.
IDLE = frozenset(
    {
        "transformers_version", "decoder_start_token_id", "num_assistant_tokens", "num_assistant_tokens_schedule",
        "assistant_confidence_threshold", "max_matching_ngram_size", "assistant_lookbehind", "target_lookbehind",
        "disable_compile", "assistant_tokenizer", "use_model_defaults", "trust_remote_code", "return_dict",
        "prefix_length", "logits_to_keep",
    }
)  # fmt: skip
_ASSISTED = "there is no assisted decoding: leave it out, the text is the same without it"
_GROUPS = "there are no groups of beams and no constraints: ask for num_beams alone"
#: What to do in place of something that only HF has, or that has another name here.
INSTEAD: Mapping[str, str] = {
    "assistant_model": _ASSISTED,
    "prompt_lookup_num_tokens": _ASSISTED,
    "assistant_early_exit": _ASSISTED,
    "is_assistant": _ASSISTED,
    "num_beam_groups": _GROUPS,
    "diversity_penalty": _GROUPS,
    "constraints": _GROUPS,
    "force_words_ids": _GROUPS,
    "penalty_alpha": "there is no contrastive search: ask for num_beams, or for do_sample=True",
    "dola_layers": "there is no contrast of layers: leave it out",
    "guidance_scale": "give logits_processor=, a function of ids and scores, which may ask the model itself",
    "negative_prompt_ids": "give logits_processor=, a function of ids and scores, which may ask the model itself",
    "watermarking_config": "give logits_processor=, a function of ids and scores",
    "remove_invalid_values": "leave it out: NaN and infinity are an error, as they come of weights that are broken",
    "cache_implementation": "leave it out: the cache is the engine's own",
    "custom_generate": "leave it out, or call that function: custom_generate(model, ...)",
    "encoder_repetition_penalty": "a decoder has no encoder's ids: ask for repetition_penalty",
    "encoder_no_repeat_ngram_size": "a decoder has no encoder's ids: ask for no_repeat_ngram_size",
    "position_ids": "leave it out: positions count the tokens of each row from pad_token_id + 1",
    "return_legacy_cache": "leave it out: the cache reads as HF's tuple does",
    "generation_config": "give a Settings, a GenerationConfig of transformers or a mapping",
}


def require_known(given: Mapping[str, Any], inputs: Iterable[str] = ()) -> None:
    """Every name is a setting, or one of HF's that asks for nothing here.

    Args:
        given: name -> value.
        inputs: what else could be given there, for the message.

    Raises:
        TypeError: another name.
    """
    for name, value in given.items():
        neutral = NEUTRAL.get(name)
        is_neutral = neutral is not None and (value is None or any(value is n or value == n for n in neutral))
        if name in DEFAULTS or name in IDLE or is_neutral:
            continue
        there = [*inputs, *DEFAULTS]
        near = difflib.get_close_matches(name, there, n=1)
        only = f"only {name}={neutral[0]!r} is possible" if neutral else ""
        said = "; ".join(part for part in (INSTEAD.get(name, ""), only) if part)
        hint = said or (f"did you mean {near[0]!r}?" if near else "leave it out")
        message = f"generate: unknown setting {name}={value!r:.60}; there are {', '.join(there)}; {hint}"
        raise TypeError(message)


def settings_of(asked: Mapping[str, Any], generation_config: Any, inputs: Iterable[str] = ()) -> Settings:
    """The settings of a call: what is asked by name, else what the `generation_config` says, else the defaults.

    Example:
        >>> settings_of({"num_beams": 2, "top_k": None}, {"num_beams": 4, "min_length": 3}).num_beams
        2
    """
    written = _as_mapping(generation_config)
    require_known({name: value for name, value in written.items() if value is not None})
    require_known(asked, inputs)
    given = {name: value for name, value in asked.items() if value is not None or name == "seed"}
    said: dict[str, Any] = {**written, **given}
    known: dict[str, Any] = {n: v for n, v in said.items() if n in DEFAULTS and (v is not None or n == "seed")}
    chosen = Settings(**known).checked()
    unheard = () if chosen.do_sample else OF_DRAWS
    idle = [name for name in unheard if name in given and given[name] != DEFAULTS[name]]
    if idle:
        warnings.warn(f"{', '.join(idle)}: no effect without do_sample=True", stacklevel=3)
    return chosen


def _as_mapping(generation_config: Any) -> Mapping[str, Any]:
    """Setting -> value, of a mapping or of an object that has them as attributes."""
    if generation_config is None:
        return {}
    is_mapping = isinstance(generation_config, Mapping)
    found: Any = cast("Any", generation_config) if is_mapping else getattr(generation_config, "__dict__", None)
    if found is None:
        required = "settings: a GenerationConfig or a mapping"
        message = f"generate: generation_config: expected {required}, got {generation_config!r:.60}"
        raise TypeError(message)
    return {str(name): value for name, value in found.items() if not str(name).startswith("_")}
