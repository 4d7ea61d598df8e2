"""RoBERTa's masked language model in NumPy: every equation once, and nothing else.

    python examples/pico.py "It is a truth universally <mask>."

B texts, T tokens, D hidden, H heads, K = D / H, F feed-forward, V vocabulary. p is the checkpoint: name -> array.
The numbers are those of `roberta.reference`, to the bit; there, each line is explained, and has its options.
"""

import json
import sys
from math import sqrt
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from scipy.special import erf


def linear(x, p, name):
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]  # B T out


def layer_norm(x, p, name, eps):
    mean = x.mean(-1, keepdims=True)  # B T 1
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)  # B T 1
    return (x - mean) / np.sqrt(variance + eps) * p[f"{name}.weight"] + p[f"{name}.bias"]  # B T D


def gelu(x):
    return 0.5 * x * (1.0 + erf(x / sqrt(2.0)))  # B T F


def softmax(scores):
    weights = np.exp(scores - scores.max(-1, keepdims=True))  # B H T T
    return weights / weights.sum(-1, keepdims=True)  # B H T T


def embeddings(ids, p, config):
    is_token = (ids != config["pad_token_id"]).astype(int)  # B T
    positions = is_token.cumsum(-1) * is_token + config["pad_token_id"]  # B T
    word = p["roberta.embeddings.word_embeddings.weight"][ids]  # B T D
    kind = p["roberta.embeddings.token_type_embeddings.weight"][0]  # D
    position = p["roberta.embeddings.position_embeddings.weight"][positions]  # B T D
    return layer_norm(word + kind + position, p, "roberta.embeddings.LayerNorm", config["layer_norm_eps"])  # B T D


def split_heads(x, head_count):
    B, T, D = x.shape
    return x.reshape(B, T, head_count, D // head_count).swapaxes(1, 2)  # B H T K


def merge_heads(x):
    B, H, T, K = x.shape
    return x.swapaxes(1, 2).reshape(B, T, H * K)  # B T D


def attention(x, is_token, p, name, config):
    query, key, value = (
        split_heads(linear(x, p, f"{name}.self.{part}"), config["num_attention_heads"])
        for part in ("query", "key", "value")
    )  # B H T K
    scores = query @ key.swapaxes(-1, -2) / sqrt(query.shape[-1])  # B H T T
    scores = np.where(is_token[:, None, None, :], scores, np.finfo(scores.dtype).min)  # B H T T
    context = merge_heads(softmax(scores) @ value)  # B T D
    y = x + linear(context, p, f"{name}.output.dense")  # B T D
    return layer_norm(y, p, f"{name}.output.LayerNorm", config["layer_norm_eps"])  # B T D


def feed_forward(x, p, name, config):
    inner = gelu(linear(x, p, f"{name}.intermediate.dense"))  # B T F
    y = x + linear(inner, p, f"{name}.output.dense")  # B T D
    return layer_norm(y, p, f"{name}.output.LayerNorm", config["layer_norm_eps"])  # B T D


def masked_lm(ids, p, config):
    """The logits of every token: integers (B, T) -> (B, T, V)."""
    is_token = ids != config["pad_token_id"]  # B T
    x = embeddings(ids, p, config)  # B T D
    for i in range(config["num_hidden_layers"]):
        x = attention(x, is_token, p, f"roberta.encoder.layer.{i}.attention", config)  # B T D
        x = feed_forward(x, p, f"roberta.encoder.layer.{i}", config)  # B T D
    x = layer_norm(gelu(linear(x, p, "lm_head.dense")), p, "lm_head.layer_norm", config["layer_norm_eps"])  # B T D
    return x @ p["roberta.embeddings.word_embeddings.weight"].T + p["lm_head.bias"]  # B T V


def load(folder, dtype="float32"):
    """A checkpoint's arrays and its configuration."""
    arrays = load_file(Path(folder) / "model.safetensors")
    config = json.loads((Path(folder) / "config.json").read_text())
    return {name: array.astype(dtype) for name, array in arrays.items()}, config


if __name__ == "__main__":
    import roberta

    folder = Path(roberta.__file__).parent / "checkpoints/austen"
    tokenizer = roberta.RobertaTokenizer.from_pretrained(folder)
    ids = np.array([tokenizer(" ".join(sys.argv[1:]))["input_ids"]])
    for logits in masked_lm(ids, *load(folder))[ids == tokenizer.mask_token_id]:
        print(*(tokenizer.decode([best]).strip() for best in logits.argsort()[::-1][:5]), sep=", ")
