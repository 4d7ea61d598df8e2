"""The inference form: the same encoder on the real tokens of a batch, one after the other, without their padding.

Read it beside `encoder.py`: the same steps on (n, D) in place of (B, T, D), where n counts the tokens of `Flat`. Dense
layers are laid out once (`products`); query, key and value are one product; attention is PyTorch's fused kernel,
of rows without padding (`rows`); the last layer is computed for the tokens whose vectors are wanted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...reference.config import RobertaConfig
from ...reference.inputs import Inputs
from ...reference.outputs import Output
from ..arrays.answers import Parts, answer
from ..arrays.flat import Flat, every_token, flat_batch
from . import heads
from .embeddings import resolve_position_ids
from .frozen import Watch, require_known
from .layers import ACTIVATIONS
from .padded import padded_body
from .products import Dense, dense
from .rows import ByRow, Together, attention_of
from .weights import is_tracing


class Wanted(NamedTuple):
    """The tokens whose vectors are wanted of the last layer.

    Attributes:
        order: (w,) their places in the flat order, row by row.
        back: (w,) from that order to the one that was asked for.
        mix: attention, with these tokens as queries.
    """

    order: Tensor
    back: Tensor
    mix: ByRow | Together


class Norm:
    """LayerNorm(x), of its own copies: (n, D) -> (n, D)."""

    def __init__(self, module: Any, dtype: torch.dtype) -> None:
        self.weight, self.bias = (part.detach().to(dtype, copy=True) for part in (module.weight, module.bias))
        self.eps = module.eps

    def __call__(self, x: Tensor) -> Tensor:
        """(n, D) -> (n, D)."""
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)

    @property
    def nbytes(self) -> int:
        """What it holds."""
        return self.weight.nbytes + self.bias.nbytes


class Embeddings:
    """LayerNorm(word + token_type + position) of the tokens that are computed. The tables are the model's own."""

    def __init__(self, module: Any, dtype: torch.dtype, config: RobertaConfig) -> None:
        self.config = config
        names = ("word_embeddings", "token_type_embeddings", "position_embeddings")
        self.word, self.token_type, self.position = (getattr(module, name).weight.detach().to(dtype) for name in names)
        self.norm = Norm(module.LayerNorm, dtype)

    def __call__(self, inputs: Inputs, places: Tensor) -> Tensor:
        """`Inputs` of (B, T) -> (n, D)."""
        if inputs.inputs_embeds is None:
            word = self.word[inputs.input_ids.reshape(-1)[places]]  # n D
        else:
            word = inputs.inputs_embeds.flatten(0, 1)[places]  # n D
        types = inputs.token_type_ids
        total = word + (self.token_type[0] if types is None else self.token_type[types.reshape(-1)[places]])  # n D
        if self.config.position_embedding_type == "absolute":
            positions = resolve_position_ids(inputs, self.config).expand(inputs.tokens.shape[:2])  # B T
            total += self.position[positions.reshape(-1)[places]]  # n D
        return self.norm(total)  # n D

    @property
    def nbytes(self) -> int:
        """What it holds."""
        return self.word.nbytes + self.token_type.nbytes + self.position.nbytes + self.norm.nbytes


