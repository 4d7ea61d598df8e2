"""What is PyTorch's own in `for_inference`: routes that are probed, weights that are watched, modules it knows."""

from __future__ import annotations

import copy
import dataclasses
import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import roberta
import torch
from roberta.backends.arrays.flat import Flat, flat_batch
from roberta.backends.pytorch import products, rows
from roberta.backends.pytorch.products import Dense, Packed, dense, keeps_bits
from roberta.parity.cases import draw_case
from roberta.parity.compare import compare_outputs
from roberta.parity.probes.real_tokens import judged
from roberta.parity.tolerances import budgets, flat_outputs
from roberta.reference.inputs import Inputs
from torch import Tensor, nn

CASE = draw_case("masked_lm", 5)
INPUTS = {name: value for name, value in CASE.inputs.items() if name != "labels"}


def made() -> Any:
    return roberta.RobertaForMaskedLM(CASE.config, backend="torch", state=CASE.state)


@pytest.fixture
def model() -> Any:
    return made()


def require(found: Any, dtype: str = "float32", inputs: Any = INPUTS, spec: Any = None) -> None:
    limits, _ = budgets(spec or made().to_backend("numpy", "float64"), inputs, dtype)
    limits = {n: b.judging(judged(n, b.truth.shape, inputs, "masked_lm")) for n, b in limits.items()}
    for comparison in compare_outputs(flat_outputs(found), limits):
        assert comparison.passed, str(comparison)


# -- routes ------------------------------------------------------------------------------------------------------------


class Narrow(Dense):
    """Computes with factors of fewer bits, as oneDNN and cuBLAS do where they are allowed to."""

    kind = torch.bfloat16

    def __call__(self, x: Tensor) -> Tensor:
        return super().__call__(self.narrowed(x))

    def narrowed(self, x: Tensor) -> Tensor:
        return x.to(self.kind).to(x.dtype)


class TF32(Narrow):
    def narrowed(self, x: Tensor) -> Tensor:
        return (x.view(torch.int32) + 0x1000 & ~0x1FFF).view(torch.float32)


class Halves(Narrow):
    """x in two parts of bfloat16, which is 16 bits."""

    def narrowed(self, x: Tensor) -> Tensor:
        high = super().narrowed(x)
        return high + super().narrowed(x - high)


class OfLongSums(Narrow):
    """As a library may choose, by size."""

    def narrowed(self, x: Tensor) -> Tensor:
        return super().narrowed(x) if x.shape[1] > 64 else x


class OfManyRows(Narrow):
    def narrowed(self, x: Tensor) -> Tensor:
        return super().narrowed(x) if len(x) > 256 else x


class NarrowWeight(Dense):
    def laid_out(self, weight: Tensor) -> Tensor:
        return weight.half().to(weight.dtype)


class NarrowSum(Dense):
    """Sums of blocks, added up in half precision."""

    def __call__(self, x: Tensor) -> Tensor:
        blocks = zip(x.split(32, 1), self.weight.split(32, 1), strict=True)
        return sum((a @ b.T).bfloat16() for a, b in blocks).to(x.dtype) + self.bias


class TanhGelu(Dense):
    def gelu(self, x: Tensor) -> Tensor:
        return nn.functional.gelu(self(x), approximate="tanh")


class Raising(Dense):
    def __call__(self, x: Tensor) -> Tensor:
        message = "could not create a primitive"
        raise RuntimeError(message)


@pytest.mark.parametrize(
    "route", [Narrow, TF32, Halves, OfLongSums, OfManyRows, NarrowWeight, NarrowSum, TanhGelu, Raising]
)
def test_a_route_that_drops_bits_or_raises_is_passed_over(route: type[Dense], monkeypatch: pytest.MonkeyPatch) -> None:
    assert not keeps_bits(route, torch.float32)
    monkeypatch.setattr(products, "ROUTES", (route, Dense))
    products.best_route.cache_clear()
    try:
        assert type(dense(torch.randn(5, 7), torch.randn(5))) is Dense
    finally:
        products.best_route.cache_clear()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_the_plain_route_keeps_bits_of_every_dtype(dtype: torch.dtype) -> None:
    assert keeps_bits(Dense, dtype)


def test_a_packed_weight_comes_out_as_it_went_in() -> None:
    if not keeps_bits(Packed, torch.float32):
        pytest.skip("this processor or build has no packed product in float32")
    weight, bias = torch.randn(50, 33), torch.randn(50)
    assert torch.equal(Packed(weight, bias).plain(), weight)


