"""Greedy texts, beams and rules are those of transformers 4.57.6, token for token and score for score, in float64.

Its `generate` counts positions from 0 and sums in float32. Here it is given the positions of its own forward pass, and
float64 where it says float32; nothing else of it is changed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roberta
import torch
import transformers
from roberta.reference.outputs import to_numpy
from transformers.generation import utils as their_loop

pytestmark = [pytest.mark.torch, pytest.mark.hf]

PROMPT = np.array([[0, 7, 8, 9], [0, 31, 5, 6], [0, 5, 5, 44]])
PADDED = np.array([[1, 1, 8, 9], [0, 31, 5, 6], [1, 5, 5, 44]])
PAD, ENDS = 1, [2, 17, 40]


class Peer(transformers.RobertaForCausalLM):
    """Its class, whose loop gives positions as its forward pass counts them."""

    # it looks for the name of `inputs_embeds` here before it takes them
    def prepare_inputs_for_generation(self, *args: Any, inputs_embeds: Any = None, **kwargs: Any) -> Any:
        found = super().prepare_inputs_for_generation(*args, inputs_embeds=inputs_embeds, **kwargs)
        mask = found["attention_mask"].long()
        T = (found.get("inputs_embeds") if found.get("input_ids") is None else found["input_ids"]).shape[1]
        found["position_ids"] = (mask.cumsum(-1) * mask + PAD)[:, -T:]
        return found


class InFloat64:
    """PyTorch, in which float32 is float64."""

    float = float32 = torch.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


@pytest.fixture
def pair(make_config: Any, make_model: Any, tmp_path: Any, monkeypatch: Any) -> tuple[Any, Any]:
    """The peer and the spec, in float64, with the same weights."""
    monkeypatch.setattr(their_loop, "torch", InFloat64())
    ours = make_model("causal_lm", make_config(is_decoder=True), "numpy").to_backend("numpy", dtype="float64")
    ours.save_pretrained(tmp_path)
    return Peer.from_pretrained(tmp_path, attn_implementation="eager", dtype=torch.float64).eval(), ours


def both(pair: tuple[Any, Any], ids: Any = PROMPT, **asked: Any) -> tuple[Any, Any]:
    """The record of each; padding, which ours never writes, is forbidden to the peer."""
    peer, ours = pair
    asked = {"max_new_tokens": 9, "eos_token_id": ENDS, "pad_token_id": PAD, **asked}
    records = {"return_dict_in_generate": True, "output_scores": True, "output_logits": True}
    mask = (ids != PAD).astype(np.int64)
    hidden = [PAD, *asked.get("suppress_tokens", [])]
    theirs = peer.generate(
        torch.tensor(ids), attention_mask=torch.tensor(mask), **{**asked, **records, "suppress_tokens": hidden}
    )
    return theirs, ours.generate(ids, mask, **asked, **records)


def require_same(theirs: Any, own: Any) -> None:
    sequences = to_numpy(own.sequences)
    assert sequences.tolist() == theirs.sequences.tolist()
    is_open = np.ones(len(sequences), bool)  # of a row that has ended, what the pass says is nobody's concern
    first = sequences.shape[1] - len(own.scores)
    for step in range(len(theirs.scores)):
        for name in ("scores", "logits"):
            assert len(own[name]) == len(theirs[name])
            mine, wanted = np.asarray(own[name][step]), to_numpy(theirs[name][step])
            rows = np.full(len(mine), True) if "beam_indices" in theirs else is_open
            np.testing.assert_allclose(mine[rows], wanted[rows], rtol=0, atol=NEAR)
        if "beam_indices" not in theirs:
            is_open &= sequences[:, first + step] != PAD
    if "beam_indices" in theirs:
        assert to_numpy(own.beam_indices).tolist() == theirs.beam_indices.tolist()
        np.testing.assert_allclose(own.sequences_scores, to_numpy(theirs.sequences_scores), rtol=0, atol=NEAR)


#: Both compute in float64 (u = 1.1e-16), of logits below 100: the error is a few hundred u of that. A float32 step
#: anywhere would be 1e-6.
NEAR = 1e-11

RULES: dict[str, dict[str, Any]] = {
    "plain": {},
    "endless": {"eos_token_id": None},
    "repetition": {"repetition_penalty": 1.7},
    "likely to repeat": {"repetition_penalty": 0.6},
    "no pairs twice": {"no_repeat_ngram_size": 2, "repetition_penalty": 0.5},
    "no token twice": {"no_repeat_ngram_size": 1},
    "least new": {"min_new_tokens": 5},
    "least": {"min_length": 8},
    "most": {"max_new_tokens": None, "max_length": 7},
    "bad words": {"bad_words_ids": [[43], [5, 6], [2], [7, 8, 9]]},
    "bias": {"sequence_bias": {(43,): -3.0, (5, 15): 4.0, (20,): 2.5}},
    "suppressed": {"suppress_tokens": [43, 15, 12]},
    "suppressed first": {"begin_suppress_tokens": [15, 20, 11]},
    "ends forced": {"forced_eos_token_id": 2, "eos_token_id": 2},
    "ends get likelier": {"exponential_decay_length_penalty": (2, 1.3)},
    "normal": {"renormalize_logits": True, "repetition_penalty": 1.3},
    "only these": {"prefix_allowed_tokens_fn": lambda row, ids: [row + 3, row + 7, 2, 20, 30]},
    "own rule": {"logits_processor": [lambda ids, scores: scores - 0.1 * scores[:, :1]]},
    "own end": {"stopping_criteria": [lambda ids, scores: ids[:, -1] > 45]},
}
BEAMS: dict[str, dict[str, Any]] = {
    "two": {"num_beams": 2},
    "five": {"num_beams": 5, "num_return_sequences": 5},
    "early": {"num_beams": 4, "num_return_sequences": 2, "early_stopping": True},
    "never early": {"num_beams": 4, "num_return_sequences": 3, "early_stopping": "never"},
    "long": {"num_beams": 3, "length_penalty": 2.5, "early_stopping": "never"},
    "short": {"num_beams": 3, "length_penalty": -1.5, "num_return_sequences": 3},
    "as they are": {"num_beams": 3, "length_penalty": 0.0, "early_stopping": "never"},
    "without a cache": {"num_beams": 3, "use_cache": False},
}


def own_functions(asked: dict[str, Any]) -> dict[str, Any]:
    """The peer wants its lists, which call a function as ours do."""
    lists = {
        "logits_processor": transformers.LogitsProcessorList,
        "stopping_criteria": transformers.StoppingCriteriaList,
    }
    return {name: lists[name](value) if name in lists else value for name, value in asked.items()}


@pytest.mark.parametrize("ids", [PROMPT, PADDED], ids=["full", "padded"])
@pytest.mark.parametrize("asked", RULES.values(), ids=RULES)
def test_greedy_text_under_each_rule(asked: dict[str, Any], ids: Any, pair: Any) -> None:
    require_same(*both(pair, ids, **own_functions(asked)))


@pytest.mark.parametrize("ids", [PROMPT, PADDED], ids=["full", "padded"])
@pytest.mark.parametrize("beams", BEAMS.values(), ids=BEAMS)
def test_beams(beams: dict[str, Any], ids: Any, pair: Any) -> None:
    for ends in (2, ENDS, [2, *range(20, 40)], None):
        require_same(*both(pair, ids, **{**beams, "eos_token_id": ends}))


@pytest.mark.parametrize("asked", RULES.values(), ids=RULES)
def test_beams_under_each_rule(asked: dict[str, Any], pair: Any) -> None:
    require_same(*both(pair, **own_functions(asked), num_beams=3, num_return_sequences=3))


NARROWED: dict[str, dict[str, Any]] = {
    "temperature": {"temperature": 0.7, "top_k": 0},
    "top_k": {"top_k": 7},
    "top_p": {"top_k": 0, "top_p": 0.6},
    "min_p": {"top_k": 0, "min_p": 0.3},
    "typical_p": {"top_k": 0, "typical_p": 0.7},
    "epsilon": {"top_k": 0, "epsilon_cutoff": 0.03},
    "eta": {"top_k": 0, "eta_cutoff": 0.05},
    "all": {"temperature": 1.6, "top_k": 20, "top_p": 0.9, "min_p": 0.05, "typical_p": 0.9, "epsilon_cutoff": 0.01},
    "nothing kept": {"temperature": 1.6, "top_k": 1, "top_p": 0.01},
}


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("asked", NARROWED.values(), ids=NARROWED)
def test_what_can_be_drawn(asked: dict[str, Any], beams: int, pair: Any) -> None:
    """The draws differ, and so do the texts: of the first step the scores tell what can be drawn."""
    theirs, own = both(pair, do_sample=True, num_beams=beams, **asked)
    mine = np.asarray(own.scores[0])
    assert (np.isfinite(mine).sum(-1) < 52).any() or "temperature" in asked
    np.testing.assert_allclose(mine, to_numpy(theirs.scores[0]), rtol=0, atol=NEAR)


def test_embeddings_as_a_prompt(pair: Any) -> None:
    peer, ours = pair
    table = peer.get_input_embeddings().weight.detach()
    mask = torch.tensor((PADDED != PAD).astype(np.int64))
    embeds = table[torch.tensor(PADDED)]
    for asked in ({}, {"num_beams": 3}, {"repetition_penalty": 1.5}, {"max_length": 11}, {"min_length": 8}):
        settings = {"eos_token_id": ENDS, "pad_token_id": PAD, **asked}
        if "max_length" not in asked:
            settings["max_new_tokens"] = 9
        theirs = peer.generate(inputs_embeds=embeds, attention_mask=mask, suppress_tokens=[PAD], **settings)
        own = ours.generate(inputs_embeds=embeds.numpy(), attention_mask=mask.numpy(), **settings)
        assert own.tolist() == theirs.tolist()


CONFIGS: dict[str, dict[str, Any]] = {
    "beams": {"num_beams": 4, "num_return_sequences": 2, "max_new_tokens": 6, "length_penalty": 0.5},
    "greedy": {"max_length": 9, "no_repeat_ngram_size": 2, "suppress_tokens": [PAD, 9]},
}


@pytest.mark.parametrize("asked", CONFIGS.values(), ids=CONFIGS)
def test_a_generation_config_is_taken_whole(asked: dict[str, Any], pair: Any) -> None:
    peer, ours = pair
    written = transformers.GenerationConfig(eos_token_id=ENDS, pad_token_id=PAD, **{"suppress_tokens": [PAD], **asked})
    theirs = peer.generate(torch.tensor(PROMPT), generation_config=written).tolist()
    for form in (written, written.to_dict(), json.loads(written.to_json_string())):
        assert ours.generate(PROMPT, generation_config=form).tolist() == theirs
    ours.generation_config = written
    assert ours.generate(PROMPT).tolist() == theirs
    assert ours.generate(PROMPT, max_new_tokens=2).shape[1] == 6, "what is asked by name wins"


def test_a_setting_of_a_generation_config_that_is_not_here_is_refused_by_name(pair: Any) -> None:
    _, ours = pair
    for asked in ({"penalty_alpha": 0.6}, {"prompt_lookup_num_tokens": 3}, {"num_beams": 4, "num_beam_groups": 2}):
        with pytest.raises(TypeError, match=rf"unknown setting {list(asked)[-1]}="):
            ours.generate(PROMPT, generation_config=transformers.GenerationConfig(**asked))


# -- on PyTorch: objects of transformers -------------------------------------------------------------------------------


@pytest.fixture
def on_torch(pair: Any) -> Any:
    return pair[1].to_backend("torch", dtype="float64")


class Listener:
    """A streamer that keeps what it is told."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def put(self, ids: Any) -> None:
        self.heard.append(ids)

    def end(self) -> None:
        self.heard.append("end")


