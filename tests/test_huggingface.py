"""Agreement with a peer that nobody here wrote: transformers 4.57.6, on random models of every head and kind.

The peer's PyTorch classes are the ones that have everything: every position type, mask and loss. NumPy and PyTorch are
held against them in every combination of head, positions, kind and variant; the other engines, whose calls cost more,
in a part of the combinations in which any two choices that occur together in one still do. Its TensorFlow and Flax
classes are the peers of tests/test_huggingface_tensorflow.py and tests/test_huggingface_flax.py.

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

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roberta
import torch
import transformers
from roberta.parity.tolerances import Budget, budgets
from roberta.reference.attention import Cache
from roberta.reference.layers import ACTIVATIONS
from roberta.reference.parameters import CLASS_NAMES, HEADS
from torch.nn import functional as F

pytestmark = [pytest.mark.torch, pytest.mark.hf]

FRAMEWORK = "PyTorch"
POSITIONS = ("absolute", "relative_key", "relative_key_query")
#: A different prime for every axis, as far as D = H K allows.
N, H, K, B, T, E, F_SIZE, L, C, TYPES, M, V, PAD = 2, 3, 5, 7, 11, 13, 17, 19, 2, 23, 29, 37, 1
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
FULL = ("numpy", "torch")
OTHERS = ("numba", "tensorflow", "flax")


def covering(runs: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """A part of the runs, in which any two choices that occur together in a run still do."""
    pairs = {run: set(combinations(enumerate(run), 2)) for run in runs}
    missing, chosen = set[Any]().union(*pairs.values()), []
    while missing:
        chosen.append(max(pairs, key=lambda run: len(pairs[run] & missing)))
        missing -= pairs[chosen[-1]]
    return chosen


def on_engines(runs: Sequence[tuple[Any, ...]], full: Sequence[str] = FULL, others: Sequence[str] = OTHERS) -> Any:
    """Parametrizes a test with `run` and `engine`: all runs on the ones, a covering part on the others."""
    chosen = [*product(runs, full), *product(covering(runs), others)]
    marks = {name: [getattr(pytest.mark, name)] for name in OTHERS}
    named = [
        pytest.param(run, engine, id="-".join(map(str, [engine, *run])), marks=marks.get(engine, ()))
        for run, engine in chosen
    ]
    return pytest.mark.parametrize(("run", "engine"), named)


OTHERS_MARKED = [pytest.param(name, marks=getattr(pytest.mark, name)) for name in OTHERS]
ON_ENGINES = pytest.mark.parametrize("engine", [*FULL, *OTHERS_MARKED])


def test_a_covering_part_has_every_pair_and_is_small() -> None:
    part = covering(RUNS)
    for i, j in combinations(range(4), 2):
        assert {(run[i], run[j]) for run in part} == {(run[i], run[j]) for run in RUNS}
    assert len(HEADS) * len(VARIANTS) <= len(part) < len(RUNS) / 5


def fields(position: str, kind: str, head: str, **changes: Any) -> dict[str, Any]:
    return {
        "vocab_size": V, "hidden_size": D, "num_hidden_layers": N, "num_attention_heads": H,
        "intermediate_size": F_SIZE, "max_position_embeddings": M, "type_vocab_size": TYPES, "pad_token_id": PAD,
        "layer_norm_eps": 1e-5, "position_embedding_type": position,
        "num_labels": 2 if head == "question_answering" else L, **KINDS[kind], **changes,
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


@dataclass(eq=False)
class Pair:
    """A random peer, the folder it was saved to, and our models of that folder."""

    head: str
    position: str
    kind: str
    peer: Any
    folder: Path

    def ours(self, engine: str, dtype: str = "float64") -> Any:
        return loaded(self.head, self.folder, engine.removesuffix(" fused"), dtype)

    @property
    def labelled(self) -> dict[str, Any]:
        """Padded rows with labels."""
        return with_source({**right_padded(self.head), **labels_of(self.head)}, self.kind)

    @cached_property
    def permitted(self) -> dict[str, Budget]:
        """The budgets of float32 for those, everything shown; of a cache where the peer's is not spoilt."""
        outputs, _ = budgets(self.ours("numpy"), {**self.labelled, **SHOWS_ALL}, "float32")
        return {n: b for n, b in outputs.items() if self.position == "absolute" or not n.startswith("past_key_values")}

    @cached_property
    def in_float32(self) -> dict[str, np.ndarray]:
        """What a float32 peer says to those."""
        peer = type(self.peer)(self.peer.config).eval()
        peer.load_state_dict(self.peer.state_dict())
        with torch.no_grad():
            return flat(peer(**tensors({**self.labelled, **SHOWS_ALL}, torch.float32)))

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
RUNS = [(*case, variant) for case, variant in product(CASES, VARIANTS)]
SHOWS_ALL = {"output_attentions": True, "output_hidden_states": True}


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
            arrays |= flat({f"{name}.{i}": part for i, part in enumerate(value)})
        elif isinstance(value, Cache):
            arrays |= flat({name: value.layers})
        elif hasattr(value, "to_legacy_cache"):
            layers = value.to_legacy_cache()  # without cross-attention, the peer fills up with None
            arrays |= flat({name: tuple(tuple(part for part in layer if part is not None) for layer in layers)})
        else:
            arrays[name] = value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    return arrays


