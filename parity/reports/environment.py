"""What an audit ran on: versions, processor, threads, and the arithmetic of the candidate's products.

Everything here is the same for two runs on one machine: nothing is measured in time.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

import numpy as np

from ...reference.layers import Array
from .fingerprint import Product, fingerprint

#: Module -> distribution, of what may compute a candidate's numbers; reported where the process has imported it.
FRAMEWORKS: Mapping[str, str] = {
    "numba": "numba",
    "torch": "torch",
    "tensorflow": "tensorflow",
    "keras": "keras",
    "jax": "jax",
    "flax": "flax",
    "onnxruntime": "onnxruntime",
    "ctranslate2": "ctranslate2",
    "transformers": "transformers",
}
#: Instruction sets that change how sums are formed or rounded, as Linux writes them.
INSTRUCTIONS = (
    "fma", "avx", "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16",
    "amx_int8", "asimd", "sve", "bf16",
)  # fmt: skip
#: Variables that say how many threads compute, or which instructions are used.
VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_CBWR", "XLA_FLAGS",
    "TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA", "NVIDIA_TF32_OVERRIDE",
)  # fmt: skip


def environment(candidate: Any = None) -> dict[str, Any]:
    """What a result may depend on besides weights and inputs.

    Args:
        candidate: a model of ours or anything that has one as `model`, whose product's arithmetic is then probed;
            otherwise that is unknown, and said to be.

    Returns:
        "versions", "processor", "threads" and "arithmetic": names -> values that JSON can hold.

    Example:
        >>> found = environment()
        >>> list(found), found["versions"]["numpy"] == np.__version__, found["arithmetic"]["known"]
        (['versions', 'processor', 'threads', 'arithmetic'], True, False)
    """
    return {
        "versions": versions(),
        "processor": processor(),
        "threads": threads(),
        "arithmetic": arithmetic(candidate),
    }


def versions() -> dict[str, str]:
    """Python's, this package's, its dependencies', and those of the frameworks that the process has imported.

    Example:
        >>> list(versions())[:3]
        ['python', 'roberta', 'numpy']
    """
    loaded = [name for module, name in FRAMEWORKS.items() if module in sys.modules]
    found = {name: _version(name) for name in ("roberta", "numpy", "scipy", "ml_dtypes", *loaded)}
    return {"python": platform.python_version(), **found}


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:  # a framework that was built in place
        return str(getattr(sys.modules.get(distribution), "__version__", "unknown"))


def processor(description: str | None = None) -> dict[str, Any]:
    r"""The processor: its model, and the instruction sets that matter to sums.

    Args:
        description: the text of Linux's /proc/cpuinfo; None: this machine's.

    Returns:
        "model", "machine", "system" and "instructions"; None for the last where the system does not tell.

    Example:
        >>> processor("model name : Some CPU\nflags : fpu fma avx2 sse")["instructions"]
        ['fma', 'avx2']
    """
    source = Path("/proc/cpuinfo")
    if description is None:
        description = source.read_text(encoding="utf-8", errors="replace") if source.is_file() else ""
    fields = {name.strip(): value.strip() for name, _, value in map(_at_colon, reversed(description.splitlines()))}
    flags = fields.get("flags", fields.get("Features"))
    return {
        "model": fields.get("model name") or platform.processor() or "unknown",
        "machine": platform.machine(),
        "system": platform.system(),
        "instructions": None if flags is None else [name for name in INSTRUCTIONS if name in flags.split()],
    }


def _at_colon(line: str) -> tuple[str, str, str]:
    return line.partition(":")


def threads() -> dict[str, Any]:
    """How many threads may compute: processors, variables that are set, and the pools that `threadpoolctl` finds.

    Returns:
        "processors" (those that this process may use), "variables", and "pools", which is None without `threadpoolctl`.

    Example:
        >>> threads()["processors"] >= 1
        True
    """
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    set_here = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    return {"processors": count, "variables": set_here, "pools": _pools()}


def _pools() -> list[dict[str, Any]] | None:
    try:
        control: Any = import_module("threadpoolctl")
    except ImportError:
        return None
    kept = ("user_api", "internal_api", "version", "architecture", "num_threads")
    pools = [{name: pool[name] for name in kept if name in pool} for pool in control.threadpool_info()]
    return sorted(pools, key=str)


# -- the arithmetic ----------------------------------------------------------------------------------------------------


def arithmetic(candidate: Any = None) -> dict[str, Any]:
    """The fingerprint of a candidate's products; see `fingerprint`.

    Args:
        candidate: as for `environment`.

    Returns:
        "known", and then either the fingerprint with "of", the engine, or "reason".

    Example:
        >>> arithmetic(lambda **inputs: {})
        {'known': False, 'reason': 'the candidate offers no product of matrices to probe'}
    """
    backend = getattr(getattr(candidate, "model", candidate), "backend", None)
    product = engine_products().get(backend) if isinstance(backend, str) else None
    if product is None:
        return {"known": False, "reason": "the candidate offers no product of matrices to probe"}
    return {"known": True, "of": f"the float32 product of {backend}", **fingerprint(product)}


def engine_products() -> dict[str, Product]:
    """The float32 product that each engine's dense layers use, of the engines whose framework is imported.

    Returns:
        An engine's name -> `a @ b` of NumPy arrays.

    Example:
        >>> engine_products()["numpy"](np.ones((1, 2), "float32"), np.ones((2, 1), "float32"))
        array([[2.]], dtype=float32)
    """
    makers: dict[str, tuple[str, Callable[[Any], Product]]] = {
        "numpy": ("numpy", lambda numpy: numpy.matmul),
        "numba": ("numba", lambda _: _numba_product()),
        "torch": ("torch", _torch_product),
        "tensorflow": ("tensorflow", lambda tf: lambda a, b: tf.matmul(a, b).numpy()),
        "flax": ("jax", lambda jax: lambda a, b: np.asarray(jax.numpy.matmul(a, b, precision="highest"))),
    }
    return {name: make(sys.modules[module]) for name, (module, make) in makers.items() if module in sys.modules}


def _torch_product(torch: Any) -> Product:
    def product(a: Array, b: Array) -> Array:
        with torch.no_grad():
            columns = torch.from_numpy(np.ascontiguousarray(b.T))
            return torch.nn.functional.linear(torch.from_numpy(np.ascontiguousarray(a)), columns).numpy()

    return product


def _numba_product() -> Product:
    """Its dense layer, the kernels of which are its own. Imported when asked: numba is an extra."""

    def product(a: Array, b: Array) -> Array:
        layers: Any = import_module("...backends.numba.layers", __package__)
        tiles: Any = import_module("...backends.numba.tiles", __package__)
        weight = np.ascontiguousarray(b.T)
        return cast("Array", layers.linear(a, **tiles.pack(weight, np.zeros(len(weight), weight.dtype))))

    return product
