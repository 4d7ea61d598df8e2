"""Fingerprints of emulated arithmetics, whose answers are known; the machine; hashes."""

from __future__ import annotations

import hashlib
import json
import sys

import ml_dtypes
import numpy as np
import pytest
import roberta
from roberta.parity.cases import draw_case, small_config
from roberta.parity.probes.probe import Call, Probe
from roberta.parity.reports import environment as environment_module
from roberta.parity.reports import hashes
from roberta.parity.reports.environment import arithmetic, engine_products, environment, processor, versions
from roberta.parity.reports.fingerprint import fingerprint

# -- emulated arithmetics ----------------------------------------------------------------------------------------------


def in_order(a, b, dtype=np.float32):
    total = np.zeros((len(a), b.shape[1]), dtype)
    for k in range(a.shape[1]):
        total = total + a[:, k, None].astype(dtype) * b[k].astype(dtype)
    return total.astype(np.float32)


def fused_in_order(a, b):
    """A product of two floats is exact in float64, so that the sum is rounded once."""
    total = np.zeros((len(a), b.shape[1]), np.float32)
    for k in range(a.shape[1]):
        total = (total.astype(np.float64) + np.outer(a[:, k].astype(np.float64), b[k])).astype(np.float32)
    return total


def in_lanes(a, b, lanes=8):
    a, b = padded(a, lanes, 1), padded(b, lanes, 0)
    return sum(fused_in_order(a[:, lane::lanes], b[lane::lanes]) for lane in range(lanes))


def padded(x, multiple, axis):
    width = [(0, 0), (0, 0)]
    width[axis] = (0, -x.shape[axis] % multiple)
    return np.pad(x, width)


def pairwise(a, b):
    terms = a[:, :, None] * b[None]
    while terms.shape[1] > 1:
        terms = np.pad(terms, [(0, 0), (0, terms.shape[1] % 2), (0, 0)])
        terms = terms[:, ::2] + terms[:, 1::2]
    return terms[:, 0]


def in_float64(a, b):
    return (a.astype(np.float64) @ b.astype(np.float64)).astype(np.float32)


def in_bfloat16(a, b):
    return in_order(a, b, ml_dtypes.bfloat16)


def cut(x, digits):
    mask = np.uint32(0xFFFFFFFF ^ ((1 << (23 - digits)) - 1))
    return (np.ascontiguousarray(x, np.float32).view(np.uint32) & mask).view(np.float32)


def tf32(a, b):
    return in_order(cut(a, 10), cut(b, 10))


def flushing(a, b):
    return flushed(in_order(flushed(a), flushed(b)))


def flushing_results(a, b):
    return flushed(in_order(a, b)) if (np.abs(a[a != 0]) >= 2.0**-126).all() else in_order(a, b)


def flushed(x):
    return np.where(np.abs(x) < 2.0**-126, np.float32(0), x)


def toward_zero(a, b):
    total = np.zeros((len(a), b.shape[1]), np.float32)
    for k in range(a.shape[1]):
        exact = total.astype(np.float64) + np.outer(a[:, k].astype(np.float64), b[k])
        near = exact.astype(np.float32)
        total = np.where(np.abs(near) > np.abs(exact), np.nextafter(near, np.float32(0)), near)
    return total


def unsteady():
    rng = np.random.default_rng(0)

    def product(a, b):
        order = rng.permutation(a.shape[1]) if a.shape[1] > 64 else np.arange(a.shape[1])
        return in_order(a[:, order], b[order])

    return product


def by_rows(a, b):
    return in_order(a, b) if len(a) > 1 else pairwise(a, b)


#: Arithmetic -> what its fingerprint must say.
ARITHMETICS = {
    "in order": (in_order, {
        "factors": "float32", "accumulation": "float32, in order", "partial sums": 1, "fused multiply-add": "no",
        "subnormal factors": "kept", "subnormal results": "kept", "rounding": "to nearest even",
        "same twice": True, "same alone": True,
    }),
    "fused": (fused_in_order, {"accumulation": "float32, in order", "fused multiply-add": "yes"}),
    "eight lanes": (in_lanes, {
        "accumulation": "float32, in parts", "partial sums": 8, "fused multiply-add": "yes",
    }),
    "pairwise": (pairwise, {"accumulation": "float32, in parts", "fused multiply-add": "no", "factor digits": 23}),
    "float64": (in_float64, {
        "accumulation": "wider than float32", "fused multiply-add": "unknown", "factors": "float32",
        "rounding": "to nearest even",
    }),
    "bfloat16": (in_bfloat16, {
        "accumulation": "narrower than float32", "factors": "bfloat16", "factor digits": 7, "rounding": "unknown",
    }),
    "TF32": (tf32, {
        "factors": "TF32 or float16", "factor digits": 10, "fused multiply-add": "unknown", "rounding": "unknown",
        "accumulation": "float32, in order",
    }),
    "flushing": (flushing, {"subnormal factors": "zero", "subnormal results": "zero", "factors": "float32"}),
    "flushing results": (flushing_results, {"subnormal factors": "kept", "subnormal results": "zero"}),
    "toward zero": (toward_zero, {"rounding": "toward zero", "factors": "float32"}),
    "unsteady": (unsteady(), {"same twice": False}),
    "by rows": (by_rows, {"same twice": True, "same alone": False}),
}  # fmt: skip