# -- outputs -----------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*reads the first token, which is masked")
@on_engines(RUNS, full=(*FULL, "torch fused"))
def test_every_output_agrees_in_float64(run: tuple[str, ...], engine: str, pairs: Any, agreement: Any) -> None:
    head, position, kind, variant = run
    pair = pairs(head, position, kind)
    inputs = with_source(VARIANTS[variant](head), kind)
    shown = {} if engine == "torch fused" else SHOWS_ALL
    with torch.no_grad():
        wanted = pair.ask_peer(inputs, **shown)
        got = dict(pair.ours(engine)(**inputs, **shown).items())
    if position != "absolute":
        got.pop("past_key_values", None)
    elif kind != "encoder":
        assert ("past_key_values" in got) == (head in {"model", "causal_lm"})
    agreement.in_float64(head, engine, flat(got), flat(wanted))


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_the_peer_keeps_within_the_derived_budget_of_the_spec(
    case: tuple[str, ...], pairs: Any, agreement: Any
) -> None:
    pair = pairs(*case)
    assert set(pair.in_float32) == set(pair.permitted)
    agreement.require(pair.head, "the spec in float64", "float32", pair.in_float32, pair.permitted)


@on_engines(CASES, full=(*FULL, "torch fused"))
def test_float32_engines_are_as_near_to_the_peer_as_two_of_them_may(
    run: tuple[str, ...], engine: str, pairs: Any, agreement: Any
) -> None:
    pair = pairs(*run)
    shown = {} if engine == "torch fused" else SHOWS_ALL
    found = flat(dict(pair.ours(engine, "float32")(**pair.labelled, **shown).items()))
    not_shown = ("hidden_states", "attentions", "cross_attentions") if engine == "torch fused" else ()
    limits = {name: budget for name, budget in pair.permitted.items() if not name.startswith(not_shown)}
    agreement.in_float32(pair.head, engine, found, pair.in_float32, limits)


@pytest.mark.parametrize("name", ACTIVATIONS)
@ON_ENGINES
def test_every_activation_is_the_peers_function_of_that_name(
    name: str, engine: str, tmp_path: Path, agreement: Any
) -> None:
    peer = random_peer("model", "absolute", "encoder", hidden_act=name)
    with torch.no_grad():
        for layer in peer.encoder.layer:
            layer.intermediate.dense.weight *= 20  # as far out as some activations clip
    peer.save_pretrained(tmp_path)
    ours = our_class("model").from_pretrained(tmp_path, backend=engine, dtype="float64", strict=True)
    inputs = right_padded("model")
    with torch.no_grad():
        got, wanted = dict(ours(**inputs).items()), dict(peer(**tensors(inputs)).items())
    agreement.in_float64("model", engine, flat(got), flat(wanted))


# -- losses and gradients ----------------------------------------------------------------------------------------------


def peers_loss(head: str, peer: Any, inputs: Mapping[str, Any]) -> torch.Tensor:
    """The peer's loss; of a causal model its formula on its own float64 logits, which it would cast to float32."""
    if head != "causal_lm":
        return peer(**tensors(inputs)).loss
    labels = torch.from_numpy(inputs["labels"])[:, 1:].flatten()
    logits = peer(**tensors({name: value for name, value in inputs.items() if name != "labels"})).logits[:, :-1]
    return F.cross_entropy(logits.flatten(0, 1), labels)


@on_engines([case for case in CASES if case[0] != "model"], full=(*FULL, "torch fused"))
def test_losses_agree_in_float64(run: tuple[str, ...], engine: str, pairs: Any, agreement: Any) -> None:
    pair = pairs(*run)
    with torch.no_grad():
        wanted = peers_loss(pair.head, pair.peer, pair.labelled)
        got = pair.ours(engine)(**pair.labelled, output_attentions=engine == "torch").loss
    agreement.in_float64(pair.head, engine, flat({"loss": got}), flat({"loss": wanted}))


