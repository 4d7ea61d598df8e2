"""What `generate` takes and gives besides ids: embeddings, caches, records, settings, the caller's functions."""

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from roberta.dispatch.api import FACES
from roberta.dispatch.generating.settings import IDLE, INSTEAD, NEUTRAL, Asked, Settings
from roberta.reference.outputs import to_numpy

PROMPT = np.array([[0, 7, 8, 9], [0, 31, 5, 6]])
PADDED = np.array([[1, 0, 8, 9], [0, 31, 5, 6]])
ENDLESS: dict[str, Any] = {"eos_token_id": (), "max_new_tokens": 5}
RECORD: dict[str, Any] = {"return_dict_in_generate": True}
KINDS: dict[str, dict[str, Any]] = {
    "absolute": {},
    "relative_key": {"position_embedding_type": "relative_key"},
    "cross": {"add_cross_attention": True},
}


@pytest.fixture
def make_decoder(make_config: Any, make_model: Any) -> Any:
    """A decoder with the same weights on any engine: make_decoder(backend, kind)."""

    def decoder(backend: str, kind: str = "absolute") -> Any:
        return make_model("causal_lm", make_config(is_decoder=True, **KINDS[kind]), backend)

    return decoder


def text(ids: Any) -> list[list[int]]:
    return to_numpy(ids).tolist()


def source(kind: str) -> dict[str, Any]:
    states = np.random.default_rng(5).standard_normal((2, 7, 21)).astype(np.float32)
    return {"encoder_hidden_states": states} if kind == "cross" else {}


# -- the prompt --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beams", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_embeddings_are_continued_as_their_ids_are(kind: str, beams: int, backend: str, make_decoder: Any) -> None:
    model = make_decoder(backend, kind)
    table = model.state_dict_numpy()["roberta.embeddings.word_embeddings.weight"]
    settings = {**ENDLESS, "num_beams": beams, **source(kind)}
    for ids in (PROMPT, PADDED):
        wanted = text(model.generate(ids, **settings))
        mask = (ids != 1).astype(int)
        got = text(model.generate(inputs_embeds=table[ids], attention_mask=mask, **settings))
        assert got == [row[4:] for row in wanted]
        assert text(model.generate(ids, mask, inputs_embeds=table[ids], **settings)) == wanted


def test_without_a_prompt_it_begins_at_the_beginning(make_decoder: Any) -> None:
    model = make_decoder("numpy")
    assert text(model.generate(**ENDLESS)) == text(model.generate([[0]], **ENDLESS))
    assert text(model.generate(bos_token_id=5, **ENDLESS)) == text(model.generate([[5]], **ENDLESS))
    assert text(model.generate(inputs=PROMPT, **ENDLESS)) == text(model.generate(PROMPT, **ENDLESS))


def test_what_is_new_is_of_the_type_of_the_last_token(make_decoder: Any) -> None:
    model, ids = make_decoder("numpy"), PROMPT
    types = np.array([[0, 0, 3, 3], [1, 1, 1, 4]])
    for step in range(5):
        longer = np.pad(types, ((0, 0), (0, step)), mode="edge")
        logits = model(ids, token_type_ids=longer, use_cache=False).logits[:, -1]
        logits[:, 1] = -np.inf
        ids = np.concatenate([ids, logits.argmax(-1)[:, None]], 1)
    for use_cache in (True, False):
        assert text(model.generate(PROMPT, token_type_ids=types, use_cache=use_cache, **ENDLESS)) == ids.tolist()
    assert text(model.generate(PROMPT, **ENDLESS)) != ids.tolist()


# -- caches and records ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_goes_on_from_the_cache_of_a_record(kind: str, backend: str, make_decoder: Any) -> None:
    model = make_decoder(backend, kind)
    at_once = text(model.generate(PADDED, **{**ENDLESS, "max_new_tokens": 7}, **source(kind)))
    first = model.generate(PADDED, **{**ENDLESS, "max_new_tokens": 4}, **RECORD, **source(kind))
    past = first.past_key_values
    if hasattr(past, "grown"):
        past = past.grown()  # its slots are all taken but one
    mask = np.pad((PADDED != 1).astype(int), ((0, 0), (0, 4)), constant_values=1)
    lengths: list[int] = []
    given: Any = {**ENDLESS, "max_new_tokens": 3, "past_key_values": past}
    keep = {"logits_processor": lambda ids, scores: lengths.append(ids.shape[1]) or scores}
    assert text(model.generate(first.sequences, mask, **given, **keep)) == at_once
    assert lengths == [8, 9, 10]
    as_tuples = tuple(tuple(layer) for layer in past)
    if kind == "absolute":
        assert text(model.generate(first.sequences, mask, **{**given, "past_key_values": as_tuples})) == at_once
        wide = model.generate(first.sequences, mask, num_beams=3, **given)
        assert text(wide) == text(
            model.generate(first.sequences, mask, num_beams=3, **{**given, "past_key_values": None})
        )


