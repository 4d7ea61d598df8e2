"""Which families of checkpoints are RoBERTa under another name, and why the neighbours are not.

A config.json says by its `model_type` what its weights are of. Three names stand for this very model. The others that
people mistake for it are refused by name: their weights would load in part, or even whole, and compute nonsense.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple


class Member(NamedTuple):
    """A family that this model is of.

    Attributes:
        prefix: how its classes are called in place of `Roberta`.
        defaults: of its configuration, where families differ: what its files may leave out.
    """

    prefix: str
    defaults: Mapping[str, Any]


#: `model_type` -> the family. All compute the same; they differ in their vocabulary and in the names of their classes.
MEMBERS: Mapping[str, Member] = {
    "roberta": Member("Roberta", {"vocab_size": 50265}),
    "camembert": Member("Camembert", {"vocab_size": 30522}),
    "xlm-roberta": Member("XLMRoberta", {"vocab_size": 30522}),
}

#: Names under which people publish this very architecture, letters small and hyphens left out -> their family.
COMMUNITY: Mapping[str, str] = {
    "xlmroberta": "xlm-roberta",
    "xlmr": "xlm-roberta",
    "phobert": "roberta",
    "bertweet": "roberta",
    "codebert": "roberta",
    "graphcodebert": "roberta",
    "unixcoder": "roberta",
    "robertuito": "roberta",
    "robbert": "roberta",
}

_ELSEWHERE = "use transformers' Auto classes for it"
#: `model_type` -> what differs, and what to use.
STRANGERS: Mapping[str, tuple[str, str]] = {
    "bert": ("its positions count from 0, it has two token types, and its head is another", "AutoModel"),
    "distilbert": ("it has half of the layers, no token types and no pooler, under other names", "AutoModel"),
    "albert": ("its layers share one set of weights, and its embeddings are factorised", "AutoModel"),
    "electra": ("it is a discriminator, whose embeddings are projected and whose positions count from 0", "AutoModel"),
    "deberta": ("its attention is disentangled: content and relative position have scores of their own", "AutoModel"),
    "deberta-v2": ("its attention is disentangled, with shared relative positions and buckets", "AutoModel"),
    "modernbert": ("it has rotary positions, gated feed-forward layers and layers of local attention", "AutoModel"),
    "roberta-prelayernorm": ("its LayerNorms stand before attention and feed-forward, not behind them", "AutoModel"),
    "xlm-roberta-xl": ("its LayerNorms stand before attention and feed-forward, not behind them", "AutoModel"),
    "longformer": ("its attention is a sliding window with global tokens, of other weights", "AutoModel"),
    "big_bird": ("its attention is sparse: blocks, random and global tokens", "AutoModel"),
    "xlm": ("its LayerNorms, its language embeddings and its head are others", "AutoModel"),
    "flaubert": ("it is an XLM: other LayerNorms, other names, another head", "AutoModel"),
    "xlnet": ("it predicts permutations, with two streams of attention", "AutoModel"),
    "data2vec-text": ("its weights have other names, and were not trained on words", "AutoModel"),
    "ibert": ("it computes in integers, with other activations and softmax", "AutoModel"),
    "xmod": ("it has an adapter for each language in every layer", "AutoModel"),
    "mpnet": ("it has one relative position bias, shared by all layers", "AutoModel"),
    "camembertv2": ("it is a DeBERTa-v2 under CamemBERT's name", "AutoModel"),
    "bart": ("it is an encoder and a decoder", "AutoModelForSeq2SeqLM"),
    "gpt2": ("it is a decoder only, whose LayerNorms stand before its layers", "AutoModelForCausalLM"),
}


def member_of(found: object, where: Path) -> str:
    """The family of a configuration.

    Args:
        found: its `model_type`.
        where: its file, for the message.

    Returns:
        A key of `MEMBERS`.

    Raises:
        ValueError: another model; says what differs, and what to use.

    Example:
        >>> member_of("phobert", Path("config.json"))
        'roberta'
        >>> member_of("longformer", Path("config.json"))
        Traceback (most recent call last):
        ValueError: config.json: required "model_type": "roberta", "camembert" or "xlm-roberta", got 'longformer', ...
    """
    plain = found.lower().replace("_", "-") if isinstance(found, str) else ""
    name = COMMUNITY.get(plain.replace("-", ""), plain)
    if name in MEMBERS:
        return name
    wanted = 'required "model_type": "roberta", "camembert" or "xlm-roberta"'
    name = found if isinstance(found, str) and found in STRANGERS else name
    if name in STRANGERS:
        why, use = STRANGERS[name]
        message = f"{where}: {wanted}, got {found!r}, which is another model: {why}. Use transformers.{use} for it"
        raise ValueError(message)
    remedy = "if its weights have RoBERTa's names and shapes all the same, correct model_type in a copy of the folder"
    message = f"{where}: {wanted} in a JSON object, got {found!r:.60}; {remedy}, or else {_ELSEWHERE}"
    raise ValueError(message)
