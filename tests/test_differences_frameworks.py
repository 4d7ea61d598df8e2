"""Each row of the tables of docs/differences.md on TensorFlow and Flax classes, run on both sides.

What transformers 4.57.6 does there, and what our engine of the same framework does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roberta
from roberta.dispatch.api import FACES
from roberta.parity.cases import draw_state, small_config
from roberta.reference.outputs import to_numpy
from roberta.reference.parameters import CLASS_NAMES, parameter_table

pytestmark = pytest.mark.hf

PAGE = Path(roberta.__file__).resolve().parent / "docs" / "differences.md"
IDS = np.array([[0, 5, 6, 7, 8, 2]])
MASK = np.array([[0, 1, 1, 1, 1, 1]])
DECODER = {"is_decoder": True}
CROSS = {"is_decoder": True, "add_cross_attention": True}

#: Framework -> first column of its table -> the check.
CHECKS: dict[str, dict[str, Callable[[], None]]] = {"tensorflow": {}, "flax": {}}


def row(framework: str, name: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    def register(check: Callable[[], None]) -> Callable[[], None]:
        CHECKS[framework][name] = check
        return check

    return register


@pytest.fixture(autouse=True)
def _quiet_peer() -> Iterator[None]:
    import transformers

    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    yield
    transformers.logging.set_verbosity(before)


def ours(framework: str, head: str = "masked_lm", **overrides: Any) -> Any:
    """Our float32 model with drawn weights."""
    config = small_config(**overrides)
    state = draw_state(parameter_table(head, config), seed=7)
    return FACES[head](config, backend=framework, state=state).train(False)


def changed(model: Any, **overrides: Any) -> Any:
    """The same weights in a model of another configuration."""
    config = model.config.replace(**overrides)
    return FACES[model.head](config, backend=model.backend, state=model.state_dict_numpy(), strict=False)


@cache
def in_tensorflow(head: str = "masked_lm", **overrides: Any) -> tuple[Any, Any]:
    """The peer's TensorFlow model and ours, with the same weights."""
    import torch
    import transformers
    from transformers.modeling_tf_pytorch_utils import load_pytorch_weights_in_tf2_model

    model = ours("tensorflow", head, **overrides)
    peer = getattr(transformers, f"TF{CLASS_NAMES[head]}")(transformers.RobertaConfig(**model.config.to_dict()))
    weights = {name: torch.from_numpy(np.array(value)) for name, value in model.state_dict_numpy().items()}
    ids = np.stack([IDS, IDS], axis=1) if head == "multiple_choice" else IDS
    return load_pytorch_weights_in_tf2_model(peer, weights, tf_inputs={"input_ids": ids}), model


@cache
def in_flax(head: str = "masked_lm", **overrides: Any) -> tuple[Any, Any]:
    """The peer's Flax model and ours, with the same weights."""
    import torch
    import transformers
    from transformers.modeling_flax_pytorch_utils import convert_pytorch_state_dict_to_flax

    model = ours("flax", head, **overrides)
    peer = getattr(transformers, f"Flax{CLASS_NAMES[head]}")(transformers.RobertaConfig(**model.config.to_dict()))
    weights = {name: torch.from_numpy(np.array(value)) for name, value in model.state_dict_numpy().items()}
    peer.params = convert_pytorch_state_dict_to_flax(weights, peer)
    return peer, model


def far(a: Any, b: Any) -> bool:
    return bool(np.abs(to_numpy(a) - to_numpy(b)).max() > 1e-3)


def near(a: Any, b: Any) -> bool:
    """Equal but for float32's rounding, which is some 1e-6 for numbers of these sizes; what is far is above 1e-3."""
    return np.allclose(to_numpy(a), to_numpy(b), rtol=0, atol=1e-5)


# -- TensorFlow --------------------------------------------------------------------------------------------------------


@row("tensorflow", "relative positions")
def _() -> None:
    peer, model = in_tensorflow(position_embedding_type="relative_key")
    absolute = changed(model, position_embedding_type="absolute")
    assert near(peer(IDS).logits, absolute(IDS).logits)
    assert far(model(IDS).logits, absolute(IDS).logits)


