"""JAX: one process for all devices of a machine, a mesh of one axis, Flax's model and optax's rule."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import roberta
from flax import nnx
from jax import Array, lax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from roberta.reference.inputs import Inputs
from roberta.tokenizer.data import IGNORED

from .corpus import Batch, Layout
from .recipe import Recipe
from .state import Moments, parameter_names

AXIS = "devices"


def summed_loss(model: Any, ids: Array, places: Array, labels: Array) -> Array:
    """The sum of the losses of the tokens that are to be guessed: (B, T), (B, M), (B, M) -> ()."""
    row = jnp.broadcast_to(jnp.arange(len(ids))[:, None], places.shape)  # B M
    positions = jnp.stack([row.ravel(), places.ravel()], 1)  # BM 2
    mask = (ids != model.config.pad_token_id).astype(int)  # B T
    logits = model.run(Inputs(input_ids=ids, attention_mask=mask, positions=positions)).logits  # BM V
    is_wanted = labels.ravel() != IGNORED  # BM
    targets = jnp.where(is_wanted, labels.ravel(), 0)  # BM
    losses = optax.softmax_cross_entropy_with_integer_labels(logits.astype(jnp.float32), targets)  # BM
    return jnp.where(is_wanted, losses, 0.0).sum()


class FlaxEngine:
    """All devices that this process sees, or the first few of them.

    Attributes:
        layout: one process.
        weights, moments_: the parameters, and optax's state, whole on every device.
    """

    def __init__(self, recipe: Recipe, config: Any, layout: Layout, precision: str = "float32") -> None:
        if layout.world > 1:
            message = f"layout: expected one process for all devices, got {layout.world}; give --devices instead"
            raise ValueError(message)
        if layout.devices > len(jax.devices()):
            message = (
                f"devices: JAX has {len(jax.devices())}, got {layout.devices}; on a CPU set "
                f"XLA_FLAGS=--xla_force_host_platform_device_count={layout.devices}"
            )
            raise ValueError(message)
        self.recipe, self.layout = recipe, layout
        self.mesh = jax.make_mesh(
            (layout.devices,), (AXIS,), axis_types=(AxisType.Auto,), devices=jax.devices()[: layout.devices]
        )
        model = roberta.RobertaForMaskedLM(config, backend="flax", seed=recipe.seed).train()
        if precision == "bfloat16":
            model = model.compute_in(jnp.bfloat16)
        graph, weights, rest = nnx.split(model, nnx.Param, ...)
        saved = parameter_names(config)
        self.names = {path: saved[".".join(map(str, path))] for path, _ in nnx.to_flat_state(weights)}
        self.weights = self.everywhere(weights)
        rule = new_rule(recipe)
        self.optimizer = self.everywhere(rule.init(self.weights))
        rest = self.everywhere(rest)

        def gradient(weights: Any, batch: Batch, count: Array, key: Array) -> Any:
            return gradient_of(partial(loss_of, graph), weights, rest, batch, count, key)

        def update(weights: Any, optimizer: Any, batch: Batch, count: Array, rate: Array, key: Array) -> Any:
            cut = jax.shard_map(gradient, mesh=self.mesh, in_specs=(P(), P(AXIS), P(), P()), out_specs=P())
            loss, gradients = cut(weights, batch, count, key)
            changes, optimizer = rule.update(gradients, optimizer, weights)
            return loss, jax.tree.map(lambda w, change: w - rate * change, weights, changes), optimizer

        self.update = jax.jit(update, donate_argnums=(0, 1))

    def everywhere(self, tree: Any) -> Any:
        """The same, whole on every device."""
        return jax.device_put(tree, NamedSharding(self.mesh, P()))

    def total(self, count: int) -> int:
        """The sum of a number over all processes, of which there is one."""
        return count

    def step(self, batch: Batch, count: int, rate: float, step: int) -> float:
        """Learn from a batch."""
        batch = jax.device_put(Batch(*(x.astype(np.int32) for x in batch)), NamedSharding(self.mesh, P(AXIS)))
        key = jax.random.fold_in(jax.random.key(self.recipe.seed), step)
        given = (batch, jnp.float32(count), jnp.float32(rate), key)
        loss, self.weights, self.optimizer = self.update(self.weights, self.optimizer, *given)
        return float(loss)

    def moments(self) -> Moments:
        """What it knows."""
        adam, *_ = self.optimizer
        return Moments(*(self.named(tree) for tree in (self.weights, adam.mu, adam.nu)))

    def named(self, tree: Any) -> dict[str, Any]:
        """A tree of the parameters' shape, by HF's names."""
        return {self.names[path]: np.array(leaf.get_value()) for path, leaf in nnx.to_flat_state(tree)}

    def load(self, moments: Moments, step: int) -> None:
        """Know this instead."""
        self.weights, first, second = (self.tree(arrays) for arrays in moments)
        adam, *others = self.optimizer
        count = self.everywhere(jnp.asarray(step, adam.count.dtype))
        self.optimizer = (adam._replace(count=count, mu=first, nu=second), *others)

    def tree(self, arrays: Any) -> Any:
        """The reverse of `named`."""
        now = nnx.to_flat_state(self.weights)
        flat = [(path, leaf.replace(jnp.array(arrays[self.names[path]]))) for path, leaf in now]
        return self.everywhere(nnx.from_flat_state(flat))

    def close(self) -> None:
        """There are no other processes."""


# -- pieces ------------------------------------------------------------------------------------------------------------


def loss_of(graph: Any, weights: Any, rest: Any, piece: Batch, key: Array) -> Array:
    """The summed loss of a piece, with dropout by a key."""
    model = nnx.merge(graph, weights, rest, copy=True)
    nnx.reseed(model, dropout=key)
    return summed_loss(model, *piece)


def gradient_of(loss: Any, weights: Any, rest: Any, batch: Batch, count: Array, key: Array) -> Any:
    """The loss of a whole batch and its gradient: each device adds up its pieces, then all add up theirs, once."""
    key = jax.random.fold_in(key, lax.axis_index(AXIS))
    # Said to differ between devices, as gradients will: otherwise JAX would add them up over devices in each piece.
    weights = lax.pcast(weights, AXIS, to="varying")

    def add(total: Any, given: Any) -> Any:
        index, piece = given
        found = jax.value_and_grad(lambda w: loss(w, rest, piece, jax.random.fold_in(key, index)) / count)(weights)
        return jax.tree.map(jnp.add, total, found), None

    pieces = Batch(*(x[0] for x in batch))  # this device's
    zero = (lax.pcast(jnp.float32(0.0), AXIS, to="varying"), jax.tree.map(jnp.zeros_like, weights))
    total, _ = lax.scan(add, zero, (jnp.arange(len(pieces.ids)), pieces))
    return lax.psum(total, AXIS)


def new_rule(recipe: Recipe) -> Any:
    """AdamW without its learning rate; vectors do not decay."""
    return optax.chain(
        optax.scale_by_adam(*recipe.betas, recipe.epsilon),
        optax.add_decayed_weights(recipe.weight_decay, lambda tree: jax.tree.map(lambda x: x.ndim > 1, tree)),
    )