def test_a_cache_spares_the_passes_over_what_it_holds(make_decoder: Any, monkeypatch: Any) -> None:
    model = make_decoder("numpy")
    past = model(PROMPT[:, :3]).past_key_values
    lengths: list[int] = []
    real = model._call

    def counted(args: Any, kwargs: Any, *rest: Any) -> Any:
        lengths.append(kwargs["input_ids"].shape[1])
        return real(args, kwargs, *rest)

    monkeypatch.setattr(type(model), "_call", lambda self, *given: counted(*given))
    model.generate(PROMPT, past_key_values=past, max_new_tokens=3, eos_token_id=())
    assert lengths == [1, 1, 1]


def test_a_record_has_what_was_asked_for(backend: str, make_decoder: Any) -> None:
    model = make_decoder(backend)
    asked = {f"output_{name}": True for name in ("scores", "logits", "attentions", "hidden_states")}
    record = model.generate(PROMPT, **ENDLESS, **RECORD, **asked, repetition_penalty=1.5)
    assert list(record) == ["sequences", "scores", "logits", "attentions", "hidden_states", "past_key_values"]
    assert record[0] is record.sequences is record["sequences"]
    assert [len(record[name]) for name in ("scores", "logits", "attentions", "hidden_states")] == [5] * 4
    native = type(model.engine.to_native(np.zeros(1), model))
    assert all(isinstance(each, native) for name in ("scores", "logits") for each in record[name])
    for step in range(5):
        spoken = to_numpy(record.scores[step]).argmax(-1)
        assert spoken.tolist() == [row[4 + step] for row in text(record.sequences)]
    plain = model(PROMPT, use_cache=False, output_hidden_states=True)
    first = to_numpy(record.logits[0])
    np.testing.assert_allclose(first, to_numpy(plain.logits)[:, -1], rtol=0, atol=1e-4)  # another shape of pass
    assert len(record.hidden_states[0]) == len(plain.hidden_states)
    bare = model.generate(PROMPT, **ENDLESS, **RECORD, use_cache=False, num_beams=2)
    assert list(bare) == ["sequences", "beam_indices"]


# -- several texts of one row ------------------------------------------------------------------------------------------


def test_each_text_of_a_row_has_a_stream_of_its_own(make_decoder: Any) -> None:
    model = make_decoder("numpy")
    drawn = {**ENDLESS, "do_sample": True, "seed": 5}
    three = text(model.generate(PROMPT, num_return_sequences=3, **drawn))
    assert [three[0], three[3]] == text(model.generate(PROMPT, **drawn))
    assert three[0] != three[1] != three[2]
    assert three[:3] == text(model.generate(PROMPT[:1], num_return_sequences=3, **drawn))


# -- settings ----------------------------------------------------------------------------------------------------------


def test_what_an_editor_shows_are_the_settings() -> None:
    assert list(Asked.__annotations__) == [field.name for field in fields(Settings)]
    assert not set(NEUTRAL) & set(Asked.__annotations__)
    assert not IDLE & (set(NEUTRAL) | set(Asked.__annotations__))
    assert set(INSTEAD) <= {*NEUTRAL, "generation_config"}
    described = str(Settings.__doc__)
    assert [name for name in Asked.__annotations__ if f"\n        {name}: " not in described] == []


def test_a_model_has_settings_that_can_be_changed(backend: str, make_decoder: Any) -> None:
    model = make_decoder(backend)
    plain = text(model.generate(PROMPT, **ENDLESS))
    assert model.generation_config == Settings()
    mine = Settings()
    mine.update(max_new_tokens=5, eos_token_id=(), num_beams=1)
    model.generation_config = mine
    assert text(model.generate(PROMPT)) == plain
    with pytest.raises(TypeError, match="unknown setting nonsense=3"):
        mine.update(nonsense=3)


