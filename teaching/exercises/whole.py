"""The last exercise: a masked language model, from all that was written before."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...dispatch.api import FACES
from ...parity.cases import small_config
from ...parity.mistakes.wrong_engines import twin
from ...reference.heads import masked_lm
from ...reference.inputs import Inputs
from ...reference.weights import nest
from ..switches import FAULTS, Fault
from .exercise import Case, Exercise, Mistake

#: Switches that show in what a black box returns.
NAMED = (
    "token-type-table", "positions-from-zero", "positions-off-by-one", "padding-counted", "eps-1e-12", "eps-1e-3",
    "eps-outside", "unbiased-variance", "query-key-swapped", "value-bias", "no-scale", "mask-ignored", "head-off",
    "heads-interleaved", "kernel-transposed", "residual", "tanh-gelu", "quick-gelu", "layer-off", "decoder-bias",
)  # fmt: skip


def _model(config: Any, p: Any) -> Any:
    state = {name: np.asarray(value, np.float64) for name, value in p.items()}
    return FACES["masked_lm"].on("numpy")(config, dtype="float64", state=state, strict=False).train(False)


def _answer(input_ids: Any, attention_mask: Any, p: Any, config: Any) -> Any:
    tied = {"lm_head.decoder.weight": p["roberta.embeddings.word_embeddings.weight"]}
    inputs = Inputs(input_ids, attention_mask=attention_mask)
    return masked_lm(inputs, nest({**p, **tied, "lm_head.decoder.bias": p["lm_head.bias"]}), config).logits


def _cases(rng: np.random.Generator) -> list[Case]:
    found: list[Case] = []
    for layers, padding in ((1, 0), (2, 2)):
        config = small_config(num_hidden_layers=layers, vocab_size=23)
        made = FACES["masked_lm"].on("numpy")(config, seed=int(rng.integers(1000)))
        tied = ("lm_head.decoder.weight", "lm_head.decoder.bias")
        p: dict[str, Any] = {
            name: np.asarray(value + 0.3 * rng.standard_normal(value.shape), np.float32)
            for name, value in made.state_dict_numpy().items()
            if name not in tied
        }
        ids = rng.integers(3, 23, (2, 6))
        ids[1, :padding] = config.pad_token_id
        found.append(
            {"input_ids": ids, "attention_mask": (ids != config.pad_token_id).astype(int), "p": p, "config": config}
        )
    return found


def _mistake(fault: Fault) -> Mistake:
    def answer(input_ids: Any, attention_mask: Any, p: Any, config: Any) -> Any:
        with np.errstate(all="ignore"):
            wrong = twin(fault.mutant, _model(config, p))
            return np.asarray(wrong(input_ids=input_ids, attention_mask=attention_mask)["logits"])

    return Mistake(fault.title[:1].lower() + fault.title[1:], f"The spec's line: {fault.correct}", answer)


MASKED_LM = Exercise(
    "masked_lm",
    "A masked language model",
    """The whole forward pass, from ids to logits over the vocabulary, by what you have written before:

x = LayerNorm(word + position + token type), the types all 0; in each layer
y = LayerNorm(x + W_o concat_h(attention(q, k, v)) + b_o),  q, k, v = x W' + b by head, of size K = D / H;
x = LayerNorm(y + W_2 gelu(W_1 y + b_1) + b_2); and at last
logits = LayerNorm(gelu(x W' + b)) word' + bias.

input_ids, attention_mask: (B, T) integers, 1 where a token may be looked at. p: a dict of arrays, under the names of a
checkpoint, such as "roberta.encoder.layer.0.attention.self.query.weight" (out, in); print(list(p)) shows them; the
decoder is the word table. config: num_hidden_layers, num_attention_heads, hidden_size, layer_norm_eps, pad_token_id.
Returns (B, T, V). Source: Liu et al. (2019); HF RobertaForMaskedLM.""",
    "(input_ids, attention_mask, p, config)",
    _answer,
    _cases,
    tuple(_mistake(fault) for fault in FAULTS if fault.name in NAMED),
)