@pytest.mark.parametrize(("product", "expected"), ARITHMETICS.values(), ids=ARITHMETICS)
def test_the_fingerprint_names_the_arithmetic(product, expected):
    found = fingerprint(product)
    assert {name: found[name] for name in expected} == expected
    assert json.loads(json.dumps(found)) == found


def test_every_engine_of_this_lane_has_a_product_that_multiplies(backend):
    roberta.RobertaModel(small_config(), backend=backend)
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((5, 7)).astype(np.float32), rng.standard_normal((7, 3)).astype(np.float32)
    found = engine_products()[backend](a, b)
    assert np.allclose(found, in_float64(a, b), atol=1e-5)
    assert found.dtype == np.float32


def test_an_engine_s_arithmetic_is_found_by_its_model_and_by_what_holds_it(backend):
    class Holder:
        model = roberta.RobertaModel(small_config(), backend=backend)

    found = arithmetic(Holder.model)
    assert found["known"]
    assert backend in found["of"]
    assert found["factors"] == "float32"
    assert arithmetic(Holder()) == found


# -- the machine -------------------------------------------------------------------------------------------------------


def test_an_environment_is_plain_data_and_the_same_twice():
    assert json.loads(json.dumps(environment())) == environment()


def test_versions_name_a_framework_that_is_imported_and_no_other(monkeypatch):
    monkeypatch.setitem(environment_module.FRAMEWORKS, "built_in_place", "built-in-place")
    assert "built-in-place" not in versions()
    monkeypatch.setitem(sys.modules, "built_in_place", type(sys)("built_in_place"))
    assert versions()["built-in-place"] == "unknown"


def test_a_processor_s_description_is_read():
    text = "model name\t: First\nflags\t\t: fma avx512f amx_tile other\n\nmodel name\t: Second\nflags\t\t: fma"
    assert (processor(text)["model"], processor(text)["instructions"]) == ("First", ["fma", "avx512f", "amx_tile"])
    assert processor("Features : asimd sve")["instructions"] == ["asimd", "sve"]
    assert processor("")["instructions"] is None


# -- hashes ------------------------------------------------------------------------------------------------------------


def test_arrays_are_hashed_by_value_not_by_layout():
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    same = [np.asfortranarray(x), x.astype(">f4"), np.arange(24, dtype=np.float32)[::2].reshape(3, 4) / 2]
    assert {hashes.hash_arrays({"x": other}) for other in same} == {hashes.hash_arrays({"x": x})}
    assert hashes.hash_arrays({"x": x.astype(ml_dtypes.bfloat16)}) != hashes.hash_arrays({"x": x})


@pytest.mark.parametrize(
    "other",
    [
        {"y": np.zeros((2, 3))},
        {"x": np.zeros((3, 2))},
        {"x": np.zeros((2, 3), np.float32)},
        {"x": -np.zeros((2, 3))},
        {"x": None},
        {"x": np.zeros((2, 3)), "y": np.zeros(0)},
        {"x": [np.zeros((2, 3))]},
    ],
)
def test_names_shapes_dtypes_and_bits_count(other):
    assert hashes.hash_arrays(other) != hashes.hash_arrays({"x": np.zeros((2, 3))})


def test_what_is_no_mapping_is_refused():
    with pytest.raises(TypeError, match="arrays: required a mapping of names to arrays, got ndarray"):
        hashes.hash_arrays(np.zeros(3))  # type: ignore[arg-type]


def test_a_model_has_one_hash_on_every_engine_and_ties_count_once(backend):
    case = draw_case("masked_lm", 3)
    model = roberta.RobertaForMaskedLM(case.config, backend="numpy", state=case.state)
    untied = {name: value for name, value in case.state.items() if not model.table[name].tied_to}
    assert len(untied) < len(case.state)
    assert hashes.hash_model(model) == hashes.hash_arrays(untied)
    assert hashes.hash_model(model.to_backend(backend)) == hashes.hash_model(model)


def test_the_hash_of_a_battery_depends_on_all_that_a_probe_asks():
    ids, state = {"input_ids": np.array([[3, 4]])}, {"w": np.ones(2)}
    probes = [
        Probe("a", (), (Call(ids),)),
        Probe("b", (), (Call(ids),)),
        Probe("a", (), (Call(ids), Call(ids))),
        Probe("a", (), (Call(ids), Call(ids, continues=True))),
        Probe("a", (), (Call({"input_ids": np.array([[4, 3]])}),)),
        Probe("a", (), (Call(ids),), state),
        Probe("a", (), (Call(ids),), judges_padding=True),
    ]
    found = [hashes.hash_probes([probe]) for probe in probes]
    assert len(set(found)) == len(found)
    assert hashes.hash_probes(probes) != hashes.hash_probes(probes[::-1])
    assert hashes.hash_probes(probes) == hashes.hash_probes(list(probes))


def test_a_file_is_hashed_by_its_bytes(tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(b"some bytes")
    assert hashes.hash_file(path) == hashlib.sha256(b"some bytes").hexdigest()
