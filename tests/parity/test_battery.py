"""The battery: valid questions, the same for the same seed, each of which catches what it says."""

import warnings
from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from roberta.dispatch.api import FACES
from roberta.files.places import locate
from roberta.parity.cases import Case, draw_state, small_config
from roberta.parity.compare import compare_array
from roberta.parity.mistakes.mutants import MUTANTS
from roberta.parity.mistakes.wrong_engines import answers as asked_of
from roberta.parity.probes import texts
from roberta.parity.probes.battery import battery
from roberta.parity.probes.probe import Call, chains
from roberta.parity.probes.real_tokens import FIRST, judged
from roberta.parity.tolerances import budgets, flat_outputs
from roberta.reference import attention, embeddings, encoder, heads, layers
from roberta.reference.parameters import HEADS, parameter_table

CONFIGS = {
    "encoder": {},
    "relative": {"position_embedding_type": "relative_key"},
    "decoder": {"is_decoder": True},
    "cross-attention": {"is_decoder": True, "add_cross_attention": True},
    "one token type": {"type_vocab_size": 1},
    "two tokens": {"max_position_embeddings": 4},
    "one token": {"max_position_embeddings": 3, "is_decoder": True},
    "padding id 5": {"pad_token_id": 5},
    "padding id 0": {"pad_token_id": 0},
    "no layer": {"num_hidden_layers": 0},
    "one word": {"vocab_size": 2},
    "pruned": {"is_decoder": True, "add_cross_attention": True, "pruned_heads": {0: [1]}},
    "several labels": {"problem_type": "multi_label_classification"},
    "numbers": {"problem_type": "regression"},
}
every_config = pytest.mark.parametrize("fields", CONFIGS.values(), ids=CONFIGS)
every_head = pytest.mark.parametrize("head", HEADS)


def config_of(head, fields):
    return small_config(**({} if head == "question_answering" else {"num_labels": 3}), **fields)


def model_of(head, config, backend="numpy", **options):
    state = draw_state(parameter_table(head, config), 0)
    return FACES[head](config, backend=backend, state=state, **options).train(False)


def answers(model, probe):
    """The flat outputs of every call."""
    if probe.state is not None:
        model = model.to_backend(model.backend)
        model.load_state_dict_numpy(probe.state, strict=False)
    found = []
    for chain in chains(probe.calls):
        past = {}
        for inputs in chain:
            output = model(**inputs, **past)
            past = {"past_key_values": output.past_key_values} if len(chain) > 1 else {}
            found.append(flat_outputs(output))
    return found


def named(head, config, **options):
    return {probe.name: probe for probe in battery(head, config, **options)}


# -- valid, named, deterministic ---------------------------------------------------------------------------------------


@every_config
@every_head
def test_every_probe_is_a_valid_call_with_finite_answers(head, fields):
    model = model_of(head, config_of(head, fields))
    for probe in battery(head, model.config):
        with warnings.catch_warnings():
            if head in FIRST:  # which say of some that they mask what is read
                warnings.simplefilter("ignore", UserWarning)
            found = answers(model, probe)
        assert len(found) == len(probe.calls)
        assert all(np.isfinite(value).all() for outputs in found for value in outputs.values()), probe.name


@pytest.mark.slow
@pytest.mark.parametrize("head", ["causal_lm", "multiple_choice"])
def test_every_probe_is_a_valid_call_on_every_engine(head, backend):
    decoder = {"is_decoder": True, "add_cross_attention": True} if head == "causal_lm" else {}
    model = model_of(head, config_of(head, {**decoder, "num_hidden_layers": 1}), backend)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert all(len(answers(model, probe)) == len(probe.calls) for probe in battery(head, model.config))


@every_config
@every_head
def test_probes_have_distinct_names_and_mistakes_to_catch(head, fields):
    probes = battery(head, config_of(head, fields))
    names = [probe.name for probe in probes]
    assert len(set(names)) == len(names) > 25
    assert [probe.name for probe in probes if not (probe.catches and probe.calls)] == []


@every_head
def test_inputs_are_int64_and_float32(head):
    config = config_of(head, CONFIGS["cross-attention"])
    for probe in battery(head, config):
        for call in probe.calls:
            arrays = {name: value for name, value in call.inputs.items() if value is not True}
            kinds = {name: value.dtype for name, value in arrays.items()}
            assert set(map(str, kinds.values())) <= {"int64", "float32"}, (probe.name, kinds)


def same(one, other):
    pairs = [(call.inputs, twin.inputs) for call, twin in zip(one.calls, other.calls, strict=True)]
    pairs.append((one.state or {}, other.state or {}))
    return all(a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a) for a, b in pairs)


def test_a_seed_gives_the_same_probes_and_another_seed_others():
    config = small_config()
    first, again, other = (battery("masked_lm", config, seed=seed) for seed in (1, 1, 2))
    assert all(map(same, first, again))
    assert [probe.name for probe, twin in zip(first, other, strict=True) if same(probe, twin)] == []