@row("tensorflow", "a padding id other than 1")
def _() -> None:
    peer, model = in_tensorflow(pad_token_id=3)
    counted = np.arange(2, 8)[None]
    assert near(peer(IDS).logits, model(IDS, position_ids=counted).logits)
    assert near(model(IDS).logits, model(IDS, position_ids=counted + 2).logits)
    assert far(model(IDS).logits, peer(IDS).logits)


@row("tensorflow", "head masks")
def _() -> None:
    peer, model = in_tensorflow()
    with pytest.raises(NotImplementedError):
        peer(IDS, head_mask=np.ones((2, 3)))
    assert near(model(IDS, head_mask=np.ones((2, 3))).logits, model(IDS).logits)


@row("tensorflow", "masks from token to token")
def _() -> None:
    peer, model = in_tensorflow()
    mask = np.ones((1, 6, 6), int)
    with pytest.raises(Exception, match=r"(?i)shape|dimension"):
        peer(IDS, attention_mask=mask)
    assert near(model(IDS, attention_mask=mask).logits, model(IDS).logits)


@row("tensorflow", "a token that may look at nobody")
def _() -> None:
    peer, model = in_tensorflow("causal_lm", **DECODER, num_hidden_layers=1)
    theirs = peer(IDS, attention_mask=MASK).logits[:, 0]
    # Next to -10000, float32 scores keep three digits.
    assert not far(theirs, changed(model, is_decoder=False)(IDS).logits[:, 0])
    assert far(model(IDS, attention_mask=MASK).logits[:, 0], theirs)


@row("tensorflow", "embeddings for multiple choice")
def _() -> None:
    peer, model = in_tensorflow("multiple_choice")
    embeds = np.random.default_rng(0).standard_normal((1, 2, 6, 33)).astype(np.float32)
    with pytest.raises(Exception):  # noqa: B017, PT011  # what it raises is an accident
        peer(None, inputs_embeds=embeds)
    assert model(inputs_embeds=embeds).logits.shape == (1, 2)


@row("tensorflow", "hidden states of multiple choice, asked for by the call")
def _() -> None:
    peer, model = in_tensorflow("multiple_choice")
    ids = np.stack([IDS, IDS], axis=1)
    assert peer(ids, output_hidden_states=True).hidden_states is None
    assert len(model(ids, output_hidden_states=True).hidden_states) == 3


@row("tensorflow", "a decoder that is not tied")
def _() -> None:
    peer, model = in_tensorflow(tie_word_embeddings=False)
    assert far(peer(IDS).logits, model(IDS).logits)
    assert near(peer(IDS).logits, changed(model, tie_word_embeddings=True)(IDS).logits)


@row("tensorflow", "encoder states for a masked language model")
def _() -> None:
    peer, model = in_tensorflow(**CROSS)
    source = np.ones((1, 4, 33), np.float32)
    with pytest.raises(ValueError, match="encoder_hidden_states"):
        peer(IDS, encoder_hidden_states=source)
    assert far(model(IDS, encoder_hidden_states=source).logits, model(IDS).logits)


@row("tensorflow", "the loss of heads with one label a row")
def _() -> None:
    peer, model = in_tensorflow("sequence_classification", num_labels=3)
    ids, labels = np.repeat(IDS, 2, 0), np.array([0, 2])
    theirs = peer(ids, labels=labels).loss
    assert theirs.shape == (2,)
    assert near(model(ids, labels=labels).loss, theirs.numpy().mean())


@row("tensorflow", "problem types")
def _() -> None:
    kind = {"num_labels": 3, "problem_type": "multi_label_classification"}
    peer, model = in_tensorflow("sequence_classification", **kind)
    labels = np.array([[1.0, 0.0, 1.0]])
    with pytest.raises(Exception, match=r"(?i)shape|rank|dimension"):
        peer(IDS, labels=labels)
    assert model(IDS, labels=labels).loss.shape == ()


@row("tensorflow", "a label of -1")
def _() -> None:
    peer, model = in_tensorflow()
    first, wrong = np.array([[0] * 6]), np.array([[-1] * 6])
    assert near(peer(IDS, labels=wrong).loss, peer(IDS, labels=first).loss)
    with pytest.raises(ValueError, match=r"labels.*-1"):
        model(IDS, labels=wrong)


