"""Agreement with a peer that nobody here wrote: transformers 4.57.6, on random models of every head and kind.

Known defects of the peer, and how each is steered around (section 6 of the behaviour catalogue lists them too):

    defect                                                       here
    relative positions with a cache: every query row is taken    compare with its pass without a cache
      for the last token
    the causal loss casts float64 logits to float32              take its formula, on its own float64 logits
    left padding with a cache: positions restart at the pads     compare with its pass without a cache
    inputs_embeds with a cache: positions restart at pad + 1     compare with its pass without a cache
    multiple choice: a 3-D mask is flattened to (B C T, S)       give each choice's row to the bare model instead
    labels that are all ignored give NaN                         not compared: ours is 0, see tests/reference
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import roberta
from roberta.parity.compare import compare_outputs
from roberta.parity.tolerances import budgets, flat_outputs
from roberta.reference.attention import Cache
from roberta.reference.layers import ACTIVATIONS as NUMPY_ACTIVATIONS
from roberta.reference.parameters import CLASS_NAMES, HEADS

pytest.importorskip("torch", reason="the peer runs on PyTorch")
pytest.importorskip("transformers", reason="the peer is transformers 4.57.6")

import torch
import transformers
from roberta.backends.pytorch.layers import ACTIVATIONS as TORCH_ACTIVATIONS
from torch.nn import functional as F
from transformers.activations import ACT2FN

pytestmark = [pytest.mark.torch, pytest.mark.hf]

#: The issue's own figure: the largest float64 error, relative to the largest value of the field.
LIMIT = 1e-10
POSITIONS = ("absolute", "relative_key", "relative_key_query")
#: A different prime for every axis, as far as D = H K allows.
N, H, K, B, T, E, F_SIZE, L, C, TYPES, M, V, PAD = 2, 3, 5, 7, 11, 13, 17, 19, 4, 3, 29, 37, 1
D = H * K
KINDS = {
    "encoder": {},
    "decoder": {"is_decoder": True},
    "cross": {"is_decoder": True, "add_cross_attention": True},
}
#: Cross-attention belongs to the bare model and the language models; the other heads take no encoder states.
CASES = [
    (head, position, kind)
    for head, position, kind in product(HEADS, POSITIONS, KINDS)
    if kind != "cross" or head in {"model", "causal_lm", "masked_lm"}
]
ENGINES = ("numpy", "torch", "torch fused")


def fields(position: str, kind: str, head: str, **changes: Any) -> dict[str, Any]:
    return {
        "vocab_size": V, "hidden_size": D, "num_hidden_layers": N, "num_attention_heads": H, "intermediate_size": F_SIZE,
        "max_position_embeddings": M, "type_vocab_size": TYPES, "pad_token_id": PAD, "layer_norm_eps": 1e-5,
        "position_embedding_type": position, "num_labels": 2 if head == "question_answering" else L,
        **KINDS[kind], **changes,
    }  # fmt: skip


def peer_class(head: str) -> Any:
    return getattr(transformers, CLASS_NAMES[head])


def our_class(head: str) -> Any:
    return getattr(roberta, CLASS_NAMES[head])


def random_value(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A parameter's value: gains are not 1, biases and padding rows not 0. In float32, whatever the model's dtype."""
    noise = np.random.default_rng(list(name.encode())).standard_normal(shape)
    is_gain = name.endswith(("LayerNorm.weight", "layer_norm.weight"))
    return (1 + 0.3 * noise if is_gain else 0.4 * noise).astype(np.float32)


def random_peer(head: str, position: str, kind: str, **changes: Any) -> Any:
    """A peer in float64 with every parameter random."""
    config = transformers.RobertaConfig(**fields(position, kind, head, **changes), attn_implementation="eager")
    model = peer_class(head)(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(random_value(name, tuple(parameter.shape))))
    return model.double().eval()


@dataclass
class Pair:
    """A random peer, the folder it was saved to, and our models of that folder."""

    head: str
    position: str
    kind: str
    peer: Any
    folder: Path

    def ours(self, engine: str, dtype: str = "float64") -> Any:
        return loaded(self.head, self.folder, engine.removesuffix(" fused"), dtype)

    def ask_peer(self, inputs: Mapping[str, Any], **flags: Any) -> dict[str, Any]:
        given = tensors(inputs)
        mask = given.get("attention_mask")
        if self.head == "multiple_choice" and mask is not None and mask.ndim == 4:
            return self.ask_peers_body(given, **flags)
        return dict(self.peer(**given, **flags).items())

    def ask_peers_body(self, given: Mapping[str, Any], **flags: Any) -> dict[str, Any]:
        """Multiple choice by hand, for the masks that the peer's own class flattens to the wrong rank."""
        rows = {name: value.flatten(0, 1) for name, value in given.items()}
        output = self.peer.roberta(**rows, **flags)
        kept = {name: output[name] for name in ("hidden_states", "attentions") if name in output}
        return {"logits": self.peer.classifier(output.pooler_output).view(B, C), **kept}