def test_a_probe_does_not_change_with_the_probes_around_it():
    config = small_config()
    model, causal = named("model", config), named("causal_lm", config)
    assert all(same(model[name], causal[name]) for name in model if name in causal and model[name].state is None)


@pytest.mark.parametrize("head", ["masked_lm", "multiple_choice"])
def test_real_sentences_are_asked_where_there_is_a_vocabulary(head):
    folder = locate("austen")
    model = FACES["masked_lm"].from_pretrained(folder)
    text = named(head, model.config, folder=folder)["text"]
    expected = texts.encoded_sentences(folder, head, 37)
    assert all(np.array_equal(text.calls[0].inputs[name], value) for name, value in expected.items())
    assert named(head, model.config)["text"].remark == "drawn ids: there is no vocabulary"


def test_ids_are_drawn_beside_a_tokenizer_of_another_family(tmp_path):
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "BertweetTokenizer"}')
    assert texts.encoded_sentences(tmp_path, "masked_lm", 9) is None


# -- the allowance -----------------------------------------------------------------------------------------------------


@every_head
def test_an_allowance_bounds_the_tokens_and_the_probes_say_what_became_shorter(head):
    config = config_of(head, {"max_position_embeddings": 514})
    whole = named(head, config)
    assert whole["longest row"].calls[0].token_count == 512
    assert whole["longest row"].remark == whole["every position"].remark == ""
    everything = sum(probe.token_count for probe in whole.values())
    for tokens in (everything, everything - 1, everything // 2, everything // 4):
        probes = named(head, config, tokens=tokens)
        assert list(probes) == list(whole)
        assert sum(probe.token_count for probe in probes.values()) <= tokens
        longest = probes["longest row"].calls[0].token_count
        is_shorter = tokens < everything
        assert (longest < 512) == is_shorter
        assert (f"{longest} tokens" in probes["longest row"].remark) == is_shorter
        assert ("514 rows of the table" in probes["every position"].remark) == is_shorter


def test_too_small_an_allowance_and_an_unknown_head_are_named():
    with pytest.raises(ValueError, match=r"tokens: required at least \d+, .* got 7; give more, or None"):
        battery("model", small_config(), tokens=7)
    with pytest.raises(ValueError, match=r"head: required one of \['model'.*got 'masked'"):
        battery("masked", small_config())


def test_calls_are_grouped_by_cache():
    calls = (Call({"a": 1}), Call({"b": 2}, continues=True), Call({"c": 3}))
    assert chains(calls) == [[{"a": 1, "use_cache": True}, {"b": 2, "use_cache": True}], [{"c": 3}]]


# -- they catch what they say ------------------------------------------------------------------------------------------


def permitted(head, model, probe):
    """The budgets of each call of a probe, where its tokens are real; of calls that go on from no cache."""
    oracle = model.to_backend("numpy", dtype="float64")
    oracle.load_state_dict_numpy(probe.state or {}, strict=False)
    found = []
    for call in probe.calls:
        limits, _ = budgets(oracle, call.inputs, "float32")
        where = {name: judged(name, budget.truth.shape, call.inputs, head) for name, budget in limits.items()}
        found.append(
            {n: (b, np.broadcast_to(True if where[n] is None else where[n], b.truth.shape)) for n, b in limits.items()}
        )
    return found


def is_refused(outputs, limits):
    """Whether some judged element of some call exceeds its budget, or an output has not its shape."""
    return any(
        found[name].shape != budget.truth.shape
        or not compare_array(name, np.where(is_judged, found[name], budget.truth), budget).passed
        for found, call in zip(outputs, limits, strict=True)
        for name, (budget, is_judged) in call.items()
    )


MISTAKES = {mutant.name: mutant for mutant in MUTANTS}


@pytest.mark.filterwarnings("ignore::UserWarning")
@every_head
@pytest.mark.parametrize("fields", [{}, {"is_decoder": True}, {"position_embedding_type": "relative_key_query"}])
def test_a_probe_catches_every_mutant_that_it_names(head, fields):
    # Seven: 1 / sqrt(7) is far from a half-precision number, as 1 / sqrt(11) is not.
    model = model_of(head, config_of(head, {**fields, "hidden_size": 21}))
    state = model.state_dict_numpy()
    tried, missed = set(), []
    for probe in battery(head, model.config):
        mutants = [MISTAKES[name] for name in probe.catches if name in MISTAKES]
        if not mutants or probe.calls[-1].continues:
            continue
        limits = permitted(head, model, probe)
        for mutant in mutants:
            wrong = mutant.candidate(Case(head, model.config, {**state, **(probe.state or {})}, {}))
            missed += [] if is_refused(asked_of(wrong, probe.calls), limits) else [(probe.name, mutant.name)]
            tried.add(mutant.name)
    assert missed == []
    assert len(tried) > 40


def one_pass_norm(x, weight, bias, eps, tap=layers.silent):
    mean = x.mean(-1, keepdims=True)
    variance = np.maximum((x * x).mean(-1, keepdims=True) - mean * mean, 0)
    return (x - mean) / np.sqrt(variance + np.float32(eps)) * weight + bias


def adding(bias):
    """A mask that is added, of a number that is too small."""

    def softmax(scores, is_attended):
        hidden = np.float32(0) if is_attended is None else np.where(is_attended, np.float32(0), np.float32(bias))
        return layers.softmax(scores + hidden)

    return softmax


def without_maximum(scores, is_attended):
    with np.errstate(over="ignore", invalid="ignore"):
        exponentials = np.where(True if is_attended is None else is_attended, np.exp(scores), 0)
        return exponentials / exponentials.sum(-1, keepdims=True)


def cheap_erf_gelu(x, tap=layers.silent):
    """Abramowitz and Stegun, 7.1.25: within 2.5e-5."""
    z = np.abs(x) / np.float32(sqrt(2))
    t = 1 / (1 + np.float32(0.47047) * z)
    erf = 1 - t * (np.float32(0.3480242) + t * (np.float32(-0.0958798) + t * np.float32(0.7478556))) * np.exp(-z * z)
    return x * (1 + np.sign(x) * erf) / 2


NORMS = [(module, "layer_norm", one_pass_norm) for module in (attention, embeddings, encoder, heads)]
#: A mistake in the code of a layer -> what stands where.
WRONG_CODE = {
    "one-pass variance": NORMS,
    "additive mask of -10": [(attention, "masked_softmax", adding(-10))],
    "additive mask of -100": [(attention, "masked_softmax", adding(-100))],
    "additive mask of -1e4": [(attention, "masked_softmax", adding(-1e4))],
    "softmax without its maximum": [(attention, "masked_softmax", without_maximum)],
    "scale rounded to half": [(attention, "sqrt", lambda size: 1 / np.float32(np.float16(1 / sqrt(size))))],
    "rounded erf": [(heads, "gelu", cheap_erf_gelu)],
}


@pytest.mark.parametrize("fields", [{}, {"is_decoder": True}])
@pytest.mark.parametrize("head", ["model", "masked_lm"])
@pytest.mark.parametrize("mistake", WRONG_CODE)
def test_probe_weights_and_given_embeddings_magnify_the_mistakes_that_they_name(mistake, head, fields, monkeypatch):
    # Seven: 1 / sqrt(7) is far from a half-precision number, as 1 / sqrt(11) is not.
    model = model_of(head, config_of(head, {**fields, "hidden_size": 21}))
    probes = [probe for probe in battery(head, model.config) if mistake in probe.catches]
    limits = [permitted(head, model, probe) for probe in probes]
    assert not any(is_refused(answers(model, probe), limit) for probe, limit in zip(probes, limits, strict=True))
    for module, name, wrong in WRONG_CODE[mistake]:
        monkeypatch.setattr(module, name, wrong)
    if mistake == "rounded erf":
        monkeypatch.setitem(encoder.ACTIVATIONS, "gelu", cheap_erf_gelu)
    caught = {p.name: is_refused(answers(model, p), limit) for p, limit in zip(probes, limits, strict=True)}
    assert caught
    assert [name for name, is_caught in caught.items() if not is_caught] == []


def test_tiny_probes_magnify_an_eps_that_is_off():
    model = model_of("masked_lm", small_config())
    for name in ("tiny tables", "tiny sums"):
        probe = named("masked_lm", model.config)[name]
        (call,) = permitted("masked_lm", model, probe)
        budget, _ = call["logits"]
        state = {**model.state_dict_numpy(), **probe.state}
        off = FACES["masked_lm"](small_config(layer_norm_eps=1.0001e-5), backend="numpy", state=state)
        assert compare_array("logits", off(**probe.calls[0].inputs).logits, budget).ratio > 1.0


def test_a_probe_is_what_its_name_says():
    config = small_config(is_decoder=True)
    probes = named("causal_lm", config)
    twice, between = probes["called twice"], probes["other shapes between"]
    assert same(replace(twice, calls=twice.calls[:1]), replace(twice, calls=twice.calls[1:]))
    shapes = [call.inputs["input_ids"].shape for call in between.calls]
    assert shapes[0] == shapes[2] != shapes[1]
    first, moved = (call.inputs["input_ids"] for call in probes["rows in another order"].calls)
    assert sorted(first.tolist()) == sorted(moved.tolist())
    assert not np.array_equal(first, moved)
    assert set(probes["every position"].calls[0].inputs["position_ids"].ravel()) == set(range(29))
    assert {0, 100} <= set(probes["ends of the vocabulary"].calls[0].inputs["input_ids"].ravel())
    assert set(probes["token types"].calls[0].inputs["token_type_ids"].ravel()) == {0, 1}
    assert probes["row of nobody"].calls[0].inputs["attention_mask"].sum(-1).tolist() == [13, 0, 11]
    whole = probes["cache, token by token"]
    assert [call.inputs["input_ids"].shape[1] for call in whole.calls] == [11, 1, 1]
    assert [call.inputs["attention_mask"].shape[1] for call in whole.calls] == [11, 12, 13]
    assert [call.continues for call in whole.calls] == [False, True, True]
