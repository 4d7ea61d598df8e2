"""A decoder writes on, token by token: the loop and the draw are NumPy, every pass is the engine's."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any, Unpack

from .generating.beams import searched
from .generating.calling import Stream, criteria, own_rules
from .generating.loop import Found, Plan, continued
from .generating.processors import rules
from .generating.prompts import new_token_counts, prompt_of
from .generating.records import GenerateBeamDecoderOnlyOutput, GenerateDecoderOnlyOutput
from .generating.sampling import streams
from .generating.settings import Asked, Settings, fail, settings_of
from .generating.steps import Steps, handed_back
from .generating.tokens import with_tokens


class _Default:
    """A model's `generation_config`, as long as nobody has given it one of its own."""

    def __get__(self, model: Any, kind: type[Any] | None = None) -> Settings:
        return Settings()


class Generating:
    """What a causal language model can do besides: `generate`."""

    #: What `generate` goes by where a call says nothing; assign a `Settings` or a GenerationConfig of transformers.
    generation_config: Any = _Default()

    def generate(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        *,
        inputs: Any = None,
        inputs_embeds: Any = None,
        token_type_ids: Any = None,
        past_key_values: Any = None,
        encoder_hidden_states: Any = None,
        encoder_attention_mask: Any = None,
        generation_config: Any = None,
        logits_processor: Any = None,
        prefix_allowed_tokens_fn: Any = None,
        stopping_criteria: Any = None,
        streamer: Any = None,
        tokenizer: Any = None,
        **settings: Unpack[Asked],
    ) -> Any:
        """Continue each row, token by token, until all have ended or `max_new_tokens` have been added.

        The text is the same on every engine: greedy text unless the two largest scores lie closer together than the
        error of the arithmetic (`roberta.parity`), beams likewise, sampled text unless the number drawn lies as close
        to the border between two tokens. Rows do not depend on each other, nor on how far they are padded on the left
        (but `max_length` and `min_length` count columns, padding included). Dropout is off, whatever the mode of the
        model. The padding id, which has no position, is never chosen.

        Args:
            input_ids: (B, T) integers in [0, V), padded on the left; None to begin with the config's `bos_token_id`.
            attention_mask: (B, T), 1 attend, 0 do not; None: to all but padding.
            inputs: HF's name of `input_ids`.
            inputs_embeds: (B, T, D) in place of ids; what the mask hides is padding.
            token_type_ids: (B, T); what is new is of the type of the last token.
            past_key_values: the cache of an earlier record: `input_ids` are the whole text, of which what is not cached
                is computed. Ours, HF's tuple, or on PyTorch a Cache of transformers, which becomes longer.
            encoder_hidden_states: (B, E, D), for cross-attention.
            encoder_attention_mask: (B, E).
            generation_config: settings as an object or a mapping; None for the model's own. What is asked by name wins.
            logits_processor: a function of ids (R, T) and scores (R, V) that returns scores, or several; of arrays of
                the engine, R = B times beams or continuations.
            prefix_allowed_tokens_fn: a function of a row's number and its ids that returns the ids that may come.
            stopping_criteria: a function of ids (R, T) and the scores so far, or several; says which rows end.
            streamer: an object with `put` and `end`, which is given the prompt and each token as it comes.
            tokenizer: for `stop_strings`.
            **settings: see `Settings` of [settings.py](generating/settings.py); `max_new_tokens`, `do_sample`,
                `temperature`, `top_k`, `top_p`, `num_beams`, `num_return_sequences`, `repetition_penalty`,
                `eos_token_id`, `pad_token_id`, `seed`, `use_cache`, `return_dict_in_generate` and more, by HF's names.
                Each row has a stream of random numbers of its own, `np.random.default_rng([seed, row, copy])`, copy
                counting its continuations from 0, and takes one number of it at each step: whatever else is in the
                batch, the row of this place is continued alike. A list of seeds, one for each row, stands for
                `seed, row`.

        Returns:
            (R, T + new) ids in the engine's own arrays, the prompt in front, R = B * num_return_sequences; of a prompt
            of embeddings what is new. With `return_dict_in_generate` a record, see `generating.records`.

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
            >>> beams = {"num_beams": 3, "num_return_sequences": 2, "eos_token_id": ()}
            >>> model.generate([[0, 5, 6]], max_new_tokens=4, **beams).shape
            (2, 7)
        """
        model: Any = self
        config = getattr(model, "generation_config", None) if generation_config is None else generation_config
        asked = with_tokens(settings_of(settings, config, INPUTS), model.config)
        _require_values(model)
        given = {
            "input_ids": _one_of(input_ids, inputs),
            "attention_mask": attention_mask,
            "inputs_embeds": inputs_embeds,
            "token_type_ids": token_type_ids,
            "past_key_values": past_key_values,
            "encoder_hidden_states": encoder_hidden_states,
            "encoder_attention_mask": encoder_attention_mask,
        }
        rows = prompt_of(given, asked, model)
        least_new, most_new = new_token_counts(rows, asked, model.config)
        copies = asked.num_beams if asked.num_beams > 1 else asked.num_return_sequences
        prompt, start = rows.repeated(copies), rows.ids.shape[1]
        own = own_rules(logits_processor, prefix_allowed_tokens_fn, model, asked.num_beams)
        ordered = rules(asked, asked.eos_token_id, start, least_new, most_new, own, model.config.pad_token_id)
        plan = Plan(
            asked,
            ordered,
            criteria(stopping_criteria, asked, tokenizer, start, model),
            most_new,
            streams(asked.seed, len(rows.ids), 1 if asked.num_beams > 1 else copies),
            partial(_as_native, model),
        )
        stream = Stream(streamer, model)
        if streamer is not None and asked.num_beams > 1:
            raise fail("streamer", "num_beams=1 beside it", asked.num_beams, "what a beam holds may be dropped again")
        with model.inference():
            steps = Steps(model, prompt, asked, copies, most_new)
            found = searched(steps, prompt, plan) if asked.num_beams > 1 else continued(steps, prompt, plan, stream)
        past = handed_back(steps.past, past_key_values, copies)
        return _returned(found, steps, past, plan)