@row("tensorflow", "the tuple of a decoder")
def _() -> None:
    peer, model = in_tensorflow("causal_lm", **DECODER)
    assert len(peer(IDS, use_cache=True, return_dict=False)) == 1
    assert len(model(IDS, use_cache=True, return_dict=False)) == 2


# -- Flax --------------------------------------------------------------------------------------------------------------


@row("flax", "relative positions")
def _() -> None:
    peer, model = in_flax(position_embedding_type="relative_key")
    absolute = changed(model, position_embedding_type="absolute")
    assert near(peer(IDS).logits, absolute(IDS).logits)
    assert far(model(IDS).logits, absolute(IDS).logits)


@row("flax", "fractions in a head mask")
def _() -> None:
    peer, model = in_flax()
    half, none = np.full((2, 3), 0.5), np.zeros((2, 3))
    assert near(peer(IDS, head_mask=half).logits, peer(IDS, head_mask=none).logits)
    assert far(model(IDS, head_mask=half).logits, model(IDS, head_mask=none).logits)


@row("flax", "masks from token to token")
def _() -> None:
    peer, model = in_flax()
    mask = np.ones((1, 6, 6), int)
    with pytest.raises(Exception, match="shape"):
        peer(IDS, attention_mask=mask)
    assert near(model(IDS, attention_mask=mask).logits, model(IDS).logits)


@row("flax", "labels and embeddings")
def _() -> None:
    peer, model = in_flax()
    embeds = np.ones((1, 6, 33), np.float32)
    for unknown in ({"labels": IDS}, {"inputs_embeds": embeds}):
        with pytest.raises(TypeError, match="unexpected keyword"):
            peer(IDS, **unknown)
    assert model(IDS, labels=IDS).loss.shape == ()
    assert model(inputs_embeds=embeds).logits.shape == (1, 6, 101)


@row("flax", "encoder states for a model without cross-attention")
def _() -> None:
    peer, model = in_flax()
    source = np.ones((1, 4, 33), np.float32)
    assert near(peer(IDS, encoder_hidden_states=source).logits, peer(IDS).logits)
    with pytest.raises(ValueError, match=r"encoder_hidden_states.*add_cross_attention"):
        model(IDS, encoder_hidden_states=source)


@row("flax", "a cache without cross-attention")
def _() -> None:
    peer, model = in_flax("causal_lm", **DECODER)
    assert "past_key_values" not in peer(IDS, past_key_values={})
    assert "past_key_values" in model(IDS)


@row("flax", "ids outside the vocabulary")
def _() -> None:
    peer, model = in_flax()
    outside = np.array([[0, 5, 101, 2, 6, 7]])
    assert np.isnan(peer(outside).logits).any()
    with pytest.raises(ValueError, match=r"input_ids.*101"):
        model(outside)


@row("flax", "more tokens than there are positions")
def _() -> None:
    peer, model = in_flax()
    ids = np.full((1, 29), 5)
    assert np.isnan(peer(ids).logits).any()
    with pytest.raises(ValueError, match=r"input_ids: expected at most 27 tokens"):
        model(ids)


# -- the tables --------------------------------------------------------------------------------------------------------

ROWS = [
    pytest.param(framework, name, marks=getattr(pytest.mark, framework))
    for framework, checks in CHECKS.items()
    for name in checks
]


@pytest.mark.parametrize(("framework", "name"), ROWS)
def test_row(framework: str, name: str) -> None:
    CHECKS[framework][name]()


@pytest.mark.parametrize(
    ("framework", "title"), [("tensorflow", "Its TensorFlow classes"), ("flax", "Its Flax classes")]
)
def test_the_table_has_these_rows_and_no_others(framework: str, title: str) -> None:
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(f"\n## {title}\n")
    text, _, _ = rest.partition("\n## ")
    rows = re.findall(r"^\| ([^|]+?) \|", text, re.MULTILINE)
    assert [name for name in rows if name not in {"where", "---"}] == list(CHECKS[framework])
