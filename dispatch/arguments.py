"""Arguments on their way from the caller to an engine: NumPy arrays for the checks, its own arrays for the head."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np

from ..reference.attention import Cache
from ..reference.inputs import Inputs
from ..reference.outputs import to_numpy
from .checks import FLAGS
from .outlines import cache_outline, outline

#: Arguments that are no arrays.
NO_ARRAYS = frozenset({*FLAGS, "past_key_values"})
#: NumPy's letters for texts and other objects.
NO_NUMBERS = frozenset("OSTUV")


def visible(name: str, value: Any) -> Any:
    """An argument as the checks see it: arrays of any engine as NumPy arrays, flags and caches as they are."""
    if value is None or name in NO_ARRAYS:
        return value
    try:
        array = to_numpy(value)
    except (ValueError, KeyError) as error:
        raise _no_array(name, value, error) from error
    if array.dtype.kind in NO_NUMBERS:
        raise _no_array(name, value)
    return array


def outlined(name: str, value: Any) -> Any:
    """An argument as the checks see it while a compiler looks at the program."""
    if value is None or name in NO_ARRAYS:
        return cache_outline(value) if name == "past_key_values" and value is not None else value
    if isinstance(value, Mapping):
        raise _no_array(name, value)
    found = outline(name, value)
    if found.dtype.kind in NO_NUMBERS:
        raise _no_array(name, value)
    return found


def _no_array(name: str, value: Any, error: Exception | None = None) -> Exception:
    """What to say of an argument that is no array of numbers."""
    kind = type(value).__name__
    if isinstance(value, Mapping):
        return TypeError(f"{name}: expected an array, got a {kind}; give its entries as m(**inputs)")
    if error is not None:  # nested lists, which NumPy calls inhomogeneous
        return ValueError(f"{name}: expected rows of one length ({error}). Pad them: tokenizer(texts, padding=True)")
    remedy = 'make arrays of texts first: model(**tokenizer(text, return_tensors="np"))'
    return TypeError(f"{name}: expected an array of numbers, got {kind}: {value!r:.60}; {remedy}")


def native(name: str, value: Any, model: Any) -> Any:
    """An argument as the engine's own array; flags and caches as they are."""
    if value is None or name in NO_ARRAYS:
        return value
    if name == "head_mask" and isinstance(value, list | tuple | np.ndarray):
        value = np.asarray(value, np.float64)  # it multiplies: a number, also where it is written as 0 or 1
    return model.engine.to_native(value, model._like())


def as_cache(past: Any, attention_mask: Any, model: Any) -> Cache | None:
    """A cache in the engine's own arrays. HF's tuple, and a Cache of transformers, which may be empty, become one.

    Their real tokens are counted from the mask.
    """
    if past is None:
        return None
    engine = model.engine
    if hasattr(past, "get_seq_length"):
        past = _layers_of(past)
        if not past:
            return None
    _require_pairs(past)
    if hasattr(past, "grown") and not hasattr(model, "init_cache"):
        past = past.grown()  # of its empty slots this engine knows nothing
    layers = tuple(tuple(engine.to_native(part, model._like()) for part in layer) for layer in past)
    if isinstance(past, Cache):
        cache = cast("Cache[Any]", past)
        return replace(cache, layers=layers, token_count=engine.to_native(cache.token_count, model._like()))
    B, _, P, _ = layers[0][0].shape
    mask = visible("attention_mask", attention_mask)
    count = np.full(B, P) if mask is None or mask.ndim != 2 else mask[:, :P].sum(-1)  # B
    return Cache(layers, engine.to_native(count, model._like()))


def _layers_of(past: Any) -> tuple[tuple[Any, ...], ...]:
    """HF's tuple of a Cache of transformers: of its slots those that are taken; nothing of one that is empty."""
    taken = int(past.get_seq_length())
    own = getattr(past, "self_attention_cache", past)
    crossed = getattr(past, "cross_attention_cache", None)
    if not taken:
        return ()
    layers = [(layer.keys[:, :, :taken], layer.values[:, :, :taken]) for layer in own.layers]  # B H P K
    sources = [(layer.keys, layer.values) for layer in crossed.layers] if crossed is not None else []  # B H E K
    if len(sources) != len(layers) or any(keys is None for keys, _ in sources):
        return tuple(layers)
    return tuple((*layer, *source) for layer, source in zip(layers, sources, strict=True))


def _require_pairs(past: Any) -> None:
    """A cache, or HF's tuple: of each layer a tuple of keys and values."""
    if isinstance(past, Cache):
        return
    kind = type(past).__name__
    is_several = isinstance(past, Iterable) and not isinstance(past, Mapping)
    layers = list(cast("Iterable[Any]", past)) if is_several else []
    if not layers or not all(_has_keys(layer) for layer in layers):
        what = "the past_key_values of an earlier output, or (key, value) of each layer"
        message = f"past_key_values: expected {what}, got {kind}: {past!r:.60}; for none leave it out"
        raise TypeError(message)


def _has_keys(layer: Any) -> bool:
    if isinstance(layer, str | Mapping) or not hasattr(layer, "__getitem__") or not len(layer):
        return False
    keys = layer[0]
    return len(keys.shape if hasattr(keys, "shape") else np.shape(keys)) == 4  # B H S K


def as_inputs(given: Mapping[str, Any], model: Any, has_labels: bool) -> Inputs:
    """The record that the engine's head takes: defaults from the config, the head mask in its full rank."""
    config = model.config
    inputs = Inputs(**{name: given[name] for name in Inputs.__dataclass_fields__ if name in given})
    is_cached = config.is_decoder and model.head in {"model", "causal_lm"} and not has_labels
    asked = given.get("use_cache")
    inputs.use_cache = is_cached and (config.use_cache if asked is None else asked)
    for flag in ("output_attentions", "output_hidden_states"):
        if getattr(inputs, flag) is None:
            setattr(inputs, flag, getattr(config, flag))
    if inputs.head_mask is not None:
        inputs.head_mask = _full_head_mask(inputs.head_mask, model)
    return inputs


def _full_head_mask(head_mask: Any, model: Any) -> list[Any]:
    """(H,) and (N, H) as N masks (B, H, T, S), with axes of 1; without the heads that are pruned.

    It slices and multiplies only: what tensors have as methods, and what may index them, differs between frameworks.
    """
    config = model.config
    if head_mask.ndim == 1:
        layers = [head_mask[None, :, None, None]] * config.num_hidden_layers
    elif head_mask.ndim == 2:
        layers = [head_mask[i][None, :, None, None] for i in range(config.num_hidden_layers)]
    else:
        layers = [head_mask[i] for i in range(config.num_hidden_layers)]
    for i, pruned in config.pruned_heads.items():
        if layers[i].shape[1] == config.num_attention_heads:
            kept = [head for head in range(config.num_attention_heads) if head not in pruned]
            places = np.eye(len(kept))[:, None, :, None, None]  # H' 1 H' 1 1
            chosen = [layers[i][:, head : head + 1] for head in kept]  # H' of B 1 T S
            at = [model.engine.to_native(place, model._like()) for place in places]  # H' of 1 H' 1 1
            layers[i] = sum(part * place for part, place in zip(chosen, at, strict=True))
    return layers