def test_which_models_write(make_config: Any, make_model: Any) -> None:
    for head in FACES:
        assert make_model(head, make_config(is_decoder=True), "numpy").can_generate() == (head == "causal_lm")


def test_the_length_is_counted_with_the_prompt_or_without(make_decoder: Any) -> None:
    model = make_decoder("numpy")
    wanted = text(model.generate(PROMPT, **ENDLESS))
    assert text(model.generate(PROMPT, max_length=9, eos_token_id=())) == wanted
    assert text(model.generate(PROMPT, max_length=17, **ENDLESS)) == wanted, "max_new_tokens wins"
    with pytest.raises(
        ValueError, match=r"max_length: expected more than the 4 columns .*, got 4; type max_new_tokens"
    ):
        model.generate(PROMPT, max_length=4)


def test_no_time_and_certain_words_end_a_text(make_decoder: Any) -> None:
    class Words:
        def decode(self, ids: list[int]) -> str:
            return "".join(f"<{token}>" for token in ids)

    model = make_decoder("numpy")
    wanted = text(model.generate(PROMPT[:1], **ENDLESS))[0]
    stop = f"<{wanted[5]}><{wanted[6]}>"
    got = text(model.generate(PROMPT[:1], stop_strings=[stop, "no"], tokenizer=Words(), **ENDLESS))[0]
    assert got == wanted[:7]
    assert text(model.generate(PROMPT[:1], max_time=1e-9, **ENDLESS))[0] == wanted[:5]


# -- functions of the caller's -----------------------------------------------------------------------------------------


def test_functions_are_given_arrays_of_the_engine(backend: str, make_decoder: Any) -> None:
    model = make_decoder(backend)
    native = type(model.engine.to_native(PROMPT, model))
    seen: list[Any] = []

    def shift(ids: Any, scores: Any) -> Any:
        seen.extend([ids, scores])
        return scores * -1

    def stop(ids: Any, scores: Any) -> Any:
        seen.extend([ids, *(scores or ())])
        return ids[:, -1] > -1 if ids.shape[1] == 6 else False

    def allowed(row: int, ids: Any) -> list[int]:
        seen.append(ids)
        return [20 + row, 30 + row]

    got = text(model.generate(PROMPT, logits_processor=shift, stopping_criteria=stop, **ENDLESS))
    assert np.shape(got) == (2, 6)
    model.generate(PROMPT, stopping_criteria=[stop], **ENDLESS, **RECORD, output_scores=True)
    only = text(model.generate(PROMPT, prefix_allowed_tokens_fn=allowed, **ENDLESS, num_beams=2))
    assert {token for row in only[:1] for token in row[4:]} <= {20, 30}
    assert {token for row in only[1:] for token in row[4:]} <= {21, 31}
    assert {type(each) for each in seen} == {native}
    worst = model(PROMPT, use_cache=False).logits[:, -1]
    assert [row[4] for row in got] == np.where(np.arange(53) == 1, np.inf, to_numpy(worst)).argmin(-1).tolist()


def test_a_streamer_hears_the_prompt_each_token_and_the_end(backend: str, make_decoder: Any) -> None:
    class Listener:
        heard: list[Any] = []  # noqa: RUF012  # of one test

        def put(self, ids: Any) -> None:
            self.heard.append(ids.tolist())

        def end(self) -> None:
            self.heard.append("end")

    model, listener = make_decoder(backend), Listener()
    listener.heard = []
    got = text(model.generate(PROMPT, streamer=listener, **ENDLESS))
    assert listener.heard == [PROMPT.tolist(), *([row[t] for row in got] for t in range(4, 9)), "end"]


