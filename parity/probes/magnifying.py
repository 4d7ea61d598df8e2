"""Probe weights: a few tensors drawn anew so that one kind of mistake shows large, and all the others as they are.

They stand in the first layer (and before a head's own activation) alone: a fault of an engine's layer is in every
layer, while twelve saturated ones in a row would magnify rounding errors as well.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...reference.config import RobertaConfig
from ...reference.layers import Array
from ...reference.parameters import parameter_table

#: Standard deviation of the scores. At 10 a wrong scale shows most. At 60 some pass 88, where exponentials overflow in
#: float32, and some hidden key's passes all that are seen by 100, at 20,000 by 10,000: less than that cannot hide it.
RAISED, LARGE, HUGE = 10.0, 60.0, 20_000.0
#: The mean of a row whose variance is near 1: E[x^2] - E[x]^2 then cancels all that float32 has.
MEAN = 1000.0
#: The arguments of the activation, where its approximations are off by most of what it is.
ARGUMENTS = (-4.0, -3.2, -2.4, -1.6)
#: Entries of a bias lie between this and its negative: an activation in all of its range.
WIDEST = 6.0


def magnifying(head: str, config: RobertaConfig, seed: int = 0) -> dict[str, dict[str, Array]]:
    """The weights of every probe that has its own.

    Args:
        head: which head.
        config: sizes, eps.
        seed: of the draw.

    Returns:
        Name of the probe -> HF's names -> float32 arrays, in place of the reference's. Without those that concern
        nothing that this head and configuration have.

    Example:
        >>> from roberta.parity.cases import small_config
        >>> sorted(magnifying("model", small_config())["rows of mean 1e3"])
        ['embeddings.token_type_embeddings.weight']
    """
    shapes = {name: parameter.shape for name, parameter in parameter_table(head, config).items()}
    found = {name: _state(shapes, changes(config), [seed, zlib.crc32(name.encode())]) for name, changes in _ALL.items()}
    return {name: state for name, state in found.items() if not all("embeddings.LayerNorm" in key for key in state)}


def magnified(config: RobertaConfig) -> dict[str, tuple[str, ...]]:
    """What the weights of each probe magnify: its name -> mistakes.

    Example:
        >>> magnified(RobertaConfig(layer_norm_eps=1e-12))["tiny sums"]
        ('eps 1e-6', 'eps 1e-3')
    """
    # With relative terms no hidden score is above the others by so much.
    absolute = config.position_embedding_type == "absolute"
    return {
        "raised scores": ("no 1/sqrt(K)", "scale rounded to half", "additive mask of -10"),
        "large scores": ("softmax without its maximum", "additive mask of -100"),
        "huge scores": ("softmax without its maximum", *(["additive mask of -1e4"] if absolute else [])),
        "rows of mean 1e3": ("one-pass variance",),
        "sums of mean 1e3": ("one-pass variance",),
        "tiny tables": other_eps(config),
        "tiny sums": other_eps(config),
        "wide activations": ("tanh GELU",),
        "activations alike": ("tanh GELU", "approximate erf", "rounded erf", "quick GELU"),
    }


def other_eps(config: RobertaConfig) -> tuple[str, ...]:
    """The mutants whose eps is another than the configuration's."""
    return tuple(f"eps {eps}" for eps in ("1e-12", "1e-6", "1e-3") if float(eps) != config.layer_norm_eps)


# -- pieces ----------------------------------------------------------------------------------------------------------

#: The end of a parameter's name -> what it becomes, of a draw and its shape.
Changes = Mapping[str, Callable[[np.random.Generator, tuple[int, ...]], Any]]
FIRST = "encoder.layer.0."


def _state(shapes: Mapping[str, tuple[int, ...]], changes: Changes, seed: list[int]) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    return {
        name: np.asarray(change(rng, shapes[name]), np.float32)
        for ending, change in changes.items()
        for name in shapes
        if name.removeprefix("roberta.") == ending
    }


def _normal(deviation: float, mean: float = 0.0) -> Callable[[np.random.Generator, tuple[int, ...]], Any]:
    return lambda rng, shape: mean + deviation * rng.standard_normal(shape)


def _dense(gain: float) -> Callable[[np.random.Generator, tuple[int, ...]], Any]:
    """A weight (out, in) that makes numbers of standard deviation `gain` of normed ones."""
    return lambda rng, shape: gain * shape[1] ** -0.5 * rng.standard_normal(shape)