@cache
def loaded(head: str, folder: Path, backend: str, dtype: str) -> Any:
    return our_class(head).from_pretrained(folder, backend=backend, dtype=dtype, strict=True)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """(head, position, kind) -> `Pair`, each built once."""
    torch.set_num_threads(1)

    @cache
    def pair(head: str, position: str, kind: str) -> Pair:
        peer = random_peer(head, position, kind)
        folder = tmp_path_factory.mktemp(f"{head}-{position}-{kind}")
        peer.save_pretrained(folder)
        # The peer's cache spoils its relative positions, and config.use_cache makes one of its own accord.
        peer.config.use_cache = position == "absolute"
        return Pair(head, position, kind, peer, folder)

    yield pair
    loaded.cache_clear()


@pytest.fixture(params=CASES, ids="-".join, scope="module")
def pair(request: pytest.FixtureRequest, pairs: Any) -> Pair:
    return pairs(*request.param)


# -- inputs ------------------------------------------------------------------------------------------------------------


def token_ids(head: str, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(PAD + 1, V, (B, C, T) if head == "multiple_choice" else (B, T))


def right_padded(head: str) -> dict[str, Any]:
    ids = token_ids(head)
    lengths = np.random.default_rng(1).integers(1, T + 1, ids.shape[:-1])
    mask = (np.arange(T) < lengths[..., None]).astype(np.int64)
    return {"input_ids": np.where(mask == 1, ids, PAD), "attention_mask": mask}


def left_padded(head: str) -> dict[str, Any]:
    return {name: value[..., ::-1].copy() for name, value in right_padded(head).items()}


def masked_in_three_dimensions(head: str) -> dict[str, Any]:
    ids = token_ids(head)
    mask = np.random.default_rng(2).integers(0, 2, (*ids.shape, T))
    mask[0, ..., 3, :] = 0  # a row that may look at nobody
    return {"input_ids": ids, "attention_mask": mask}


def with_head_mask(head: str, shape: tuple[int, ...]) -> dict[str, Any]:
    mask = np.random.default_rng(3).choice([0.0, 0.25, 1.0], shape).astype(np.float32)
    return {**right_padded(head), "head_mask": mask}


def with_types_and_positions(head: str) -> dict[str, Any]:
    ids = token_ids(head)
    rng = np.random.default_rng(4)
    return {
        "input_ids": ids,
        "token_type_ids": rng.integers(0, TYPES, ids.shape),
        "position_ids": rng.integers(0, M, ids.shape),
    }


def embedded(head: str) -> dict[str, Any]:
    rng = np.random.default_rng(5)
    padded = right_padded(head)
    embeds = rng.standard_normal((*padded["input_ids"].shape, D)).astype(np.float32)
    return {"inputs_embeds": embeds, "attention_mask": padded["attention_mask"]}


VARIANTS = {
    "plain": lambda head: {"input_ids": token_ids(head)},
    "padded on the right": right_padded,
    "padded on the left": left_padded,
    "3-D mask": masked_in_three_dimensions,
    "head mask (H)": lambda head: with_head_mask(head, (H,)),
    "head mask (N, H)": lambda head: with_head_mask(head, (N, H)),
    "token types and positions": with_types_and_positions,
    "embeddings": embedded,
}


def with_source(inputs: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The same inputs with an encoder's states and their padding, where the model looks at them."""
    if kind != "cross":
        return dict(inputs)
    rng = np.random.default_rng(6)
    mask = (np.arange(E) < rng.integers(1, E + 1, (B, 1))).astype(np.int64)
    states = rng.standard_normal((B, E, D)).astype(np.float32)
    return {**inputs, "encoder_hidden_states": states, "encoder_attention_mask": mask}


def labels_of(head: str) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)
    if head == "model":
        return {}
    if head == "question_answering":
        two_beyond_the_text = np.array([T, T + 5, 0, 1, 2, 3, T - 1])
        return {"start_positions": two_beyond_the_text, "end_positions": np.roll(two_beyond_the_text, 3)}
    if head in {"sequence_classification", "multiple_choice"}:
        return {"labels": rng.integers(0, C if head == "multiple_choice" else L, B)}
    labels = rng.integers(0, L if head == "token_classification" else V, (B, T))
    return {"labels": np.where(rng.random((B, T)) < 0.3, -100, labels)}


def tensors(inputs: Mapping[str, Any], dtype: torch.dtype = torch.float64) -> dict[str, Any]:
    """What the peer takes: tensors, and numbers in its own dtype (the arrays hold float32 numbers)."""
    given = {n: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for n, v in inputs.items()}
    return {n: v.to(dtype) if isinstance(v, torch.Tensor) and v.is_floating_point() else v for n, v in given.items()}


# -- comparing ---------------------------------------------------------------------------------------------------------


def flat(outputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Field -> array; tuples and caches get one entry a part."""
    arrays: dict[str, np.ndarray] = {}
    for name, value in outputs.items():
        if isinstance(value, tuple):
            arrays |= {f"{name}[{i}]{rest}": a for i, v in enumerate(value) for rest, a in flat({"": v}).items()}
        elif isinstance(value, Cache):
            arrays |= flat({name: value.layers})
        elif hasattr(value, "to_legacy_cache"):
            layers = value.to_legacy_cache()  # without cross-attention, the peer fills up with None
            arrays |= flat({name: tuple(tuple(part for part in layer if part is not None) for layer in layers)})
        else:
            arrays[name] = value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    return arrays


def largest_error(got: Mapping[str, Any], wanted: Mapping[str, Any]) -> float:
    """The largest error of any field, relative to the largest value of that field; the fields must be the same."""
    got, wanted = flat(got), flat(wanted)
    assert set(got) == set(wanted)
    worst = 0.0
    for name, truth in wanted.items():
        assert got[name].shape == truth.shape, name
        assert got[name].dtype == truth.dtype, name
        assert np.isfinite(got[name]).all(), name
        worst = max(worst, float(np.abs(got[name] - truth).max() / np.abs(truth).max()))
    return worst


def require_agreement(record: Any, head: str, engine: str, got: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    error = largest_error(got, wanted)
    # `benchmarks/agreement.py` gathers these.
    record("agreement", {"head": head, "engine": engine, "dtype": "float64", "error": error, "limit": LIMIT})
    assert error < LIMIT


# -- outputs -----------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*reads the first token, which is masked")
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("engine", ENGINES)
def test_every_output_agrees_in_float64(pair: Pair, variant: str, engine: str, record_property: Any) -> None:
    inputs = with_source(VARIANTS[variant](pair.head), pair.kind)
    shows_all = {} if engine == "torch fused" else {"output_attentions": True, "output_hidden_states": True}
    with torch.no_grad():
        wanted = pair.ask_peer(inputs, **shows_all)
        got = dict(pair.ours(engine)(**inputs, **shows_all).items())
    if pair.position != "absolute":
        got.pop("past_key_values", None)
    elif pair.kind != "encoder":
        assert ("past_key_values" in got) == (pair.head in {"model", "causal_lm"})
    require_agreement(record_property, pair.head, engine, got, wanted)


@pytest.mark.parametrize("variant", ["padded on the right", "token types and positions"])
def test_float32_engines_and_the_peer_itself_keep_within_the_derived_budget(
    pair: Pair, variant: str, record_property: Any
) -> None:
    labels = labels_of(pair.head) if variant == "padded on the right" else {}
    inputs = with_source({**VARIANTS[variant](pair.head), **labels}, pair.kind)
    asked = {**inputs, "output_attentions": True, "output_hidden_states": True}
    permitted, _ = budgets(pair.ours("numpy"), asked, "float32")
    with torch.no_grad():
        peer = type(pair.peer)(pair.peer.config).eval()
        peer.load_state_dict(pair.peer.state_dict())
        candidates = {
            "numpy": pair.ours("numpy", "float32")(**asked),
            "torch": pair.ours("torch", "float32")(**asked),
            "torch fused": pair.ours("torch", "float32")(**inputs),
            "transformers": peer(**tensors(asked, torch.float32)).to_tuple,
        }
        candidates["transformers"] = dict(peer(**tensors(asked, torch.float32)).items())
    for engine, outputs in candidates.items():
        found = flat_outputs(outputs if engine != "transformers" else flat(outputs))
        judged = {name: budget for name, budget in permitted.items() if name in found}
        assert {"logits", "start_logits", "last_hidden_state"} & set(judged)
        worst = max(compare_outputs(found, judged), key=lambda comparison: comparison.ratio)
        record_property(
            "agreement",
            {"head": pair.head, "engine": engine, "dtype": "float32", "error": worst.ratio, "limit": 1.0},
        )
        assert worst.passed, f"{engine}: {worst}"
