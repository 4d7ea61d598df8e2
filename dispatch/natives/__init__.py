"""The native classes: each head on each engine of this package. One file an engine, all alike, loaded on first use."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import flax as flax
    from . import numba as numba
    from . import numpy as numpy
    from . import tensorflow as tensorflow
    from . import torch as torch