def test_a_streamer_is_told_the_same(pair: Any, on_torch: Any) -> None:
    peer, _ = pair
    asked = {"max_new_tokens": 5, "eos_token_id": ENDS, "pad_token_id": PAD}
    heard = []
    for model, ids, more in ((peer, torch.tensor(PROMPT), {"suppress_tokens": [PAD]}), (on_torch, PROMPT, {})):
        listener = Listener()
        model.generate(ids, streamer=listener, **asked, **more)
        assert all(isinstance(each, torch.Tensor) for each in listener.heard[:-1])
        heard.append([each.tolist() for each in listener.heard[:-1]])
        assert listener.heard[-1] == "end"
    assert heard[0] == heard[1]


def test_their_criteria_and_processors_run_on_our_model(pair: Any, on_torch: Any) -> None:
    peer, _ = pair
    asked = {"max_new_tokens": 9, "eos_token_id": 2, "pad_token_id": PAD}
    lists = {
        "stopping_criteria": transformers.StoppingCriteriaList([transformers.EosTokenCriteria(ENDS)]),
        "logits_processor": transformers.LogitsProcessorList([transformers.MinNewTokensLengthLogitsProcessor(4, 3, 2)]),
    }
    theirs = peer.generate(torch.tensor(PROMPT), suppress_tokens=[PAD], **lists, **asked)
    assert on_torch.generate(PROMPT, **lists, **asked).tolist() == theirs.tolist()