REFUSED: dict[str, tuple[type[Exception], dict[str, Any], str]] = {
    "assisted": (TypeError, {"assistant_model": "m"}, "assistant_model='m'.*no assisted decoding: leave it out"),
    "look-up": (TypeError, {"prompt_lookup_num_tokens": 3}, "prompt_lookup_num_tokens=3.*no assisted decoding"),
    "groups": (TypeError, {"num_beam_groups": 2}, "ask for num_beams alone; only num_beam_groups=1 is possible"),
    "guided": (TypeError, {"guidance_scale": 2.0}, "guidance_scale=2.0.*give logits_processor="),
    "own loop": (TypeError, {"custom_generate": "some/where"}, "custom_generate"),
    "positions": (TypeError, {"position_ids": [[0]]}, "position_ids.*leave it out"),
    "two ids": (TypeError, {"inputs": PROMPT}, "inputs: another name of input_ids, and both are given"),
    "no config": (TypeError, {"generation_config": 5}, "generation_config: expected settings.*got 5"),
    "no function": (TypeError, {"logits_processor": [5]}, "logits_processor: expected a function.*got int: 5"),
    "no stream": (TypeError, {"streamer": 5}, r"streamer: expected an object with put\(ids\) and end\(\), got 5"),
    "stream of beams": (ValueError, {"streamer": None, "num_beams": 2}, "streamer: expected num_beams=1 beside it"),
    "many of greedy": (ValueError, {"num_return_sequences": 2}, "num_return_sequences: expected 1.*num_beams"),
    "more than beams": (ValueError, {"num_beams": 2, "num_return_sequences": 3}, "at most num_beams = 2, got 3"),
    "no beams": (ValueError, {"num_beams": 0}, "num_beams: expected an integer of at least 1, got 0"),
    "early": (ValueError, {"num_beams": 2, "early_stopping": "soon"}, "early_stopping: .*True, False.*got 'soon'"),
    "penalty": (ValueError, {"repetition_penalty": 0.0}, "repetition_penalty: expected a number above 0"),
    "flag": (ValueError, {"do_sample": 1}, "do_sample: expected True or False, got 1"),
    "words": (ValueError, {"bad_words_ids": ["no"]}, "bad_words_ids: expected sequences of ids.*add_special_tokens"),
    "word of nothing": (ValueError, {"bad_words_ids": [[]]}, "bad_words_ids: .*at least one id"),
    "word outside": (ValueError, {"bad_words_ids": [[99]]}, r"bad_words_ids: expected ids in \[0, 53\), got 99"),
    "bias": (ValueError, {"sequence_bias": [5]}, "sequence_bias: expected"),
    "decay": (ValueError, {"exponential_decay_length_penalty": 2}, "exponential_decay_length_penalty: expected"),
    "all banned": (
        ValueError,
        {"suppress_tokens": range(53)},
        "scores: expected a token that may come in row 0, got None; ask for fewer bans",
    ),
    "all banned in beams": (ValueError, {"suppress_tokens": range(53), "num_beams": 2}, "may come in row 0"),
    "bad scores": (ValueError, {"logits_processor": lambda ids, scores: scores[:, 1:]}, "expected scores"),
    "strings": (ValueError, {"stop_strings": "a"}, "stop_strings: expected tokenizer= beside them"),
    "types": (ValueError, {"token_type_ids": [[0]]}, "token_type_ids: expected"),
    "min_p": (ValueError, {"do_sample": True, "min_p": 2}, r"min_p: expected a share .* in \[0, 1\], or None, got 2"),
}


@pytest.mark.parametrize(("kind", "changes", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(kind: type[Exception], changes: dict[str, Any], said: str, make_decoder: Any) -> None:
    class Listener:
        put = end = print

    changes = {name: Listener() if name == "streamer" and value is None else value for name, value in changes.items()}
    with pytest.raises(kind, match=said):
        make_decoder("numpy").generate(PROMPT, **{**ENDLESS, **changes})


def test_a_cache_that_does_not_fit_is_refused(make_decoder: Any) -> None:
    model = make_decoder("numpy")
    past = model(PROMPT).past_key_values
    with pytest.raises(ValueError, match="input_ids: expected the whole text, the 4 cached tokens and"):
        model.generate(PROMPT, past_key_values=past)
    with pytest.raises(ValueError, match="past_key_values: expected as many rows as input_ids, 1, got 2"):
        model.generate([[0, 5, 6, 7, 8]], past_key_values=past)
    with pytest.raises(ValueError, match="past_key_values: expected input_ids beside it"):
        model.generate(inputs_embeds=np.zeros((2, 5, 21)), past_key_values=past)
    with pytest.raises(TypeError, match="past_key_values: expected the past_key_values of an earlier output"):
        model.generate(PROMPT, past_key_values=())