def test_no_setting_of_the_process_is_changed(model: Any) -> None:
    before = (torch.get_float32_matmul_precision(), torch.get_num_threads(), torch.is_grad_enabled())
    products.best_route.cache_clear()
    model.for_inference()(**INPUTS)
    assert (torch.get_float32_matmul_precision(), torch.get_num_threads(), torch.is_grad_enabled()) == before


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float16"])
def test_other_dtypes_stay_within_their_budgets(model: Any, dtype: str) -> None:
    twin = model.for_inference(dtype)
    assert (twin.dtype, twin.dtype_name) == (getattr(torch, dtype), dtype)
    require(twin(**INPUTS), dtype)
    with pytest.raises(ValueError, match="no way for a head mask, and its model computes in float32"):
        twin(**INPUTS, head_mask=np.ones(3))


# -- the model behind it -----------------------------------------------------------------------------------------------


def in_place(model: Any) -> None:
    with torch.no_grad():
        model.lm_head.dense.weight.add_(1)


def by_an_optimizer(model: Any) -> None:
    model(**CASE.inputs).loss.backward()
    torch.optim.AdamW(model.parameters()).step()


def by_replacing_a_parameter(model: Any) -> None:
    model.lm_head.dense.weight = nn.Parameter(model.lm_head.dense.weight.detach() + 1)


def by_replacing_a_module(model: Any) -> None:
    model.lm_head.dense = nn.Linear(*model.lm_head.dense.weight.shape)


def by_other_memory(model: Any) -> None:
    model.lm_head.dense.weight.data = model.lm_head.dense.weight.data + 1


CHANGES = {
    "in place": in_place,
    "optimizer": by_an_optimizer,
    "parameter": by_replacing_a_parameter,
    "module": by_replacing_a_module,
    "memory": by_other_memory,
    "load": lambda model: model.load_state_dict(model.state_dict()),
    "assign": lambda model: model.load_state_dict({n: v + 1 for n, v in model.state_dict().items()}, assign=True),
    "double": lambda model: model.double(),
    "pruned": lambda model: model.prune_heads({0: [1]}),
    "resized": lambda model: model.resize_token_embeddings(120),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("keep_weights", [True, False])
def test_weights_that_change_are_noticed(model: Any, change: Any, keep_weights: bool) -> None:
    twin = model.for_inference(keep_weights=keep_weights)
    twin(**INPUTS)
    change(model)
    with pytest.raises(RuntimeError, match=r"weights have changed since for_inference\(\).*call it again"):
        twin(**INPUTS)
    model.for_inference()(**INPUTS)


def test_the_copy_of_a_twin_watches_its_own_model(model: Any) -> None:
    twin = copy.deepcopy(model.for_inference())
    in_place(model)
    twin(**INPUTS)
    in_place(twin.model)
    with pytest.raises(RuntimeError, match="call it again"):
        twin(**INPUTS)


def test_what_changes_no_weight_is_no_change(model: Any) -> None:
    twin = model.for_inference()
    expected = twin(**INPUTS).logits
    model.train()(**CASE.inputs).loss.backward()
    model.eval().requires_grad_(False)
    assert torch.equal(twin(**INPUTS).logits, expected)


def test_a_model_that_inference_mode_has_made() -> None:
    with torch.inference_mode():
        model = made()
    require(model.for_inference()(**INPUTS))


def test_a_dense_layer_without_bias(model: Any) -> None:
    own = model.roberta.encoder.layer[0].attention.self
    for layers, name in ((own, "key"), (model.lm_head, "dense")):
        plain = getattr(layers, name)
        bare = nn.Linear(plain.in_features, plain.out_features, bias=False)
        setattr(layers, name, bare)
    spec = made().to_backend("numpy", "float64")
    zeroed = {n: v * 0 if n.endswith(("layer.0.attention.self.key.bias", "lm_head.dense.bias")) else v
              for n, v in {**spec.state_dict_numpy(), **state_of(model)}.items()}  # fmt: skip
    spec.load_state_dict_numpy(zeroed)
    limits, _ = budgets(spec, INPUTS, "float32")
    limits = {n: b.judging(judged(n, b.truth.shape, INPUTS, "masked_lm")) for n, b in limits.items()}
    (comparison,) = compare_outputs(flat_outputs(model.for_inference()(**INPUTS)), limits)
    assert comparison.passed, str(comparison)


def state_of(model: Any) -> dict[str, Any]:
    return {name: value.double().numpy() for name, value in model.state_dict().items()}


def test_autocast_changes_nothing(model: Any) -> None:
    twin = model.for_inference()
    expected = twin(**INPUTS).logits
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(twin(**INPUTS).logits, expected)


def test_without_its_model_the_weights_are_gone() -> None:
    model = made()
    twin = model.for_inference(keep_weights=False)
    layer = weakref.ref(model.roberta.encoder.layer[0].intermediate.dense.weight)
    del model
    gc.collect()
    assert layer() is None
    twin(**INPUTS)


@pytest.mark.parametrize("what", ["hook", "forward", "another module", "parametrised"])
def test_modules_that_compute_otherwise_are_named(model: Any, what: str) -> None:
    dense_layer = model.roberta.encoder.layer[1].output.dense
    if what == "hook":
        dense_layer.register_forward_hook(lambda *_: None)
    elif what == "forward":
        dense_layer.forward = lambda x: x
    elif what == "another module":
        model.roberta.encoder.layer[1].output.dense = nn.Sequential(dense_layer, nn.Identity())
    else:
        nn.utils.parametrizations.weight_norm(dense_layer)
    with pytest.raises(TypeError, match=r"roberta\.encoder\.layer\.1\.output\.dense.*merge or remove it first"):
        model.for_inference()


def test_gradients_are_refused(model: Any) -> None:
    vectors = torch.randn(1, 4, 33, requires_grad=True)
    with pytest.raises(ValueError, match="computes no gradients; call the model it was made of"):
        model.for_inference()(inputs_embeds=vectors)


def test_a_traced_call_is_its_models(model: Any) -> None:
    twin, ids = model.for_inference(), torch.from_numpy(INPUTS["input_ids"][:1])
    graph = torch.export.export(_Wrapped(model, twin), (ids,))
    torch.testing.assert_close(graph.module()(ids), model(ids).logits, rtol=0, atol=0)


class _Wrapped(nn.Module):
    def __init__(self, model: Any, twin: Any) -> None:
        super().__init__()
        self.model = model
        self.twin = [twin]

    def forward(self, ids: Tensor) -> Tensor:
        return self.twin[0](ids).logits


def test_threads_share_it(model: Any) -> None:
    twin = model.for_inference()
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: twin(**INPUTS), range(16)):
            require(found)


