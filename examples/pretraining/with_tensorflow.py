"""TensorFlow: one process for all devices of a machine, Keras's model and optimizer under `MirroredStrategy`."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import roberta
import tensorflow as tf
from roberta.backends import tensorflow as engine
from roberta.reference.inputs import Inputs
from roberta.tokenizer.data import IGNORED

from .corpus import Batch, Layout
from .recipe import Recipe
from .state import Moments, parameter_names


def summed_loss(model: Any, ids: Any, places: Any, labels: Any) -> Any:
    """The sum of the losses of the tokens that are to be guessed: (B, T), (B, M), (B, M) -> ()."""
    row = tf.broadcast_to(tf.range(tf.shape(ids)[0], dtype=tf.int64)[:, None], tf.shape(places))  # B M
    positions = tf.stack([tf.reshape(row, [-1]), tf.reshape(places, [-1])], 1)  # BM 2
    mask = tf.cast(ids != model.config.pad_token_id, tf.int64)  # B T
    logits = model.run(Inputs(input_ids=ids, attention_mask=mask, positions=positions)).logits  # BM V
    labels = tf.reshape(labels, [-1])  # BM
    is_wanted = labels != IGNORED  # BM
    targets = tf.where(is_wanted, labels, 0)  # BM
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, tf.cast(logits, tf.float32))  # BM
    return tf.reduce_sum(tf.where(is_wanted, losses, 0.0))


class TensorFlowEngine:
    """All devices of this process, or the first few of them.

    Attributes:
        layout: one process.
        variables: HF's name -> variable, tied ones once; a copy of each on every device.
    """

    def __init__(self, recipe: Recipe, config: Any, layout: Layout, precision: str = "float32") -> None:
        if layout.world > 1:
            message = f"layout: expected one process for all devices, got {layout.world}; give --devices instead"
            raise ValueError(message)
        self.recipe, self.layout = recipe, layout
        self.strategy = tf.distribute.MirroredStrategy(devices(layout.devices))
        with self.strategy.scope():
            self.model = roberta.RobertaForMaskedLM(config, backend="tensorflow", seed=recipe.seed).train()
            self.model.seed_generator = self.seeds = Seeds()
            self.model.dtype_policy = "mixed_bfloat16" if precision == "bfloat16" else "float32"
            names = dict.fromkeys(parameter_names(config).values())
            self.variables = {name: engine.weights.part_at(self.model, name) for name in names}
            self.optimizer = new_optimizer(list(self.variables.values()), recipe)
        self.update = tf.function(self.update_all, reduce_retracing=True)

    def total(self, count: int) -> int:
        """The sum of a number over all processes, of which there is one."""
        return count

    def step(self, batch: Batch, count: int, rate: float, step: int) -> float:
        """Learn from a batch."""
        # Keras adds epsilon before the second moment's bias is corrected, and the other engines after it.
        self.optimizer.epsilon.assign(self.recipe.epsilon * math.sqrt(1 - self.recipe.betas[1] ** (step + 1)))
        self.optimizer.learning_rate = rate
        distribute = self.strategy.experimental_distribute_values_from_function
        cut = Batch(*(distribute(lambda at, x=x: own(x, at)) for x in batch))
        return float(self.update(cut, tf.constant(float(count)), tf.constant([self.recipe.seed, step])))

    def update_all(self, batch: Batch, count: Any, seed: Any) -> Any:
        """One step on all devices: the loss of the whole batch."""
        losses = self.strategy.run(self.update_one, args=(batch, count, seed))
        return self.strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)

    def update_one(self, batch: Batch, count: Any, seed: Any) -> Any:
        """One device's part of it: it adds up its pieces; the optimizer adds up what the devices have, once."""
        variables = [variable.value for variable in self.variables.values()]
        at = tf.distribute.get_replica_context().replica_id_in_sync_group

        def add(index: Any, total: Any, *gradients: Any) -> Any:
            self.seeds.begin(seed, at, index)
            with tf.GradientTape() as tape:
                loss = summed_loss(self.model, *(x[index] for x in batch)) / count
            found = map(tf.convert_to_tensor, tape.gradient(loss, variables))
            return index + 1, total + loss, *(a + b for a, b in zip(gradients, found, strict=True))

        start = [tf.constant(0), tf.constant(0.0), *(tf.zeros_like(variable) for variable in variables)]
        _, total, *gradients = tf.while_loop(lambda index, *_: index < len(batch.ids), add, start)
        self.optimizer.apply(gradients, list(self.variables.values()))
        return total

    def moments(self) -> Moments:
        """What it knows."""
        kept = (self.variables.values(), self.optimizer._momentums, self.optimizer._velocities)
        return Moments(*(dict(zip(self.variables, map(engine.to_numpy, values), strict=True)) for values in kept))

    def load(self, moments: Moments, step: int) -> None:
        """Know this instead."""
        kept = (self.variables.values(), self.optimizer._momentums, self.optimizer._velocities)
        for values, arrays in zip(kept, moments, strict=True):
            for name, variable in zip(self.variables, values, strict=True):
                variable.assign(np.array(arrays[name]))
        self.optimizer.iterations.assign(step)

    def close(self) -> None:
        """There are no other processes."""


# -- pieces ------------------------------------------------------------------------------------------------------------


class Seeds(keras.random.SeedGenerator):
    """Seeds of dropout by step, device and piece: no state goes on from one to the next, so that none needs saving."""

    def __init__(self) -> None:
        super().__init__(0)
        self.seed_here, self.given = tf.constant([0, 0]), 0

    def begin(self, seed: Any, *place: Any) -> None:
        """Count from here: a seed (2,), and what tells a device and a piece from others."""
        for number in place:
            seed = tf.random.experimental.stateless_fold_in(seed, number)
        self.seed_here, self.given = seed, 0

    def next(self, ordered: bool = True) -> Any:
        """The seed of the next place in the model that drops something."""
        self.given += 1
        return tf.cast(tf.random.experimental.stateless_fold_in(self.seed_here, self.given), tf.uint32)


def devices(count: int) -> list[str]:
    """The first so many GPUs, or where there is none, parts of the CPU.

    Raises:
        ValueError: there are not so many.
    """
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    if kind == "CPU" and count > 1:
        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    found = [device.name for device in tf.config.list_logical_devices(kind)]
    if count > len(found):
        message = f"devices: TensorFlow has {len(found)}, got {count}"
        raise ValueError(message)
    return found[:count]


def own(x: Any, at: Any) -> Any:
    """A device's part of an array that has one for each."""
    return tf.constant(x[at.replica_id_in_sync_group])


def new_optimizer(variables: list[Any], recipe: Recipe) -> Any:
    """AdamW; vectors do not decay."""
    optimizer = keras.optimizers.AdamW(
        recipe.learning_rate, weight_decay=recipe.weight_decay, beta_1=recipe.betas[0], beta_2=recipe.betas[1]
    )
    optimizer.exclude_from_weight_decay(var_list=[variable for variable in variables if len(variable.shape) < 2])
    optimizer.build(variables)
    optimizer.epsilon = tf.Variable(recipe.epsilon, trainable=False)
    return optimizer
