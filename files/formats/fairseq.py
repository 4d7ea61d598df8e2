"""The paper's own files: fairseq's `model.pt`, beside it `dict.txt`, and the byte-pair files of GPT-2.

fairseq has had two generations of names (`decoder.` and `encoder.`, with a prefix `sentence_encoder.`), one of settings
in a namespace (`args`) and one in nested dicts (`cfg`); both are read as data.

Source: fairseq's `RobertaModel` (`models/roberta/model.py`), `TransformerSentenceEncoder`, `Dictionary`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from . import pytorch
from .pickles import Record

#: What comes before the body's and the head's names.
BODY = re.compile(r"(?:encoder|decoder)\.sentence_encoder\.|sentence_encoder\.")
HEAD = re.compile(
    r"(?:encoder|decoder)\.(?=lm_head\.)|(?=classification_heads\.)|(?:encoder|decoder)\.(?=classification_heads\.)"
)
#: fairseq's name -> HF's, of the body and of its layers.
NAMES = {
    "embed_tokens.weight": "embeddings.word_embeddings.weight",
    "embed_positions.weight": "embeddings.position_embeddings.weight",
    "segment_embeddings.weight": "embeddings.token_type_embeddings.weight",
    **{
        f"{old}.{part}": f"embeddings.LayerNorm.{part}"
        for old in ("emb_layer_norm", "layernorm_embedding") for part in ("weight", "bias")
    },
}  # fmt: skip
LAYER_NAMES = {
    **{f"self_attn.{short}_proj": f"attention.self.{name}"
       for short, name in (("q", "query"), ("k", "key"), ("v", "value"))},
    "self_attn.out_proj": "attention.output.dense",
    "self_attn_layer_norm": "attention.output.LayerNorm",
    "fc1": "intermediate.dense",
    "fc2": "output.dense",
    "final_layer_norm": "output.LayerNorm",
}  # fmt: skip
HEAD_NAMES = {
    "lm_head.weight": "lm_head.decoder.weight",
    **{f"lm_head.{name}": f"lm_head.{name}" for name in (
        "bias", "dense.weight", "dense.bias", "layer_norm.weight", "layer_norm.bias")},
}  # fmt: skip
#: fairseq's setting -> the config's field.
SETTINGS = {
    "encoder_layers": "num_hidden_layers", "encoder_embed_dim": "hidden_size",
    "encoder_ffn_embed_dim": "intermediate_size", "encoder_attention_heads": "num_attention_heads",
    "activation_fn": "hidden_act", "dropout": "hidden_dropout_prob",
    "attention_dropout": "attention_probs_dropout_prob",
}  # fmt: skip
#: fairseq's name of an activation -> HF's, where it is another; its accurate GELU is the one with tanh.
ACTIVATIONS = {"gelu_accurate": "gelu_new", "gelu_fast": "gelu_new"}
#: What the fields are where a file has no settings; roberta-base's, but for sizes, which the tensors have.
FIXED = {
    "layer_norm_eps": 1e-5, "type_vocab_size": 1, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2,
}  # fmt: skip
#: The tokens before and behind those of a dictionary.
FIRST, LAST = ("<s>", "<pad>", "</s>", "<unk>"), "<mask>"


def read(path: Path) -> dict[str, Any]:
    """The tensors of a file under HF's names; those that are already HF's stay.

    fairseq has no token types: a table of zeros, (1, D), stands for them, and adds nothing. Of several classification
    heads the one that there is, is the classifier; of more than one each keeps fairseq's name.

    Args:
        path: fairseq's file, or any other of PyTorch's.

    Raises:
        ValueError: as `pytorch.read`; or a shape that fairseq's has not.
    """
    tensors = pytorch.read(path)
    if not any(BODY.match(name) for name in tensors):
        return tensors
    heads = sorted(
        {name.split("classification_heads.")[1].split(".")[0] for name in tensors if "classification_heads." in name}
    )
    found: dict[str, Any] = {}
    for name, array in tensors.items():
        for own, part in _renamed(name, array, heads):
            if own in found:
                raise ValueError(f"{path}: required one array for {own}, got another from {name}; leave one out")
            found[own] = part
    word = found.get("roberta.embeddings.word_embeddings.weight")
    if word is not None:
        types = "roberta.embeddings.token_type_embeddings.weight"
        found.setdefault(types, np.zeros((1, word.shape[-1]), word.dtype))
    return found


def config_of(path: Path) -> dict[str, Any] | None:
    """The fields of a configuration, of a file of fairseq's; None of another.

    Raises:
        ValueError: as `read`; or neither settings nor tensors that say them.
    """
    tree = pytorch.read_whole(path)
    names = [name for name in pytorch.tensors_of(path, tree) if BODY.match(name)]
    if not names:
        return None
    tensors = read(path)
    settings = _settings(tree)
    word: Any = tensors.get("roberta.embeddings.word_embeddings.weight")
    places: Any = tensors.get("roberta.embeddings.position_embeddings.weight")
    inner: Any = tensors.get("roberta.encoder.layer.0.intermediate.dense.weight")
    if any(array is None or array.ndim != 2 for array in (word, places, inner)):
        raise ValueError(f"{path}: required a word table, a position table and a layer 0, each of two axes")
    layers = {int(found[1]) for name in tensors if (found := re.match(r"roberta\.encoder\.layer\.(\d+)\.", name))}
    fields: dict[str, Any] = {
        **FIXED,
        **{own: settings[name] for name, own in SETTINGS.items() if settings.get(name) is not None},
        "vocab_size": word.shape[0],
        "hidden_size": word.shape[1],
        "max_position_embeddings": places.shape[0],
        "intermediate_size": inner.shape[0],
        "num_hidden_layers": max(layers) + 1,
    }
    types = tensors["roberta.embeddings.token_type_embeddings.weight"]
    fields["type_vocab_size"] = types.shape[0]
    fields["hidden_act"] = ACTIVATIONS.get(str(fields.get("hidden_act", "gelu")), fields.get("hidden_act", "gelu"))
    if "num_attention_heads" not in fields:
        fields["num_attention_heads"] = max(word.shape[1] // 64, 1)
    classes: Any = tensors.get("classifier.out_proj.weight")
    if classes is not None:
        fields["num_labels"] = classes.shape[0]
    return fields


def vocabulary_of(folder: Path) -> tuple[dict[str, int], str] | None:
    """The tokenizer of fairseq's folder: token -> id, and the text of merges.txt; None where it has no dict.txt.

    fairseq counts the ids of GPT-2's pieces anew, in the order of dict.txt, behind four of its own; a mask is the last.

    Args:
        folder: with dict.txt, and GPT-2's encoder.json and vocab.bpe.

    Raises:
        FileNotFoundError: a dict.txt without the other two.
        ValueError: a line or a file that is none of them.
    """
    words = folder / "dict.txt"
    if not words.is_file():
        return None
    pieces, merges = (_one_of(folder, names) for names in (("encoder.json", "vocab.json"), ("vocab.bpe", "merges.txt")))
    try:
        by_id = {number: piece for piece, number in json.loads(pieces.read_bytes()).items()}
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise ValueError(f"{pieces}: required a JSON object, piece -> number, got {str(error)[:200]!r}") from error
    tokens = [*FIRST]
    for place, line in enumerate(words.read_text(encoding="utf-8").splitlines(), start=1):
        number, _, count = line.removesuffix(" #fairseq:overwrite").rpartition(" ")
        if not count.isdecimal() or not number:
            raise ValueError(f"{words}, line {place}: required a number of GPT-2's and a count, got {line[:80]!r}")
        tokens.append(by_id.get(int(number), number) if number.isdecimal() else number)
    tokens.append(LAST)
    if len(set(tokens)) != len(tokens):
        twice = next(token for token in tokens if tokens.count(token) > 1)
        raise ValueError(f"{words}: required each piece once, got {twice!r} twice")
    return {token: place for place, token in enumerate(tokens)}, merges.read_text(encoding="utf-8")


# -- pieces ------------------------------------------------------------------------------------------------------------


def _renamed(name: str, array: Any, heads: list[str]) -> list[tuple[str, Any]]:
    """HF's names and arrays of one of fairseq's; of one that is not known, the same."""
    if body := BODY.match(name):
        rest = name[body.end() :]
        if rest in NAMES:
            return [(f"roberta.{NAMES[rest]}", array)]
        if layer := re.fullmatch(r"layers\.(\d+)\.(.+)", rest):
            return [(f"roberta.encoder.layer.{layer[1]}.{own}", part) for own, part in _of_layer(layer[2], array)]
        return [(name, array)]
    if head := HEAD.match(name):
        rest = name[head.end() :]
        if rest in HEAD_NAMES:
            return [(HEAD_NAMES[rest], array)]
        if len(heads) == 1 and rest.startswith("classification_heads."):
            return [(f"classifier.{rest.split('.', 2)[2]}", array)]
    return [(name, array)]


def _of_layer(name: str, array: Any) -> list[tuple[str, Any]]:
    """The same inside a layer; the oldest files have query, key and value in one matrix."""
    part, _, kind = name.rpartition(".")
    if name in ("self_attn.in_proj_weight", "self_attn.in_proj_bias"):
        if not array.ndim or array.shape[0] % 3:
            raise ValueError(f"{name}: required query, key and value in one, (3 D, …), got {array.shape}")
        kind = name.removeprefix("self_attn.in_proj_")
        names = (f"attention.self.{part}.{kind}" for part in ("query", "key", "value"))
        return list(zip(names, np.split(array, 3), strict=True))
    return [(f"{LAYER_NAMES[part]}.{kind}" if part in LAYER_NAMES else name, array)]


def _settings(tree: Any) -> dict[str, Any]:
    """fairseq's settings of a model, of either generation."""
    args = tree.get("args")
    if isinstance(args, Record):
        return args.attributes
    cfg = tree.get("cfg")
    model = cast("Mapping[str, Any]", cfg).get("model") if isinstance(cfg, Mapping) else None
    if isinstance(model, Record):
        return model.attributes
    return dict(cast("Mapping[str, Any]", model)) if isinstance(model, Mapping) else {}


def _one_of(folder: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    message = f"{folder}: dict.txt counts GPT-2's pieces, and needs {' or '.join(names)} beside it; copy it there"
    raise FileNotFoundError(message)