def caches(peer: Any) -> dict[str, Any]:
    """A Cache of each kind: empty, and with the first three columns."""
    dynamic = transformers.DynamicCache
    pairs = transformers.EncoderDecoderCache
    with torch.no_grad():
        given = peer(torch.tensor(PROMPT[:, :3]), past_key_values=pairs(dynamic(), dynamic())).past_key_values
    filled = dynamic()
    for i, layer in enumerate(given.self_attention_cache.layers):
        filled.update(layer.keys, layer.values, i)
    return {"empty": dynamic(), "empty pair": pairs(dynamic(), dynamic()), "filled": filled, "filled pair": given}


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("kind", ["empty", "empty pair", "filled", "filled pair"])
def test_their_caches_are_taken_and_get_longer(kind: str, beams: int, pair: Any, on_torch: Any) -> None:
    given = caches(pair[0])[kind]
    asked = {"max_new_tokens": 5, "eos_token_id": (), "num_beams": beams, "return_dict_in_generate": True}
    plain = on_torch.generate(PROMPT, **asked)
    record = on_torch.generate(PROMPT, past_key_values=given, **asked)
    assert record.sequences.tolist() == plain.sequences.tolist()
    assert record.past_key_values is given
    assert given.get_seq_length() == 8
    own = getattr(given, "self_attention_cache", given)
    for layer, (key, value, *_) in zip(own.layers, plain.past_key_values.layers, strict=True):
        np.testing.assert_allclose(layer.keys, key, rtol=0, atol=NEAR)
        np.testing.assert_allclose(layer.values, value, rtol=0, atol=NEAR)
    if beams == 1:
        longer = on_torch.generate(record.sequences, past_key_values=given, **asked)
        at_once = on_torch.generate(PROMPT, **{**asked, "max_new_tokens": 10})
        assert longer.sequences.tolist() == at_once.sequences.tolist()


