"""Writing on: positions, padding, cache, ends, the draw, and what is refused."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import numpy as np
import pytest
import roberta
from roberta.dispatch.api import FACES
from roberta.dispatch.generating import loop
from roberta.dispatch.generating.sampling import cooled, drawn, narrowings, within_top_k, within_top_p
from roberta.dispatch.generating.settings import NEUTRAL, Settings
from roberta.reference.layers import softmax
from scipy import stats

POSITIONS = pytest.mark.parametrize("position", ["absolute", "relative_key", "relative_key_query"])
KINDS: dict[str, dict[str, Any]] = {
    "absolute": {},
    "relative_key": {"position_embedding_type": "relative_key"},
    "relative_key_query": {"position_embedding_type": "relative_key_query"},
    "cross": {"add_cross_attention": True},
}
PROMPT = np.array([[0, 7, 8, 9], [0, 31, 5, 6]])
ENDLESS: dict[str, Any] = {"eos_token_id": (), "max_new_tokens": 9}


@pytest.fixture
def make_decoder(make_config: Any, make_model: Any) -> Any:
    """A decoder with the same weights on any engine: make_decoder(backend, kind)."""

    def decoder(backend: str, kind: str = "absolute") -> Any:
        return make_model("causal_lm", make_config(is_decoder=True, **KINDS[kind]), backend)

    return decoder


def source(kind: str, rows: int = 2) -> dict[str, Any]:
    """Encoder states and their mask where the kind has cross-attention."""
    if kind != "cross":
        return {}
    states = np.random.default_rng(5).standard_normal((rows, 7, 21)).astype(np.float32)
    return {"encoder_hidden_states": states, "encoder_attention_mask": np.array([[1, 1, 1, 1, 1, 0, 0]] * rows)}


def text(ids: Any) -> list[list[int]]:
    return np.asarray(ids).tolist()


# -- the same text -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_text_is_what_the_forward_pass_of_the_spec_prefers(kind: str, backend: str, make_decoder: Any) -> None:
    model, spec = make_decoder(backend, kind), make_decoder("numpy", kind).to_backend("numpy", dtype="float64")
    ids = PROMPT
    for _ in range(9):
        logits = spec(ids, use_cache=False, **source(kind)).logits[:, -1]  # B V
        logits[:, spec.config.pad_token_id] = -np.inf
        first, second = np.sort(logits, -1)[:, [-1, -2]].T
        assert (first - second > 1e-3).all(), "a near-tie: no text is the right one; draw other weights"
        ids = np.concatenate([ids, logits.argmax(-1)[:, None]], 1)
    got = model.generate(PROMPT, **ENDLESS, **source(kind))
    assert text(got) == text(ids)
    assert type(got) is type(model.engine.to_native(PROMPT, model))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("do_sample", [False, True])
def test_with_and_without_cache_the_text_is_the_same(
    kind: str, do_sample: bool, backend: str, make_decoder: Any
) -> None:
    model = make_decoder(backend, kind)
    # Few tokens: without the cache each length is a shape of its own, for which some engines compile anew.
    settings = {**ENDLESS, **source(kind), "max_new_tokens": 4, "do_sample": do_sample, "seed": 3}
    assert text(model.generate(PROMPT, **settings)) == text(model.generate(PROMPT, use_cache=False, **settings))


def test_the_cache_is_used_only_where_it_is_wanted(backend: str, make_decoder: Any, monkeypatch: Any) -> None:
    model = make_decoder(backend)
    lengths: list[int] = []
    real = model._call

    def counted(args: Any, kwargs: Any, *rest: Any) -> Any:
        lengths.append(kwargs["input_ids"].shape[1])
        return real(args, kwargs, *rest)

    monkeypatch.setattr(type(model), "_call", lambda self, *given: counted(*given))
    model.generate(PROMPT, max_new_tokens=3, eos_token_id=())
    model.generate(PROMPT, max_new_tokens=3, eos_token_id=(), use_cache=False)
    assert lengths == [4, 1, 1, 4, 5, 6]


@POSITIONS
@pytest.mark.parametrize("do_sample", [False, True])
def test_a_row_is_continued_alike_alone_and_padded_on_the_left(
    position: str, do_sample: bool, backend: str, make_decoder: Any
) -> None:
    model = make_decoder(backend, position)
    settings = {"eos_token_id": (), "max_new_tokens": 5, "do_sample": do_sample}
    # The row stands second: each row has its own numbers for the draw.
    batches = [
        np.array([[0, 7, 8, 9], [1, 1, 0, 31]]),
        np.array([[9, 9], [0, 31]]),
        np.array([[1, 1, 1, 9, 9], [1, 1, 1, 0, 31]]),
    ]
    texts = [text(model.generate(ids, **settings))[1][ids.shape[1] :] for ids in batches]
    assert texts[0] == texts[1] == texts[2]


def test_a_given_mask_hides_tokens_of_the_prompt(backend: str, make_decoder: Any) -> None:
    model = make_decoder(backend)
    mask = [[1, 0, 1, 1], [1, 0, 1, 1]]
    hidden = text(model.generate(PROMPT.tolist(), attention_mask=mask, **ENDLESS))
    logits = model(PROMPT, attention_mask=mask, use_cache=False).numpy()["logits"][:, -1]
    assert [row[4] for row in hidden] == logits.argmax(-1).tolist()
    assert hidden != text(model.generate(PROMPT, **ENDLESS))


# -- the end -----------------------------------------------------------------------------------------------------------


def test_rows_that_have_ended_get_padding_and_the_last_end_stops(backend: str, make_decoder: Any) -> None:
    model = make_decoder(backend)
    drawn = {"max_new_tokens": 9, "do_sample": True, "seed": 1}
    endless = np.asarray(model.generate(PROMPT, eos_token_id=(), **drawn))[:, 4:]
    ends = {int(endless[0, 0]), int(endless[1, 5])}
    lengths = [1 + next(place for place, token in enumerate(row) if int(token) in ends) for row in endless]
    assert lengths[0] < lengths[1] < 9, "take other weights: the rows are to end one after the other"
    stop = sorted(ends)
    got = np.asarray(model.generate(PROMPT, eos_token_id=stop, **drawn))[:, 4:]
    assert got.shape[1] == max(lengths)
    for row, whole, length in zip(got, endless, lengths, strict=True):
        assert row[:length].tolist() == whole[:length].tolist()
        assert (row[length:] == 1).all()
    other = np.asarray(model.generate(PROMPT, eos_token_id=stop, pad_token_id=17, **drawn))[:, 4:]
    assert (other[got == 1] == 17).all()
    assert (other[got != 1] == got[got != 1]).all()


def test_the_configs_end_counts_where_none_is_named(backend: str, make_config: Any, make_model: Any) -> None:
    plain = make_model("causal_lm", make_config(is_decoder=True), backend)
    first = int(np.asarray(plain.generate(PROMPT[:1], **ENDLESS))[0, 4])
    model = make_model("causal_lm", make_config(is_decoder=True, eos_token_id=first), backend)
    assert text(model.generate(PROMPT[:1], max_new_tokens=9)) == [[*PROMPT[0].tolist(), first]]
    endless = make_model("causal_lm", make_config(is_decoder=True, eos_token_id=None), backend)
    assert np.asarray(endless.generate(PROMPT[:1], max_new_tokens=9)).shape == (1, 13)


def test_padding_is_never_written(make_decoder: Any) -> None:
    model = make_decoder("numpy")
    bias = np.zeros(53, np.float32)
    bias[1] = 1e4
    model.load_state_dict_numpy({"lm_head.bias": bias}, strict=False)
    for settings in ({}, {"do_sample": True}):
        assert (np.asarray(model.generate(PROMPT, **ENDLESS, **settings))[:, 4:] != 1).all()


def test_an_empty_batch_stays_empty(make_decoder: Any) -> None:
    assert make_decoder("numpy").generate(np.zeros((0, 3), int)).shape == (0, 3)


@pytest.mark.parametrize("is_training", [False, True])
def test_dropout_is_off_and_the_mode_stays(is_training: bool, backend: str, make_decoder: Any) -> None:
    model = make_decoder(backend)
    wanted = text(model.generate(PROMPT, **ENDLESS))
    model.train(is_training)
    assert text(model.generate(PROMPT, **ENDLESS)) == wanted
    assert model.training is is_training


def test_who_leaves_first_switches_nothing_on_for_who_stays(backend: str, make_config: Any, make_model: Any) -> None:
    config = make_config(is_decoder=True, num_hidden_layers=1, hidden_dropout_prob=0.5)
    model = make_model("causal_lm", config, backend)
    wanted = text(model.generate(PROMPT, **ENDLESS))
    model.train()
    entered, left = Event(), Event()

    def stay() -> tuple[Any, bool]:
        with model.inference():
            entered.set()
            left.wait(60)
            return text(model.generate(PROMPT, **ENDLESS)), model.training

    with ThreadPoolExecutor(1) as pool:
        with model.inference():
            longer = pool.submit(stay)
            entered.wait(60)
        left.set()
        assert longer.result() == (wanted, False)
    assert model.training


@pytest.mark.parametrize("is_training", [False, True])
def test_threads_that_come_and_go_all_compute_without_dropout(
    is_training: bool, backend: str, make_config: Any, make_model: Any
) -> None:
    config = make_config(is_decoder=True, num_hidden_layers=1, hidden_dropout_prob=0.5)
    model = make_model("causal_lm", config, backend)
    wanted = text(model.generate(PROMPT, max_new_tokens=2, eos_token_id=()))
    model.train(is_training)
    with ThreadPoolExecutor(4) as pool:
        tasks = [pool.submit(model.generate, PROMPT, max_new_tokens=2, eos_token_id=()) for _ in range(24)]
        assert [text(task.result()) for task in tasks] == [wanted] * 24
    assert model.training is is_training


def test_blocks_within_blocks_and_errors_leave_the_mode(backend: str, config: Any, make_model: Any) -> None:
    model = make_model("model", config, backend).train()
    with model.inference(), model.inference() as inner:
        assert inner is model
        assert not model.training
    assert model.training
    with pytest.raises(ZeroDivisionError), model.inference():
        _ = 1 / 0
    assert model.training


@pytest.mark.torch
def test_no_gradients_are_recorded(make_decoder: Any, monkeypatch: Any) -> None:
    import torch

    model = make_decoder("torch")
    seen: list[bool] = []
    real = type(model).run

    def noted(self: Any, *given: Any) -> Any:
        seen.append(torch.is_grad_enabled())
        return real(self, *given)

    monkeypatch.setattr(type(model), "run", noted)
    model.generate(PROMPT, max_new_tokens=2)
    assert seen == [False, False]


# -- the draw ----------------------------------------------------------------------------------------------------------


def test_sampled_text_is_the_same_on_every_engine_and_depends_on_the_seed(backend: str, make_decoder: Any) -> None:
    settings = {**ENDLESS, "do_sample": True, "temperature": 0.8, "top_k": 20, "top_p": 0.9}
    model, spec = make_decoder(backend), make_decoder("numpy")
    texts = [text(model.generate(PROMPT, seed=seed, **settings)) for seed in range(3)]
    assert texts == [text(spec.generate(PROMPT, seed=seed, **settings)) for seed in range(3)]
    assert texts[0] != texts[1] != texts[2]


def test_a_row_is_drawn_alike_whatever_else_is_in_the_batch(backend: str, make_decoder: Any) -> None:
    model = make_decoder(backend)
    settings = {**ENDLESS, "do_sample": True, "seed": 5}
    whole = text(model.generate(np.concatenate([PROMPT, PROMPT[:1]]), **settings))
    for count in (1, 2):
        assert text(model.generate(PROMPT[:count], **settings)) == whole[:count]
    assert whole[0] != whole[2], "each place in the batch has a stream of its own"
    longer = text(model.generate(PROMPT, **{**settings, "max_new_tokens": 12}))
    assert [row[:13] for row in longer] == whole[:2]


def test_rows_draw_from_the_streams_that_the_docstring_names(make_decoder: Any, monkeypatch: Any) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(loop, "drawn", lambda scores, draws: seen.append(draws) or scores.argmax(-1))
    make_decoder("numpy").generate(PROMPT, **ENDLESS, do_sample=True, seed=5)
    wanted = [np.random.default_rng([5, row]).random(9) for row in range(2)]
    assert np.array_equal(np.transpose(seen), wanted)


def test_without_a_seed_each_call_draws_anew(make_decoder: Any) -> None:
    model = make_decoder("numpy")
    assert len({str(text(model.generate(PROMPT, **ENDLESS, do_sample=True, seed=None))) for _ in range(4)}) > 1


def test_the_draw_has_the_probabilities_of_the_logits() -> None:
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((1, 6))
    for asked in ({}, {"temperature": 2.0}, {"top_k": 3}, {"top_p": 0.6}):
        settings = Settings(do_sample=True, **asked)
        expected = softmax(within_top_p(within_top_k(logits / settings.temperature, settings.top_k), settings.top_p))[0]
        scores = np.repeat(logits, 20_000, 0)
        for narrow in narrowings(settings, least=1):
            scores = narrow(scores)
        counts = np.bincount(drawn(scores, rng.random(20_000)), minlength=6)
        assert (counts[expected == 0] == 0).all()
        assert stats.chisquare(counts[expected > 0], 20_000 * expected[expected > 0]).pvalue > 1e-6


def test_the_edges_of_the_draw() -> None:
    logits = np.array([[-np.inf, 0.0, -np.inf, 0.0]])
    ends = [0.0, np.nextafter(0.5, 0), 0.5, np.nextafter(1.0, 0)]
    assert [int(drawn(logits, np.array([u]))[0]) for u in ends] == [1, 1, 3, 3]


def test_top_p_keeps_the_fewest_that_reach_it_and_always_one() -> None:
    logits = np.log(np.array([[0.4, 0.1, 0.3, 0.2]]))
    kept = {p: np.flatnonzero(np.isfinite(within_top_p(logits, p)[0])).tolist() for p in (0.01, 0.41, 0.71, 1.0)}
    assert kept == {0.01: [0], 0.41: [0, 2], 0.71: [0, 2, 3], 1.0: [0, 1, 2, 3]}
    even = within_top_p(np.zeros((1, 4)), 0.5)  # four quarters: two reach a half, and a third would be one too many
    assert np.flatnonzero(np.isfinite(even[0])).tolist() == [0, 1]
    assert np.flatnonzero(np.isfinite(within_top_k(logits, 2)[0])).tolist() == [0, 2]
    assert within_top_k(logits, 99) is logits


# -- what is refused ---------------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "right padding": ({"input_ids": [[5, 6], [7, 1]]}, ["end in a token", "row 1", "pad on the left"]),
    "right mask": ({"attention_mask": [[1, 1, 1, 1], [1, 1, 1, 0]]}, ["end in a token", "row 1", "left"]),
    "mask of another shape": ({"attention_mask": [[1, 1, 1]]}, ["attention_mask", "(B, T) = (2, 4)", "(1, 3)"]),
    "nothing": ({"input_ids": np.zeros((2, 0), int)}, ["at least one token", "(2, 0)", "[[0]]"]),
    "no batch": ({"input_ids": [5, 6]}, ["(B, T)", "(2,)"]),
    "too long": ({"max_new_tokens": 18}, ["at most 21 tokens in all", "prompt has 4", "got 18", "at most 17"]),
    "none": ({"max_new_tokens": 0}, ["max_new_tokens", "at least 1", "got 0"]),
    "temperature": ({"do_sample": True, "temperature": 0.0}, ["temperature", "above 0", "leave out do_sample"]),
    "top_k": ({"do_sample": True, "top_k": -1}, ["top_k", "at least 1"]),
    "top_p": ({"do_sample": True, "top_p": 1.5}, ["top_p", "(0, 1]", "got 1.5"]),
    "top_p of nothing": ({"do_sample": True, "top_p": 0.0}, ["top_p", "(0, 1]"]),
    "an end outside": ({"eos_token_id": 53}, ["eos_token_id", "[0, 53)", "got 53"]),
    "an id outside": ({"input_ids": [[53]]}, ["input_ids", "53"]),
    "rows of several lengths": ({"input_ids": [[5, 6], [7]]}, ["input_ids", "one length", "padding=True"]),
    "a mask of weights": ({"attention_mask": [[2, 1, 1, 1], [1, 1, 1, 1]]}, ["attention_mask", "ones", "2 at [0, 0]"]),
    "half a token": ({"max_new_tokens": 2.5}, ["max_new_tokens", "an integer", "got 2.5"]),
    "a number of tokens in words": ({"max_new_tokens": "3"}, ["max_new_tokens", "an integer", "got '3'"]),
    "temperature in words": ({"do_sample": True, "temperature": "hot"}, ["temperature", "a number", "got 'hot'"]),
    "half of a top_k": ({"do_sample": True, "top_k": 2.5}, ["top_k", "an integer", "got 2.5"]),
    "top_p in words": ({"do_sample": True, "top_p": "all"}, ["top_p", "got 'all'"]),
    "a seed below 0": ({"seed": -1}, ["seed", "an integer of at least 0", "got -1"]),
    "an end in words": ({"eos_token_id": "</s>"}, ["eos_token_id", "[0, 53)", "'</s>'", "tokenizer.eos_token_id"]),
    "padding outside": ({"pad_token_id": 53}, ["pad_token_id", "[0, 53)", "got 53"]),
    "padding below 0": ({"pad_token_id": -1}, ["pad_token_id", "[0, 53)", "got -1"]),
}


@pytest.mark.parametrize(("changes", "parts"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_continued_is_refused_with_the_way_out(
    changes: dict[str, Any], parts: list[str], make_decoder: Any
) -> None:
    with pytest.raises(ValueError, match=r"generate|input_ids") as raised:
        make_decoder("numpy").generate(**{"input_ids": PROMPT, "max_new_tokens": 9, **changes})
    assert [part for part in parts if part not in str(raised.value)] == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"num_beam_groups": 4},
            "unknown setting num_beam_groups=4; there are input_ids, .*seed.*; .*only num_beam_groups=1 is possible",
        ),
        ({"topk": 3}, "topk=3; .*did you mean 'top_k'?"),
        ({"zzz": None}, "zzz=None; .*leave it out"),
        ({"input_ids": "Emma"}, r"input_ids: .*tokenizer\(text, return_tensors="),
        ({"input_ids": {"input_ids": PROMPT}}, r"input_ids: .*m\(\*\*inputs\)"),
    ],
)
def test_settings_that_are_not_there_and_texts_are_refused(
    changes: dict[str, Any], said: str, make_decoder: Any
) -> None:
    with pytest.raises(TypeError, match=said):
        make_decoder("numpy").generate(**{"input_ids": PROMPT, "max_new_tokens": 9, **changes})


def test_settings_that_ask_for_nothing_are_taken(make_decoder: Any) -> None:
    model = make_decoder("numpy")
    for neutral in ({name: (*values, None)[0] for name, values in NEUTRAL.items()}, dict.fromkeys(NEUTRAL)):
        assert text(model.generate(PROMPT, **ENDLESS, **neutral)) == text(model.generate(PROMPT, **ENDLESS))


def test_inside_what_is_compiled_it_says_where_to_call_it(make_decoder: Any, monkeypatch: Any) -> None:
    model = make_decoder("numpy")
    monkeypatch.setattr(model.engine, "is_tracing", lambda: True)
    with pytest.raises(RuntimeError, match=r"call it outside of jit, grad and tf\.function"):
        model.generate(PROMPT)


@pytest.mark.parametrize("form", [set, tuple, np.array, lambda ends: np.int32(ends[0]), lambda ends: np.array(ends[0])])
def test_ends_come_in_any_form(form: Any, make_decoder: Any) -> None:
    model = make_decoder("numpy")
    drawn = {"do_sample": True, "max_new_tokens": 9}
    endless = text(model.generate([[0, 5]], eos_token_id=(), **drawn))[0]
    got = text(model.generate([[0, 5]], eos_token_id=form([endless[6], endless[8]]), **drawn))[0]
    assert got == endless[: 1 + endless.index(endless[6])]


def test_room_for_all_tokens_is_taken_once_by_an_engine_that_has_such(
    backend: str, make_decoder: Any, monkeypatch: Any
) -> None:
    model = make_decoder(backend)
    rooms: list[Any] = []
    real = model._call

    def counted(args: Any, kwargs: Any, *rest: Any) -> Any:
        past = kwargs["past_key_values"]
        rooms.append(None if past is None else past.layers[0][0].shape[2])
        return real(args, kwargs, *rest)

    monkeypatch.setattr(type(model), "_call", lambda self, *given: counted(*given))
    model.generate(PROMPT, max_new_tokens=3, eos_token_id=())
    assert rooms == ([7, 7, 7] if hasattr(model, "init_cache") else [None, 4, 5])


def test_the_coldest_draw_takes_the_most_probable_token() -> None:
    logits = np.array([[3.0, 5.0, -np.inf, 4.0]])
    assert [int(drawn(cooled(logits, t), np.array([0.9]))[0]) for t in (5e-324, 1e-300)] == [1, 1]
    assert cooled(-logits[:, :2], 5e-324).argmax() == 0, "also where all quotients are below all numbers"


def test_an_encoder_says_how_to_get_a_decoder(config: Any, make_model: Any) -> None:
    with pytest.raises(ValueError, match=r"expected a decoder.*is_decoder=True"):
        make_model("causal_lm", config, "numpy").generate(PROMPT)


def test_other_heads_write_nothing(backend: str, make_config: Any, make_model: Any) -> None:
    for head in FACES:
        model = make_model(head, make_config(is_decoder=True), backend)
        assert hasattr(model, "generate") == (head == "causal_lm")


def test_settings_of_the_draw_without_a_draw_are_told(make_decoder: Any) -> None:
    with pytest.warns(UserWarning, match="temperature, top_k: no effect without do_sample=True") as caught:
        make_decoder("numpy").generate(PROMPT, max_new_tokens=9, temperature=2.0, top_k=3)
    assert caught[0].filename == __file__


def test_weights_that_are_not_finite_are_found(make_decoder: Any) -> None:
    model = make_decoder("numpy")
    model.load_state_dict_numpy({"lm_head.bias": np.full(53, np.nan, np.float32)}, strict=False)
    with pytest.raises(ValueError, match="logits: expected finite numbers"):
        model.generate(PROMPT, **ENDLESS)


@pytest.mark.hf
@pytest.mark.parametrize("do_sample", [False])
def test_text_is_that_of_transformers_where_it_is_given_the_right_positions(
    do_sample: bool, make_decoder: Any, tmp_path: Any
) -> None:
    """Its own loop starts at position 0; its forward pass, fed the whole row at each step, counts as RoBERTa does."""
    import torch
    import transformers

    model = make_decoder("torch")
    model.save_pretrained(tmp_path)
    theirs = transformers.RobertaForCausalLM.from_pretrained(tmp_path).eval()
    ids = torch.from_numpy(PROMPT)
    with torch.no_grad():
        for _ in range(9):
            logits = theirs(ids, use_cache=False).logits[:, -1]
            logits[:, 1] = -torch.inf
            ids = torch.cat([ids, logits.argmax(-1, keepdim=True)], 1)
    assert text(model.generate(PROMPT, **ENDLESS)) == ids.tolist()
    assert isinstance(model, roberta.RobertaForCausalLM)
