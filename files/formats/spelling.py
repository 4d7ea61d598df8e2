"""How other frameworks' files spell HF's names, and on which side their matrices have the inputs.

A dense layer's matrix is `kernel`, (in, out), in TensorFlow's and Flax's files, and `weight`, (out, in), in PyTorch's.
A norm's gain is `gamma` or `scale`, and a table is `embeddings` or `embedding`.
"""

from __future__ import annotations

import re

#: How the last parts of a name are spelled -> HF's.
LAST = {"gamma": "weight", "scale": "weight", "beta": "bias", "embedding": "weight", "embeddings": "weight"}
#: The tables.
TABLE = re.compile(r"(?:^|\.)(?:\w+_embeddings|distance_embedding)\.weight$")
NORM = re.compile(r"(?:LayerNorm|layer_norm)\.(?:weight|bias)$")


def hf_name(parts: list[str]) -> tuple[str, bool]:
    """HF's name of what TensorFlow or Flax calls by these parts, and whether its matrix is turned.

    Example:
        >>> hf_name(["roberta", "encoder", "layer_._0", "output", "dense", "kernel:0"])
        ('roberta.encoder.layer.0.output.dense.weight', True)
        >>> hf_name(["embeddings", "LayerNorm", "scale"])
        ('embeddings.LayerNorm.weight', False)
    """
    *path, last = (part.removesuffix(":0").replace("_._", ".") for part in parts)
    if last == "kernel":
        return ".".join([*path, "weight"]), True
    return ".".join([*path, LAST.get(last, last)]), False


def tensorflow_name(name: str) -> tuple[str, bool]:
    """What transformers' TensorFlow classes call it, below the class's own name; and whether its matrix is turned.

    Example:
        >>> tensorflow_name("roberta.encoder.layer.0.output.dense.weight")
        ('roberta/encoder/layer_._0/output/dense/kernel:0', True)
    """
    stem, _, last = name.rpartition(".")
    if NORM.search(name):
        kind = {"weight": "gamma", "bias": "beta"}[last]
    elif TABLE.search(name):
        kind = "weight" if stem.endswith("word_embeddings") else "embeddings"
    else:
        kind = "kernel" if last == "weight" else last
    path = re.sub(r"/layer/(\d+)/", r"/layer_._\1/", f"{stem.replace('.', '/')}/")
    return f"{path}{kind}:0", kind == "kernel"


def flax_name(name: str) -> tuple[str, bool]:
    """What transformers' Flax classes call it, with a stroke between the steps; and whether its matrix is turned.

    Example:
        >>> flax_name("lm_head.layer_norm.weight")
        ('lm_head/layer_norm/scale', False)
    """
    stem, _, last = name.rpartition(".")
    kind = last
    if last == "weight":
        kind = "scale" if NORM.search(name) else "embedding" if TABLE.search(name) else "kernel"
    return "/".join([*stem.split("."), kind]), kind == "kernel"