def _spread(widest: float) -> Callable[[np.random.Generator, tuple[int, ...]], Any]:
    """A bias whose entries lie evenly between -widest and widest, in random order."""
    return lambda rng, shape: rng.permutation(np.linspace(-widest, widest, shape[0]))


def _scores(deviation: float) -> Changes:
    return {
        "embeddings.LayerNorm.weight": _normal(0.1, 1.0),
        "embeddings.LayerNorm.bias": _normal(0.1),
        f"{FIRST}attention.self.query.weight": _dense(math.sqrt(deviation)),
        f"{FIRST}attention.self.key.weight": _dense(math.sqrt(deviation)),
    }


def _alike() -> Changes:
    """Groups of neurons with nearly one argument, each group summed into outputs of its own.

    An approximation errs there in one direction, and n errors add up to n; rounding errors to sqrt(n).
    """
    groups = len(ARGUMENTS)

    def arguments(_: np.random.Generator, shape: tuple[int, ...]) -> Any:
        place = np.arange(shape[0])
        return np.array(ARGUMENTS)[place % groups] + 0.1 * np.linspace(-1.0, 1.0, shape[0])

    def sums(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
        outputs, neurons = np.ogrid[: shape[0], : shape[1]]
        sign = rng.choice([-1.0, 1.0], (shape[0], 1))  # or the layer norm would take all of it for the mean
        return np.where(outputs % groups == neurons % groups, sign, 0.0)

    return {
        f"{FIRST}attention.output.LayerNorm.weight": _normal(0.01),
        f"{FIRST}attention.output.LayerNorm.bias": _normal(0.01),
        f"{FIRST}intermediate.dense.weight": _dense(1.0),
        f"{FIRST}intermediate.dense.bias": arguments,
        f"{FIRST}output.dense.weight": sums,
        f"{FIRST}output.dense.bias": _normal(0.01),
    }


def _tiny_tables(config: RobertaConfig) -> Changes:
    """Position and type tables of a variance near eps; the embeddings are given, and as small."""
    tables = ("position", "token_type")
    return {f"embeddings.{table}_embeddings.weight": _normal(tiny(config)) for table in tables}


def _tiny_sums(config: RobertaConfig) -> Changes:
    """What enters a layer norm has a variance near eps, in the first layer and in the head of a language model."""
    small = _normal(tiny(config))
    zero = _normal(0.0)
    changes = {
        "embeddings.LayerNorm.weight": small,
        "embeddings.LayerNorm.bias": small,
        f"{FIRST}attention.self.value.bias": zero,
        f"{FIRST}attention.output.dense.bias": small,
        f"{FIRST}attention.output.LayerNorm.weight": small,
        f"{FIRST}attention.output.LayerNorm.bias": small,
        f"{FIRST}intermediate.dense.bias": zero,
        f"{FIRST}output.dense.bias": small,
        "lm_head.dense.bias": zero,
    }
    last = f"encoder.layer.{config.num_hidden_layers - 1}.output.LayerNorm"
    return {**changes, f"{last}.weight": small, f"{last}.bias": small}


def tiny(config: RobertaConfig) -> float:
    """A standard deviation whose square is half of eps."""
    return math.sqrt(max(config.layer_norm_eps, 1e-12) / 2)


_ALL: Mapping[str, Callable[[RobertaConfig], Changes]] = {
    "raised scores": lambda _: _scores(RAISED),
    "large scores": lambda _: _scores(LARGE),
    "huge scores": lambda _: _scores(HUGE),
    "rows of mean 1e3": lambda _: {"embeddings.token_type_embeddings.weight": _normal(0.05, MEAN)},
    "sums of mean 1e3": lambda _: {
        f"{FIRST}attention.output.dense.bias": _normal(0.2, MEAN),
        f"{FIRST}output.dense.bias": _normal(0.2, MEAN),
        "lm_head.dense.bias": _normal(0.2, MEAN),
    },
    "tiny tables": _tiny_tables,
    "tiny sums": _tiny_sums,
    "wide activations": lambda _: {
        f"{FIRST}intermediate.dense.weight": _dense(0.5),
        f"{FIRST}intermediate.dense.bias": _spread(WIDEST),
        "lm_head.dense.weight": _dense(0.5),
        "lm_head.dense.bias": _spread(WIDEST),
        "pooler.dense.bias": _spread(WIDEST),
        "classifier.dense.bias": _spread(WIDEST),
    },
    "activations alike": lambda _: _alike(),
}
