"""What a config.json of somebody's may say: more than a field's kind is checked where a file was written by others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

#: No model has so many layers, and none so large a vocabulary: a file that says so is damaged or hostile.
LAYERS, SIZE = 4096, 2**28
#: The fields that are ids of tokens.
IDS = ("bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "decoder_start_token_id")
SIZES = ("vocab_size", "hidden_size", "intermediate_size", "max_position_embeddings", "type_vocab_size")


def require_sound(content: Mapping[str, Any], path: Path) -> None:
    """Refuse what no checkpoint of this model has.

    Args:
        content: of the file.
        path: of the file.

    Raises:
        ValueError: names the field, what was required and what came.
    """
    for name, required in _faults(content):
        shown = ascii(content.get(name))[:80]
        message = f"{path}: {name}: required {required}, got {shown}; correct the file, or download it again"
        raise ValueError(message)
    if content.get("quantization_config") is not None:
        message = f"{path}: quantization_config: its weights are quantised, and read as they are they would be wrong"
        raise ValueError(f"{message}; where they were made, save the model before it was quantised")


def _faults(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Fields with what they should be."""
    found: list[tuple[str, str]] = []
    names = content.get("architectures")
    if names is not None and not (
        isinstance(names, list) and all(isinstance(n, str) for n in cast("list[Any]", names))
    ):
        found.append(("architectures", "a list of the names of classes"))
    vocabulary = content.get("vocab_size")
    most = vocabulary if type(vocabulary) is int else SIZE
    for name in IDS:
        values: Any = content.get(name)
        values = cast("list[Any]", values) if isinstance(values, list) and name == "eos_token_id" else [values]
        if not all(value is None or (type(value) is int and 0 <= value < most) for value in values):
            found.append((name, f"an id in [0, {most}), or null"))
    found += [
        (name, "a finite number") for name in ("layer_norm_eps", "initializer_range") if _is_infinite(content, name)
    ]
    layers = content.get("num_hidden_layers")
    if type(layers) is int and layers > LAYERS:
        found.append(("num_hidden_layers", f"{LAYERS:,} layers at most"))
    found += [(name, f"{SIZE:,} at most") for name in SIZES if type(content.get(name)) is int and content[name] > SIZE]
    heads: Any = content.get("pruned_heads", {})
    if not isinstance(heads, dict) or not all(_is_layer(*pair) for pair in cast("dict[Any, Any]", heads).items()):
        found.append(("pruned_heads", "an object, number of a layer -> a list of numbers of heads"))
    labels: Any = content.get("id2label")
    if labels is not None and not (
        isinstance(labels, dict) and all(_is_number(key) for key in cast("dict[Any, Any]", labels))
    ):
        found.append(("id2label", "an object, number -> label, or null"))
    names = content.get("label2id")
    if names is not None and not (
        isinstance(names, dict) and all(type(value) is int for value in cast("dict[str, Any]", names).values())
    ):
        found.append(("label2id", "an object, label -> number, or null"))
    for name in ("dtype", "torch_dtype"):
        if not isinstance(content.get(name), str | None):
            found.append((name, "the name of a dtype, or null"))
    return found


def _is_infinite(content: Mapping[str, Any], name: str) -> bool:
    value = content.get(name)
    return isinstance(value, float) and math.isinf(value)


def _is_number(text: Any) -> bool:
    return isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) < 10


def _is_layer(layer: Any, heads: Any) -> bool:
    return _is_number(layer) and isinstance(heads, list) and all(type(head) is int for head in cast("list[Any]", heads))