class Attention:
    """Query, key and value, and what follows them; the query apart, if it may be for few tokens, or of others."""

    def __init__(self, module: Any, dtype: torch.dtype, config: RobertaConfig, *, is_apart: bool) -> None:
        own = module.self
        projections = [(part.weight.to(dtype), _bias(part, dtype)) for part in (own.query, own.key, own.value)]
        groups = [projections[:1], projections[1:]] if is_apart else [projections]
        self.projections = [dense(*map(torch.cat, zip(*group, strict=True))) for group in groups]
        self.attended = _dense(module.output.dense, dtype)
        self.norm = Norm(module.output.LayerNorm, dtype)
        self.width = (len(own.query.weight) // config.head_size, config.head_size)  # H K: some heads may be pruned

    def queries(self, x: Tensor) -> Tensor:
        """(m, D) -> (m, H, K), where they are apart."""
        return self.projections[0](x).view(len(x), *self.width)

    def keys_and_values(self, x: Tensor) -> tuple[Tensor, ...]:
        """(n, D) -> key and value, or query, key and value where these are together: (n, H, K) each."""
        count = 4 - len(self.projections)
        return self.projections[-1](x).view(len(x), count, *self.width).unbind(1)

    def ended(self, mixed: Tensor, x: Tensor) -> Tensor:
        """LayerNorm(x + W_o mixed + b_o): (m, HK), (m, D) -> (m, D)."""
        return self.norm(self.attended.plus(mixed, x))

    @property
    def nbytes(self) -> int:
        """What it holds."""
        return sum(part.nbytes for part in (*self.projections, self.attended, self.norm))


class Layer:
    """Self-attention and feed-forward: (n, D) -> (n, D), or (w, D) of the tokens that are wanted.

    The last one has its query apart, as it may be for few tokens while keys and values are for all.
    """

    def __init__(self, module: Any, dtype: torch.dtype, config: RobertaConfig, is_last: bool) -> None:
        self.self_attention = Attention(module.attention, dtype, config, is_apart=is_last)
        self.cross_attention: Attention | None = None
        if config.add_cross_attention:
            self.cross_attention = Attention(module.crossattention, dtype, config, is_apart=True)
        self.intermediate = _dense(module.intermediate.dense, dtype)
        self.output = _dense(module.output.dense, dtype)
        self.output_norm = Norm(module.output.LayerNorm, dtype)
        self.hidden_act = config.hidden_act

    def attention(self, x: Tensor, mix: ByRow | Together, wanted: Wanted | None) -> Tensor:
        """LayerNorm(x + W_o concat_h(softmax(q k' / sqrt(K)) v) + b_o)."""
        own, asking = self.self_attention, x if wanted is None else x[wanted.order]  # m D
        *query, key, value = own.keys_and_values(x)  # n H K
        query = query[0] if query else own.queries(asking)  # m H K
        mixed = mix(query, key, value) if wanted is None else wanted.mix(query, key, value)  # m HK
        return own.ended(mixed, asking)  # m D

    def feed_forward(self, x: Tensor) -> Tensor:
        """LayerNorm(x + W_2 activation(W_1 x + b_1) + b_2)."""
        if self.hidden_act == "gelu":
            activated = self.intermediate.gelu(x)  # n F
        else:
            activated = ACTIVATIONS[self.hidden_act](self.intermediate(x))  # pyright: ignore[reportCallIssue]  # n F
        return self.output_norm(self.output.plus(activated, x))  # n D

    def __call__(self, x: Tensor, mix: ByRow | Together, wanted: Wanted | None = None) -> Tensor:
        """(n, D) -> (n, D), or (w, D)."""
        y = self.feed_forward(self.attention(x, mix, wanted))  # m D
        return y if wanted is None else y[wanted.back]  # w D

    @property
    def nbytes(self) -> int:
        """What it holds."""
        parts = (self.self_attention, self.cross_attention, self.intermediate, self.output, self.output_norm)
        return sum(part.nbytes for part in parts if part is not None)


class Inference:
    """A head for forward passes; see `PublicModel.for_inference`.

    Attributes:
        nbytes: what it holds: dense layers laid out anew, norms, and the tables, which it shares with the model where
            the dtype is the same.
    """

    def __init__(self, model: Any, dtype: str) -> None:
        self.head: str = model.head
        self.config: RobertaConfig = model.config
        self.dtype: torch.dtype = getattr(torch, dtype)
        require_known(model)
        with torch.no_grad():
            body = model if self.head == "model" else model.roberta
            N = self.config.num_hidden_layers
            self.embeddings = Embeddings(body.embeddings, self.dtype, self.config)
            self.layers = [
                Layer(layer, self.dtype, self.config, i == N - 1) for i, layer in enumerate(body.encoder.layer)
            ]
            self.pooler = None if body.pooler is None else _dense(body.pooler.dense, self.dtype)
            self.denses = {name: _dense(module, self.dtype) for name, module in _head_denses(model)}
            is_language = hasattr(model, "lm_head")
            self.norm = Norm(model.lm_head.layer_norm, self.dtype) if is_language else None
        self.watch(model)

    def watch(self, model: Any) -> None:
        """Notice from now on when the model's weights change."""
        self._watch: Watch | None = Watch(model)

    def parameters(self) -> Iterator[Tensor]:
        """The word table, for its dtype and device."""
        yield self.embeddings.word

    @property
    def nbytes(self) -> int:
        """How many bytes it holds."""
        parts = [self.embeddings, *self.layers, *self.denses.values(), self.pooler, self.norm]
        return sum(part.nbytes for part in parts if part is not None)

    def __getstate__(self) -> dict[str, Any]:
        """Whoever unpickles it watches the model that came with it."""
        return {**vars(self), "_watch": None}

    def refusal(self, inputs: Inputs) -> str:
        """What it has no way for.

        Raises:
            RuntimeError: the weights of the model have changed since.
        """
        changed = self._watch.changed() if self._watch and not is_tracing() else ""
        if changed:
            what = f"the model's weights have changed since for_inference() was called ({changed})"
            raise RuntimeError(f"{what}; call it again")
        asked = {
            "attention probabilities": inputs.output_attentions,
            "a head mask": inputs.head_mask is not None,
            "relative positions": self.config.position_embedding_type != "absolute",
            "values that a compiler leaves open": is_tracing(),
        }
        return ", ".join(name for name, is_asked in asked.items() if is_asked)

    def run(self, inputs: Inputs, has_labels: bool) -> Output:
        """`Inputs` -> the head's record. It computes in its own dtype, whatever autocast says."""
        with torch.autocast(inputs.tokens.device.type, enabled=False):
            return self._run(inputs, has_labels)

    def _run(self, inputs: Inputs, has_labels: bool) -> Output:
        rows = inputs.flattened() if self.head == "multiple_choice" else inputs
        if self.config.is_decoder or (rows.attention_mask is not None and rows.attention_mask.ndim == 3):
            return self._run_padded(inputs, rows)
        mask = None if rows.attention_mask is None else rows.attention_mask.cpu().numpy()
        on_host = replace(rows, positions=None if rows.positions is None else rows.positions.cpu().numpy())
        has_pooler = self.head == "model" and self.pooler is not None
        flat = flat_batch(self.head, on_host, mask, has_pooler=has_pooler, every_token=has_labels)
        places = torch.from_numpy(flat.places).to(rows.tokens.device)  # n
        x, states = self.body(rows, flat, places)  # n D, or w D

        def whole(values: Tensor, empty: float) -> Tensor:
            padded = values.new_full((flat.shape[0] * flat.shape[1], *values.shape[1:]), empty)  # BT …
            padded[places] = values
            return padded.view(*flat.shape, *values.shape[1:])  # B T …

        pooler = self.pooled if has_pooler else None
        lowest = torch.finfo(self.dtype).min
        return answer(self.head, x, states, flat, inputs, Parts(whole, heads.at_positions, self.logits, pooler, lowest))

    def _run_padded(self, inputs: Inputs, rows: Inputs) -> Output:
        """Of who sees whom, and of caches, the flat order knows nothing: the batch as it is, padding and all."""
        result = padded_body(self, rows)
        flat = every_token(result.last_hidden_state.shape[:2])

        def whole(values: Tensor, empty: float) -> Tensor:
            return values.view(*flat.shape, *values.shape[1:])  # B T …

        states = [state.flatten(0, 1) for state in result.hidden_states or ()]  # BT D
        pooler = self.pooled if self.head == "model" and self.pooler is not None else None
        parts = Parts(whole, heads.at_positions, self.logits, pooler, torch.finfo(self.dtype).min)
        x = result.last_hidden_state.flatten(0, 1)  # BT D
        output = answer(self.head, x, states, flat, inputs, parts)
        return replace(output, past_key_values=result.past_key_values) if inputs.use_cache else output

    def body(self, inputs: Inputs, flat: Flat, places: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Embeddings and all layers: the last vectors, and those before."""
        x = self.embeddings(inputs, places)  # n D
        states = [x]
        where = (x.device, self.dtype, self.config.head_size)
        mix, wanted = attention_of(flat.starts, flat, *where), _wanted(flat, *where)
        for layer in self.layers[:-1]:
            x = layer(x, mix)  # n D
            states.append(x)
        if self.layers:
            x = self.layers[-1](x, mix, wanted)  # n D, or w D
            states.append(x)
        elif wanted is not None:
            x = x[wanted.order][wanted.back]  # w D
        return x, states

    # -- the heads -----------------------------------------------------------------------------------------------------

    def pooled(self, x: Tensor) -> Tensor:
        """tanh(W x + b) of first tokens: (B, D) -> (B, D)."""
        return self.pooler(x).tanh()  # B D  # pyright: ignore[reportOptionalCall]

    def logits(self, x: Tensor) -> Tensor:
        """The head's own layers: (…, D) -> (…, V) or (…, L)."""
        denses = self.denses
        if self.norm is not None:  # W_v LayerNorm(gelu(W x + b)) + b_v
            return denses["decoder"](self.norm(denses["dense"].gelu(x)))  # … V
        if self.head == "sequence_classification":  # W_o tanh(W x_0 + b) + b_o
            return denses["out_proj"](denses["dense"](x).tanh())  # B L
        if self.head == "multiple_choice":
            return denses["classifier"](self.pooled(x))  # BC 1
        return denses["classifier"](x)  # n L


# -- pieces ------------------------------------------------------------------------------------------------------------


def _wanted(flat: Flat, device: torch.device, dtype: torch.dtype, head_size: int) -> Wanted | None:
    """The wanted tokens row by row, and the way back."""
    if flat.wanted is None:
        return None
    row = np.searchsorted(flat.starts, flat.wanted, side="right") - 1  # w
    order = np.argsort(row, kind="stable")  # w
    counts = np.bincount(row, minlength=flat.shape[0])  # B
    mix = attention_of(np.concatenate([[0], counts.cumsum()]), flat, device, dtype, head_size)
    chosen, back = (torch.from_numpy(part).to(device) for part in (flat.wanted[order], np.argsort(order)))
    return Wanted(chosen, back, mix)


def _dense(module: nn.Linear, dtype: torch.dtype) -> Dense:
    return dense(module.weight.to(dtype), _bias(module, dtype))


def _bias(module: Any, dtype: torch.dtype) -> Tensor:
    """Zeros where somebody has put a layer without one."""
    return module.weight.new_zeros(len(module.weight), dtype=dtype) if module.bias is None else module.bias.to(dtype)


def _head_denses(model: Any) -> Iterator[tuple[str, nn.Linear]]:
    """The dense layers of a head, each by what it is there."""
    if hasattr(model, "lm_head"):
        yield from (("dense", model.lm_head.dense), ("decoder", model.lm_head.decoder))
    elif model.head == "sequence_classification":
        yield from (("dense", model.classifier.dense), ("out_proj", model.classifier.out_proj))
    elif model.head in ("multiple_choice", "token_classification"):
        yield "classifier", model.classifier
    elif model.head == "question_answering":
        yield "classifier", model.qa_outputs
