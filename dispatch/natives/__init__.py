"""The native classes: each head on each engine of this package. One file an engine, all alike, loaded on first use."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import flax as flax, numba as numba, numpy as numpy, tensorflow as tensorflow, torch as torch
