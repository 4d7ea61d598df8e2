"""What is judged: every element that a real token determines, and none that padding does."""

import warnings

import numpy as np
import pytest
from roberta.dispatch.api import FACES
from roberta.parity.cases import draw_state, small_config
from roberta.parity.probes.battery import battery
from roberta.parity.probes.probe import chains
from roberta.parity.probes.real_tokens import FIRST, judged, real_tokens
from roberta.parity.tolerances import flat_outputs
from roberta.reference.parameters import HEADS, parameter_table

DECODER = {"is_decoder": True, "add_cross_attention": True}
CASES = [(head, fields) for head in HEADS for fields in ({}, DECODER)]


def oracle(head, fields):
    config = small_config(**fields)
    state = draw_state(parameter_table(head, config), 0)
    return FACES[head](config, backend="numpy", dtype="float64", state=state)


def disturbed(model, inputs, past, where):
    """The outputs with something else than it says at the tokens `where` (B, T), after the embeddings."""

    def tap(name, value):
        return np.where(where[..., None], -value, value) if name.endswith("embeddings.sum") else value

    return model._call((), {**inputs, **past, "output_attentions": True, "output_hidden_states": True}, tap)


def cache_of(output):
    return {"past_key_values": output.get("past_key_values")}


@pytest.mark.parametrize(("head", "fields"), CASES)
def test_what_padding_holds_reaches_nothing_that_is_judged_and_all_that_is_not(head, fields):
    """Under a mask of two axes: a hidden token is seen by nobody but itself."""
    model = oracle(head, fields)
    tried = 0
    for probe in battery(head, model.config):
        if any(not hides_keys(call.inputs) for call in probe.calls):
            continue
        with warnings.catch_warnings():
            if head in FIRST:
                warnings.simplefilter("ignore", UserWarning)
            tried += sum(_hidden_tokens_reach_nothing(model, chain) for chain in chains(probe.calls))
    assert tried > 15


def hides_keys(inputs):
    """Whether there is a mask with an entry for each key."""
    shape = inputs["inputs_embeds"].shape[:-1] if "inputs_embeds" in inputs else inputs["input_ids"].shape
    return np.ndim(inputs.get("attention_mask")) == len(shape)


def _hidden_tokens_reach_nothing(model, chain):
    """Whether there were hidden tokens to try it on."""
    past, others = {}, {}
    reached = False
    for inputs in chain:
        is_hidden = ~real_tokens({**inputs, "encoder_attention_mask": None})
        rows = is_hidden.reshape(-1, is_hidden.shape[-1])
        # A row of nobody looks at all that it has, the others at none of it.
        truth, other = (disturbed(model, inputs, kept, where) for kept, where in ((past, rows & False), (others, rows)))
        past, others = (cache_of(output) if len(chain) > 1 else {} for output in (truth, other))
        for (name, one), two in zip(flat_outputs(truth).items(), flat_outputs(other).values(), strict=True):
            where = judged(name, one.shape, inputs, model.head)
            where = np.broadcast_to(True if where is None else where, one.shape)
            if name != "loss" or model.head != "question_answering":
                assert np.array_equal(one[where], two[where]), name
            if name == "hidden_states.0" and rows.any():
                assert (one != two)[~where].all()
                reached = True
    return reached


MASK = np.array([[1, 1, 0], [0, 1, 1], [0, 0, 0]])
IDS = np.full((3, 3), 5)
INPUTS = {"input_ids": IDS, "attention_mask": MASK}
REAL = MASK == 1


@pytest.mark.parametrize(
    ("head", "name", "shape", "expected"),
    [
        ("masked_lm", "logits", (3, 3, 7), REAL[:, :, None]),
        ("model", "last_hidden_state", (3, 3, 7), REAL[:, :, None]),
        ("model", "hidden_states.1", (3, 3, 7), REAL[:, :, None]),
        ("question_answering", "end_logits", (3, 3), REAL),
        ("model", "attentions.0", (3, 2, 3, 3), REAL[:, None, :, None]),
        ("model", "cross_attentions.0", (3, 2, 3, 5), REAL[:, None, :, None]),
        ("model", "past_key_values.0.1", (3, 2, 3, 7), REAL[:, None, :, None]),
        ("model", "pooler_output", (3, 7), REAL[:, :1]),
        ("sequence_classification", "logits", (3, 4), REAL[:, :1]),
    ],
)
def test_each_output_is_judged_at_real_tokens(head, name, shape, expected):
    where = judged(name, shape, INPUTS, head)
    assert np.array_equal(np.broadcast_to(where, shape), np.broadcast_to(expected, shape))


def test_without_a_mask_and_of_a_loss_everything_is_judged():
    assert judged("logits", (3, 3, 7), {"input_ids": IDS}, "masked_lm") is None
    assert judged("past_key_values.0.0", (3, 2, 3, 7), {"input_ids": IDS}, "model") is None
    assert judged("loss", (), INPUTS, "masked_lm") is None


def test_a_choice_is_judged_by_its_own_first_token():
    mask = np.array([[[1, 1, 0], [0, 1, 1]]])
    inputs = {"input_ids": np.full((1, 2, 3), 5), "attention_mask": mask}
    assert judged("logits", (1, 2), inputs, "multiple_choice").tolist() == [[True, False]]
    assert judged("hidden_states.0", (2, 3, 7), inputs, "multiple_choice")[..., 0].tolist() == (mask[0] == 1).tolist()


def test_under_a_mask_of_three_axes_a_token_is_real_that_may_look_at_somebody():
    mask = np.array([[[0, 1, 0], [0, 0, 0], [1, 1, 0]]])
    inputs = {"input_ids": np.full((1, 3), 5), "attention_mask": mask}
    assert real_tokens(inputs).tolist() == [[True, False, True]]
    # The second is no real token, but somebody looks at its key; nobody looks at the third, which is one.
    assert judged("past_key_values.0.0", (1, 2, 3, 7), inputs, "model")[0, 0, :, 0].tolist() == [True, True, True]


def test_a_token_without_a_source_to_look_at_is_not_real():
    source = np.array([[1, 0], [0, 0], [1, 1]])
    inputs = {"input_ids": IDS, "encoder_attention_mask": source}
    assert real_tokens(inputs)[:, 0].tolist() == [True, False, True]
    three = {**inputs, "encoder_attention_mask": np.stack([source, 1 - source, 0 * source], 1)}
    assert real_tokens(three).tolist() == [[True, True, False], [False, True, False], [True, False, False]]
    keys = judged("past_key_values.0.2", (3, 2, 2, 7), inputs, "model")
    assert keys[:, 0, :, 0].tolist() == (source == 1).tolist()


def test_on_a_cache_the_last_keys_are_the_call_s_own_tokens():
    inputs = {"input_ids": IDS[:1, :2], "attention_mask": np.array([[0, 1, 1, 0]])}
    assert real_tokens(inputs).tolist() == [[True, False]]
    keys = judged("past_key_values.1.0", (1, 2, 4, 7), inputs, "causal_lm")
    assert keys[0, 0, :, 0].tolist() == [False, True, True, False]