def _returned(found: Found, steps: Steps, past: Any, plan: Plan) -> Any:
    """The ids, or the record of what was asked for."""
    asked, native = plan.settings, plan.native
    if not asked.return_dict_in_generate:
        return native(found.ids)

    def listed(values: list[Any], *, is_asked: bool) -> tuple[Any, ...] | None:
        return tuple(values) if is_asked else None

    common = {
        "sequences": native(found.ids),
        "scores": listed([native(each) for each in found.scores], is_asked=asked.output_scores),
        "logits": listed([native(each) for each in found.logits], is_asked=asked.output_logits),
        "attentions": listed(steps.attentions, is_asked=asked.output_attentions),
        "hidden_states": listed(steps.hidden_states, is_asked=asked.output_hidden_states),
        "past_key_values": past,
    }
    if asked.num_beams == 1:
        return GenerateDecoderOnlyOutput[Any](**common)
    totals = native(found.sequences_scores) if asked.output_scores else None
    return GenerateBeamDecoderOnlyOutput[Any](
        **common, sequences_scores=totals, beam_indices=native(found.beam_indices)
    )


def _as_native(model: Any, array: Any) -> Any:
    return model.engine.to_native(array, model._like())


def _one_of(input_ids: Any, inputs: Any) -> Any:
    """The ids, under one of their two names."""
    if input_ids is not None and inputs is not None:
        message = "generate: inputs: another name of input_ids, and both are given; leave one out"
        raise TypeError(message)
    return inputs if input_ids is None else input_ids


def _require_values(model: Any) -> None:
    if model.engine.is_tracing():
        where = "a function that is being compiled or derived, where ids have no values"
        message = f"generate: cannot run inside {where}; call it outside of jit, grad and tf.function"
        raise RuntimeError(message)


#: What a call may be given besides settings.
INPUTS = [name for name in inspect.signature(Generating.generate).parameters if name not in {"self", "settings"}]
