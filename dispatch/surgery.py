"""Changing the sizes of a model: on its configuration and its arrays, so that every engine can do it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

import numpy as np

from ..reference.config import RobertaConfig, heads_by_layer
from ..reference.parameters import Parameter, initial_values

State = dict[str, Any]


def rounded_up(size: Any, multiple: Any) -> Any:
    """The least multiple that is no smaller; without one, the size.

    Example:
        >>> rounded_up(50267, 64), rounded_up(7, None)
        (50304, 7)
    """
    if multiple is None:
        return size
    if not _is_integer(multiple) or multiple < 1:
        message = f"resize_token_embeddings: pad_to_multiple_of: required an integer of at least 1, got {multiple!r}"
        raise TypeError(message)
    return -(-size // multiple) * multiple if _is_integer(size) else size


def resized(
    config: RobertaConfig,
    state: Mapping[str, Any],
    table: Mapping[str, Parameter],
    size: int,
    seed: int,
    *,
    mean_resizing: bool = False,
) -> tuple[RobertaConfig, State]:
    """A vocabulary of another size.

    Args:
        config: as it is.
        state: name -> array.
        table: the model's parameters.
        size: the new V.
        seed: of new rows, which are drawn as initial weights are; new biases are zero.
        mean_resizing: draw them around the mean of the old ones; see `around_mean`.

    Returns:
        The new config and state.
    """
    if not _is_integer(size):
        message = f"resize_token_embeddings: required an integer, the new number of tokens, got {size!r}"
        raise TypeError(message)
    size = int(size)
    least = max(config.pad_token_id, config.bos_token_id or 0, config.eos_token_id or 0) + 1
    if size < least:
        message = f"resize_token_embeddings: required at least {least}, to keep the special ids, got {size}"
        raise ValueError(message)
    changed = config.replace(vocab_size=size)
    affected = {
        name: Parameter(name, (size, *p.shape[1:]), p.initial)
        for name, p in table.items()
        if name.endswith(("word_embeddings.weight", "lm_head.decoder.weight", "lm_head.bias", "lm_head.decoder.bias"))
    }
    fresh = initial_values(affected, changed, seed)
    if mean_resizing:
        fresh = {name: around_mean(state[name], size, seed) for name in affected}
    kept = min(size, config.vocab_size)
    rows = {
        name: np.concatenate([state[name][:kept], fresh[name][kept:].astype(state[name].dtype)]) for name in affected
    }
    return changed, {**state, **rows}


def around_mean(rows: Any, count: int, seed: int) -> Any:
    """Rows (count, …) drawn from a normal distribution: the mean of the old rows, a billionth of their covariance.

    Equation: mean + sqrt(1e-9 / (V - 1)) G (E - mean), with G of standard normal numbers: its covariance is that of E,
    times 1e-9, without a factorisation. Of biases, which have one axis, the mean.

    Source: Hewitt (2021), "Initializing New Word Embeddings for Pretrained Language Models"; HF
    `PreTrainedModel._init_added_embeddings_weights_with_mean`.
    """
    old = np.asarray(rows, np.float64)  # V D, or V
    mean = old.mean(0)  # D, or ()
    if old.ndim == 1:
        return np.full(count, mean)  # count
    drawn = np.random.default_rng(seed).standard_normal((max(count - len(old), 0), len(old)))  # new V
    spread = drawn @ (old - mean) * np.sqrt(1e-9 / max(len(old) - 1, 1))  # new D
    return np.concatenate([np.broadcast_to(mean, (min(count, len(old)), *mean.shape)), mean + spread])  # count D


def pruned(
    config: RobertaConfig, state: Mapping[str, Any], table: Mapping[str, Parameter], heads: Mapping[int, Sequence[int]]
) -> tuple[RobertaConfig, State]:
    """Fewer self-attention heads.

    Args:
        config: as it is.
        state: name -> array.
        table: the model's parameters.
        heads: layer, of which -1 is the last, -> original numbers of the heads to remove.

    Returns:
        The new config, which remembers the pruned heads, and the new state.
    """
    _require_heads(heads)
    heads = heads_by_layer(heads, config.num_hidden_layers)
    union = {
        layer: sorted({*config.pruned_heads.get(layer, ()), *heads.get(layer, ())})
        for layer in {*config.pruned_heads, *heads}
    }
    changed = config.replace(pruned_heads=union)
    new = dict(state)
    prefix = next(name for name in table if name.endswith("word_embeddings.weight")).removesuffix(
        "embeddings.word_embeddings.weight"
    )
    for layer in heads:
        path = f"{prefix}encoder.layer.{layer}.attention"
        columns = _kept_columns(config, changed, layer)
        for projection in ("query", "key", "value"):
            for part in ("weight", "bias"):
                name = f"{path}.self.{projection}.{part}"
                new[name] = new[name][columns]
        new[f"{path}.output.dense.weight"] = new[f"{path}.output.dense.weight"][:, columns]
    return changed, new


def _is_integer(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _require_heads(heads: Any) -> None:
    """Layer -> heads, all by their numbers."""
    named = cast("Mapping[Any, Any]", heads).items() if isinstance(heads, Mapping) else None
    if named is None or not all(_are_integers([layer], numbers) for layer, numbers in named):
        message = f"prune_heads: required layer -> list of heads, such as {{0: [1, 2]}}, got {heads!r}"
        raise TypeError(message)


def _are_integers(*several: Any) -> bool:
    return all(
        isinstance(numbers, Collection) and all(map(_is_integer, cast("Collection[Any]", numbers)))
        for numbers in several
    )


def _kept_columns(before: RobertaConfig, after: RobertaConfig, layer: int) -> list[int]:
    """Which of the columns that a layer has are those of heads that stay."""
    K = before.head_size
    present = [head for head in range(before.num_attention_heads) if head not in before.pruned_heads.get(layer, ())]
    gone = after.pruned_heads.get(layer, ())
    return [place * K + k for place, head in enumerate(present) if head not in gone for k in range(K)]