def test_the_causal_loss_is_the_peers_own_as_far_as_its_float32_goes(pairs: Any) -> None:
    pair = pairs("causal_lm", "absolute", "decoder")
    inputs = {**right_padded("causal_lm"), **labels_of("causal_lm")}
    with torch.no_grad():
        wanted = pair.peer(**tensors(inputs)).loss
        logits = pair.ours("torch")(**inputs).logits
        got = pair.ours("torch")(**inputs).loss
    assert wanted.dtype == torch.float32
    # The cast moves each of two terms of the loss (log-sum and chosen logit) by u |logit|; the sum of V, the mean of n
    # and the difference are formed in float32 as well.
    u, n = 2.0**-24, inputs["labels"].size
    limit = u * (2 * logits.abs().max() + V + (n + 2) * got)
    assert abs(got - wanted) <= limit


PROBLEMS = {
    "regression of one number": ("regression", 1, (B,), "float"),
    "regression of one number, in a column": ("regression", 1, (B, 1), "float"),
    "regression of L numbers": ("regression", L, (B, L), "float"),
    "one label of L": ("single_label_classification", L, (B,), "int"),
    "several labels of L": ("multi_label_classification", L, (B, L), "yes or no"),
    "inferred from one label": (None, 1, (B,), "float"),
    "inferred from integers": (None, L, (B,), "int"),
    "inferred from numbers": (None, L, (B, L), "yes or no"),
}


@ON_ENGINES
@pytest.mark.parametrize("problem", PROBLEMS)
def test_sequence_classification_has_the_peers_loss_for_every_problem_type(
    problem: str, engine: str, tmp_path: Path, agreement: Any
) -> None:
    kind, count, shape, values = PROBLEMS[problem]
    head = "sequence_classification"
    peer = random_peer(head, "absolute", "encoder", num_labels=count, problem_type=kind)
    peer.save_pretrained(tmp_path)
    rng = np.random.default_rng(8)
    drawn = {"int": rng.integers(0, count, shape), "float": rng.standard_normal(shape)}
    labels = drawn.get(values, rng.integers(0, 2, shape).astype(np.float64))
    inputs = {**right_padded(head), "labels": labels}
    with torch.no_grad():
        wanted = peer(**tensors(inputs))
        got = our_class(head).from_pretrained(tmp_path, backend=engine, dtype="float64")(**inputs)
    agreement.in_float64(head, engine, flat(dict(got.items())), flat(dict(wanted.items())))


@on_engines(CASES, full=("torch", "torch fused"), others=())
def test_gradients_of_all_parameters_agree_in_float64(
    run: tuple[str, ...], engine: str, pairs: Any, agreement: Any
) -> None:
    require_the_same_gradients(pairs(*run), engine, agreement)


#: Each head once: tests/test_gradients.py has every kind and type of positions, against finite differences.
EACH_HEAD = [(head, POSITIONS[i % 3], "cross" if head == "model" else "encoder") for i, head in enumerate(HEADS)]


@on_engines(EACH_HEAD, full=(), others=("tensorflow", "flax"))
def test_gradients_of_other_engines_agree_in_float64(
    run: tuple[str, ...], engine: str, pairs: Any, agreement: Any
) -> None:
    require_the_same_gradients(pairs(*run), engine, agreement)


def require_the_same_gradients(pair: Pair, engine: str, agreement: Any) -> None:
    ours = pair.ours(engine)
    got = ours.engine.gradients(ours, {**pair.labelled, "output_attentions": engine == "torch"})
    wanted = peers_gradients(pair)
    assert list(got) == list(wanted)
    limits = largest_in_block(wanted)
    idle = [name for name, limit in limits.items() if limit == 0]
    assert not any(got[name].any() for name in idle)
    permitted = {n: Budget(wanted[n], *[np.full(wanted[n].shape, agreement.LIMIT * limits[n])] * 2) for n in limits}
    judged = {name: budget for name, budget in permitted.items() if name not in idle}
    agreement.require(pair.head, f"{engine} gradients", "float64", got, judged)


def peers_gradients(pair: Pair) -> dict[str, np.ndarray]:
    """Parameter -> gradient of the loss; of the bare model, which has none, of what `gradients` of an engine takes."""
    if pair.head == "model":
        output = pair.peer(**tensors(pair.labelled))
        loss = output.last_hidden_state.sin().sum() + output.pooler_output.sum()
    else:
        loss = peers_loss(pair.head, pair.peer, pair.labelled)
    named = dict(pair.peer.named_parameters())
    found = torch.autograd.grad(loss, list(named.values()), materialize_grads=True)
    return {name: gradient.numpy() for name, gradient in zip(named, found, strict=True)}