def test_a_row_alone_is_the_same_as_in_the_batch_within_the_budget(model: Any) -> None:
    twin = model.for_inference()
    limits, _ = budgets(model.to_backend("numpy", "float64"), INPUTS, "float32")
    budget = limits["logits"].judging(judged("logits", (3, 13, 101), INPUTS, "masked_lm"))
    for b in range(3):
        alone = twin(**{name: value[b : b + 1] for name, value in INPUTS.items()}).numpy()["logits"][0]
        is_real = INPUTS["attention_mask"][b] == 1
        error = np.abs(alone - budget.truth[b])[is_real]
        assert (error <= budget.limit[b][is_real]).all()


# -- decoders ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["alone", "with an encoder"])
def test_decoders_and_their_caches(kind: str, make_config: Any, make_model: Any) -> None:
    crossed = {"add_cross_attention": True} if kind == "with an encoder" else {}
    model = make_model("causal_lm", make_config(is_decoder=True, **crossed), "torch")
    spec, twin, rng = (
        model.to_backend("numpy", "float64"),
        model.for_inference(keep_weights=False),
        np.random.default_rng(3),
    )
    ids = rng.integers(2, 53, (3, 7))
    mask = np.ones((3, 7), int)
    mask[1, :3] = 0
    source = {"encoder_hidden_states": rng.standard_normal((3, 5, 21))} if crossed else {}
    call = {"input_ids": ids[:, :4], "attention_mask": mask[:, :4], "use_cache": True, **source}
    first, expected = twin(**call), spec(**call)
    require(first, inputs=call, spec=spec)
    step = {"input_ids": ids[:, 4:], "attention_mask": mask, **source}
    # what comes from the first call was judged there
    found = dataclasses.replace(twin(**step, past_key_values=first.past_key_values), past_key_values=None)
    require(found, inputs={**step, "past_key_values": expected.past_key_values, "use_cache": False}, spec=spec)


