"""The engines by name; a framework is imported when its engine is made."""

from __future__ import annotations

from typing import Any

from .corpus import Layout
from .loop import Engine
from .recipe import Recipe

ENGINES = ("torch", "flax", "tensorflow")
WAYS = ("ddp", "fsdp")
PRECISIONS = ("float32", "bfloat16")


def new_engine(
    name: str,
    recipe: Recipe,
    config: Any,
    *,
    devices: int = 1,
    rows_at_once: int | None = None,
    way: str = "ddp",
    precision: str = "float32",
) -> Engine:
    """Make an engine with the recipe's initial weights, which are the same for all.

    Args:
        name: one of `ENGINES`.
        recipe: settings.
        config: of the model.
        devices: of one process; PyTorch has one, and as many processes as `torchrun` starts.
        rows_at_once: rows of a forward pass on each device; None: all of its share of a batch.
        way: of several processes, one of `WAYS`.
        precision: of the products, one of `PRECISIONS`.

    Raises:
        ValueError: an unknown name, devices that are not there, or a batch that cannot be cut so.
    """
    for what, value, known in (("engine", name, ENGINES), ("way", way, WAYS), ("precision", precision, PRECISIONS)):
        if value not in known:
            message = f"{what}: expected one of {', '.join(known)}, got {value!r}"
            raise ValueError(message)
    if name == "torch":
        return _torch(recipe, config, devices, rows_at_once, way, precision)
    layout = Layout.of(recipe.batch, 0, 1, devices, rows_at_once)
    if name == "flax":
        from .with_flax import FlaxEngine

        return FlaxEngine(recipe, config, layout, precision)
    from roberta.backends import tensorflow  # noqa: F401  # before TensorFlow, which it tells what to be quiet about

    from .with_tensorflow import TensorFlowEngine

    return TensorFlowEngine(recipe, config, layout, precision)


def _torch(recipe: Recipe, config: Any, devices: int, rows_at_once: int | None, way: str, precision: str) -> Engine:
    if devices != 1:
        message = f"devices: expected 1, as each process of PyTorch has one, got {devices}; start `torchrun "
        raise ValueError(f"{message}--nproc-per-node {devices}` instead of `python`")
    from .with_torch import TorchEngine, start

    rank, world, device = start()
    return TorchEngine(recipe, config, Layout.of(recipe.batch, rank, world, 1, rows_at_once), device, way, precision)