@pytest.mark.parametrize("kind", ["empty", "filled", "filled pair"])
def test_their_caches_are_taken_by_a_call(kind: str, pair: Any, on_torch: Any) -> None:
    whole = on_torch(PROMPT).logits[:, -1]
    new = PROMPT if kind == "empty" else PROMPT[:, 3:]
    given = caches(pair[0])[kind]
    got = on_torch(new, attention_mask=np.ones_like(PROMPT), past_key_values=given).logits[:, -1]
    np.testing.assert_allclose(got.detach(), whole.detach(), rtol=0, atol=NEAR)


def test_their_pipeline_and_streamer_write_with_our_model(capsys: Any) -> None:
    folder = Path(roberta.__file__).resolve().parent / "checkpoints" / "austen"
    model = roberta.RobertaForCausalLM.from_pretrained(folder, backend="torch", is_decoder=True)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    pipe = transformers.TextGenerationPipeline(model=model, tokenizer=tokenizer, framework="pt")
    asked = {"max_new_tokens": 8, "num_beams": 3, "num_return_sequences": 2}
    written = pipe("Emma was", **asked)
    ids = tokenizer("Emma was", return_tensors="pt").input_ids
    wanted = tokenizer.batch_decode(model.generate(ids, **asked), skip_special_tokens=True)
    assert [each["generated_text"] for each in written] == wanted
    capsys.readouterr()
    model.generate(ids, max_new_tokens=8, streamer=transformers.TextStreamer(tokenizer, skip_special_tokens=True))
    assert capsys.readouterr().out.startswith("Emma was")