def test_a_twin_writes_the_same_text(make_config: Any, make_model: Any) -> None:
    model = make_model("causal_lm", make_config(is_decoder=True), "torch")
    ids = [[1, 1, 5, 6], [7, 8, 9, 10]]
    for options in ({}, {"use_cache": False}, {"do_sample": True, "seed": 3}):
        given = {"max_new_tokens": 9, "eos_token_id": (), **options}
        assert torch.equal(model.for_inference().generate(ids, **given), model.generate(ids, **given))


def test_masks_of_three_axes(model: Any) -> None:
    ids = INPUTS["input_ids"]
    B, T = ids.shape
    mask = np.tril(np.ones((B, T, T), int))
    mask[0, 0] = 0
    require(
        model.for_inference(keep_weights=False)(ids, attention_mask=mask),
        inputs={"input_ids": ids, "attention_mask": mask},
    )


# -- rows of any sizes in one call -------------------------------------------------------------------------------------

CPU = torch.device("cpu")
SHOWN = np.arange(9) < np.array([9, 4, 0, 1, 0, 6])[:, None]
SHOWN[5, 0] = False  # a first token that looks, and is not looked at
ASKED = np.array([[0, 2], [5, 0], [5, 8], [1, 1], [3, 3]])


def row_by_row(query: Tensor, key: Tensor, value: Tensor, starts: tuple[Tensor, ...], most: tuple[int, int]) -> Tensor:
    """What the accelerator's kernel is to compute, as the equation says it."""
    found = []
    for (a, b), (c, d) in zip(*map(pairwise, starts), strict=True):
        assert 0 < b - a <= most[0]
        assert 0 < d - c <= most[1]
        scores = torch.einsum("thk,shk->hts", query[a:b], key[c:d]) / query.shape[-1] ** 0.5
        found.append(torch.einsum("hts,shk->thk", scores.softmax(-1), value[c:d]))
    return torch.cat(found)


@pytest.mark.parametrize("head", ["masked_lm", "sequence_classification", "positions"])
def test_all_rows_in_one_call_are_each_row_by_itself(head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "kernel", row_by_row)
    asked = ASKED if head == "positions" else None
    name = "masked_lm" if head == "positions" else head
    flat = flat_batch(name, Inputs(np.ones(SHOWN.shape, np.int64), positions=asked), SHOWN)
    batches = [flat.starts]
    if flat.wanted is not None:
        row = np.searchsorted(flat.starts, np.sort(flat.wanted), side="right") - 1
        batches.append(np.concatenate([[0], np.bincount(row, minlength=len(SHOWN)).cumsum()]))
    for query_starts in batches:
        generator = torch.Generator().manual_seed(0)
        query = torch.randn(query_starts[-1], 2, 8, generator=generator, dtype=torch.float64)
        stacked = torch.randn(len(flat.places), 2, 2, 8, generator=generator, dtype=torch.float64)
        together = rows.Together(query_starts, flat, CPU)(query, *stacked.unbind(1))
        torch.testing.assert_close(together, rows.ByRow(query_starts, flat)(query, *stacked.unbind(1)))


def test_a_kernel_for_rows_of_any_sizes_is_tried_with_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = rows.keeps_bits.__wrapped__
    assert not tried(torch.float32, CPU, 64)  # there is none for the processor
    monkeypatch.setattr(rows, "kernel", row_by_row)
    assert all(tried(dtype, CPU, 64) for dtype in rows.PRECISIONS)

    def in_tf32(query: Tensor, key: Tensor, value: Tensor, *where: Any) -> Tensor:
        narrow = (value.view(torch.int32) & ~0x1FFF).view(torch.float32)
        return row_by_row(query, key, narrow, *where)

    def mixes_rows(query: Tensor, key: Tensor, value: Tensor, starts: Any, most: Any) -> Tensor:
        return row_by_row(query, key, value, tuple(part[[0, -1]] for part in starts), (len(query), len(key)))

    for wrong in (in_tf32, mixes_rows):
        monkeypatch.setattr(rows, "kernel", wrong)
        assert not tried(torch.float32, CPU, 64)


def test_rows_of_one_size_are_left_to_pytorch() -> None:
    flat = Flat((2, 3), np.arange(6), np.array([0, 3, 6]), np.array([3, 3]), np.zeros(2, bool), None)
    where = (torch.device("cuda"), torch.float16, 64)
    assert isinstance(rows.attention_of(flat.starts, flat, *where), rows.ByRow)
