"""Parameters as a tree: flat names <-> nested mappings, so that `p["attention"]["self"]` is a place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Names with dots -> a tree whose path is the name.

    Example:
        >>> nest({"pooler.dense.weight": 1, "pooler.dense.bias": 2})
        {'pooler': {'dense': {'weight': 1, 'bias': 2}}}
    """
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *path, leaf = name.split(".")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[leaf] = value
    return tree


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The inverse of `nest`.

    Example:
        >>> flatten({"pooler": {"dense": {"weight": 1}}})
        {'pooler.dense.weight': 1}
    """
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(cast("Mapping[str, Any]", value), f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