def largest_in_block(gradients: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Parameter -> the largest gradient in the same block, such as query, key and value together.

    Not in the same tensor: the gradient of a key's bias is 0, as a softmax does not see what all scores share; so are
    those of query and key for a decoder's first token, which sees itself alone. What is left of them is rounding.
    """
    largest: dict[str, float] = {}
    for name, gradient in gradients.items():
        largest[block(name)] = max(largest.get(block(name), 0.0), float(np.abs(gradient).max()))
    return {name: largest[block(name)] for name in gradients}


def block(name: str) -> str:
    return name.rsplit(".", 2)[0]


# -- the cache ---------------------------------------------------------------------------------------------------------

DECODERS = [(head, p, kind) for head, p, kind in CASES if kind != "encoder" and head in {"model", "causal_lm"}]
SPLITS = [(1, T - 1), (4, 7), (T - 1, 1), (2, 3, 6), (1,) * T]
IN_PIECES = ["plain", "padded on the left", "embeddings", "token types and positions"]


def in_pieces(model: Any, inputs: Mapping[str, Any], sizes: tuple[int, ...]) -> np.ndarray:
    """The first output of a decoder that sees its text in pieces, put together again."""
    past, parts, start = None, [], 0
    for size in sizes:
        piece = slice(start, start + size)
        given = dict(inputs)
        for name in ("input_ids", "inputs_embeds", "token_type_ids", "position_ids"):
            if name in given:
                given[name] = given[name][:, piece]
        if "attention_mask" in given:
            given["attention_mask"] = given["attention_mask"][:, : start + size]
        output = model(**given, past_key_values=past, use_cache=True)
        past, start = output.past_key_values, start + size
        parts.append(flat({"first": output[0]})["first"])
    return np.concatenate(parts, axis=1)


@on_engines(list(product(DECODERS, IN_PIECES, SPLITS)), others=())
def test_a_text_in_pieces_is_the_peers_text_in_one_piece(
    run: tuple[Any, ...], engine: str, pairs: Any, agreement: Any
) -> None:
    case, variant, sizes = run
    require_the_same_in_pieces(pairs(*case), variant, sizes, engine, agreement)


@on_engines([(*case, variant) for case, variant in product(DECODERS, IN_PIECES)], full=())
def test_other_engines_give_the_peers_text_in_two_pieces(
    run: tuple[str, ...], engine: str, pairs: Any, agreement: Any
) -> None:
    require_the_same_in_pieces(pairs(*run[:3]), run[3], (4, 7), engine, agreement)


def require_the_same_in_pieces(pair: Pair, variant: str, sizes: tuple[int, ...], engine: str, agreement: Any) -> None:
    inputs = with_source(VARIANTS[variant](pair.head), pair.kind)
    # A masked row looks at nobody, and so uniformly at everybody there is: fewer keys, in pieces. It is never read.
    is_read = np.asarray(inputs.get("attention_mask", np.ones((B, T)))) == 1
    with torch.no_grad():
        wanted = pair.ask_peer(inputs, use_cache=False)
        got = in_pieces(pair.ours(engine), inputs, sizes)
    first = next(iter(wanted.values())).numpy()
    agreement.in_float64(pair.head, engine, {"first": got[is_read]}, {"first": first[is_read]})


@pytest.mark.parametrize("kind", ["decoder", "cross"])
@pytest.mark.parametrize("head", ["model", "causal_lm"])
@pytest.mark.parametrize("engine", [*FULL, "torch fused", *OTHERS_MARKED])
def test_the_next_piece_has_the_peers_outputs_attentions_and_cache(
    pairs: Any, head: str, kind: str, engine: str, agreement: Any
) -> None:
    pair, P = pairs(head, "absolute", kind), 4
    ids = token_ids(head)
    source = with_source({}, kind)
    shows_all = {} if engine == "torch fused" else SHOWS_ALL
    ours = pair.ours(engine)
    with torch.no_grad():
        mine = ours(input_ids=ids[:, :P], **source).past_key_values
        got = ours(input_ids=ids[:, P:], past_key_values=mine, **source, **shows_all)
        theirs = pair.peer(**tensors({"input_ids": ids[:, :P], **source})).past_key_values
        legacy = theirs.to_legacy_cache()
        wanted = pair.peer(**tensors({"input_ids": ids[:, P:], **source}), past_key_values=theirs, **shows_all)
        on_theirs = ours(input_ids=ids[:, P:], past_key_values=exchanged(legacy, engine), **source, **shows_all)
    for output in (got, on_theirs):
        agreement.in_float64(head, engine, flat(dict(output.items())), flat(dict(wanted.items())))


def exchanged(legacy: Any, engine: str) -> Any:
    """The peer's tuple of keys and values, as arrays of our engine; None where it has no cross-attention."""
    layers = tuple(tuple(part for part in layer if part is not None) for layer in legacy)
    return layers if engine.startswith("torch") else tuple(tuple(part.numpy() for part in layer) for layer in layers)


# -- the way back ------------------------------------------------------------------------------------------------------


@on_engines(CASES)
def test_a_folder_that_we_save_loads_in_the_peer_and_gives_the_same(
    run: tuple[str, ...], engine: str, tmp_path: Path, agreement: Any
) -> None:
    head, position, kind = run
    config = roberta.RobertaConfig(**fields(position, kind, head, use_cache=position == "absolute"))
    ours = our_class(head)(config, backend=engine, dtype="float64").train(False)
    ours.load_state_dict_numpy({name: random_value(name, p.shape) for name, p in ours.table.items()})
    ours.save_pretrained(tmp_path)
    peer, report = peer_class(head).from_pretrained(
        tmp_path, output_loading_info=True, dtype=torch.float64, attn_implementation="eager"
    )
    assert not any(report.values()), report
    inputs = with_source(right_padded(head), kind)
    with torch.no_grad():
        wanted = dict(peer.eval()(**tensors(inputs), output_attentions=True).items())
        got = dict(ours(**inputs, output_attentions=True).items())
    if position != "absolute":
        got.pop("past_key_values", None)
    agreement.in_float64(head, engine, flat(got), flat(wanted))


@ON_ENGINES
def test_an_untied_language_model_goes_both_ways(engine: str, tmp_path: Path, agreement: Any) -> None:
    head = "masked_lm"
    peer = random_peer(head, "absolute", "encoder", tie_word_embeddings=False)
    peer.save_pretrained(tmp_path / "theirs")
    ours = our_class(head).from_pretrained(tmp_path / "theirs", backend=engine, dtype="float64", strict=True)
    ours.save_pretrained(tmp_path / "ours")
    again, report = peer_class(head).from_pretrained(
        tmp_path / "ours", output_loading_info=True, dtype=torch.float64, attn_implementation="eager"
    )
    assert not any(report.values()), report
    inputs = right_padded(head)
    with torch.no_grad():
        got, wanted = dict(ours(**inputs).items()), dict(peer(**tensors(inputs)).items())
        agreement.in_float64(head, engine, flat(got), flat(wanted))
        for name, parameter in peer.state_dict().items():
            assert torch.equal(again.state_dict()[name], parameter), name
        # where weights lie in memory changes how some processors round their products
        agreement.in_float64(head, engine, flat(dict(again.eval()(**tensors(inputs)).items())), flat(wanted))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@ON_ENGINES
def test_a_file_of_any_precision_gives_the_peers_parameters_to_the_bit(engine: str, dtype: str, tmp_path: Path) -> None:
    peer = random_peer("masked_lm", "absolute", "encoder")
    with torch.no_grad():
        peer.lm_head.bias[:2] = torch.tensor([2.0**100, 2.0**-100])  # what bfloat16 holds and float16 does not
    peer.to(getattr(torch, dtype)).save_pretrained(tmp_path)
    ours = our_class("masked_lm").from_pretrained(tmp_path, backend=engine, dtype="float64", strict=True)
    state = ours.state_dict_numpy()
    for name, tensor in peer.state_dict().items():
        assert np.array_equal(state[name], tensor.double().numpy()), name


@pytest.mark.parametrize("head", HEADS)
def test_names_and_shapes_are_the_peers_in_its_order(pairs: Any, head: str) -> None:
    for position, kind in product(POSITIONS, KINDS):
        if (head, position, kind) in CASES:
            pair = pairs(head, position, kind)
            wanted = {name: tuple(tensor.shape) for name, tensor in pair.peer.state_dict().items()}
            assert {name: p.shape for name, p in pair.ours("numpy").table.items()} == wanted
            assert list(pair.ours("numpy").table) == list(wanted)
            assert list(pair.ours("torch").state_dict()) == list(wanted)
            trained = [name for name, _ in pair.peer.named_parameters()]
            assert [name for name, _ in pair.ours("torch").named_parameters()] == trained
