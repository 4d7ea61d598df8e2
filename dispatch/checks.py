"""The boundary: what a call may be given, checked once for all engines, before any framework sees it.

Every message says what was required, what came, where, and what to do.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..reference.config import RobertaConfig
from ..reference.inputs import LABELS, SIGNATURES
from ..reference.losses import IGNORE_INDEX, problem_type
from ..reference.outputs import to_numpy
from ..reference.parameters import CLASS_NAMES
from .outlines import Outline, agree

#: Arguments that say what is to be returned.
FLAGS = ("use_cache", "output_attentions", "output_hidden_states", "return_dict")
#: Axis -> its size in this call; None where a compiler leaves it open.
Sizes = dict[str, Any]


#: What transformers' Flax classes are called with -> what to do here.
INSTEAD = {
    "params": "Parameters are the model's own: nnx.update(model, state), or model.load_state_dict_numpy(state).",
    "train": "Switch dropout on before the call, by model.train(), and off by model.eval().",
    "deterministic": "Switch dropout off before the call, by model.eval(), and on by model.train().",
    "dropout_rng": "On Flax a model has a stream of its own: nnx.reseed(model, dropout=key).",
}


def bind(head: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by name, as HF's signature of the head has them; what is not given is None.

    Raises:
        TypeError: an unknown name (with the nearest known one), one given twice, or too many.

    Example:
        >>> bind("multiple_choice", ("ids",), {"labels": 1})["labels"]
        1
    """
    names = SIGNATURES[head]
    if len(args) > len(names):
        message = f"{CLASS_NAMES[head]} takes at most {len(names)} arguments, got {len(args)}: {', '.join(names)}"
        raise TypeError(message)
    bound = dict(zip(names, args, strict=False))
    for name, value in kwargs.items():
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"It takes {', '.join(names)}."
            message = f"{CLASS_NAMES[head]}: unknown argument {name!r}. {INSTEAD.get(name, hint)}"
            raise TypeError(message)
        if name in bound:
            message = f"{CLASS_NAMES[head]}: {name} is given twice, by position and by name"
            raise TypeError(message)
        bound[name] = value
    return {name: bound.get(name) for name in names}


def check_call(head: str, config: RobertaConfig, given: Mapping[str, Any]) -> None:
    """Check all arguments of a call.

    Args:
        head: which head is called.
        config: its configuration.
        given: name -> NumPy array (or flag, or cache), or None. Of an `Outline`, which is what there is while a
            compiler looks at the program, everything but the values is checked.

    Raises:
        ValueError: a shape, value or combination that the head cannot take.
        TypeError: a wrong dtype, or a flag that is none.
    """
    _check_flags(given)
    sizes = _check_tokens(head, config, given)
    _check_masks(config, given, sizes)
    _check_cross(config, given, sizes)
    _check_cache(config, given, sizes)
    _check_positions(config, given, sizes)
    _check_places(head, given, sizes)
    _check_labels(head, config, given, sizes)
    _warn_of_padding(head, config, given)


# -- shapes and values -----------------------------------------------------------------------------------------------


def _fail(where: str, required: str, got: str, remedy: str = "") -> ValueError:
    return ValueError(f"{where}: expected {required}, got {got}." + (f" {remedy}" if remedy else ""))


def _describe(value: Any) -> str:
    return f"shape {tuple(value.shape)} of {value.dtype}"


def _require_shape(name: str, value: Any, alternatives: tuple[str, ...], sizes: Sizes) -> None:
    """The shape must be one of the alternatives, such as "B T", in the sizes of this call."""
    expected = [tuple(1 if axis == "1" else sizes[axis] for axis in axes.split()) for axes in alternatives]
    if tuple(value.shape) not in expected and not any(agree(value.shape, shape) for shape in expected):
        shapes = " or ".join(
            f"({', '.join(axes.split())}) = {shape}" for axes, shape in zip(alternatives, expected, strict=True)
        )
        raise _fail(name, shapes, str(tuple(value.shape)))


def _require_integers(name: str, value: Any) -> None:
    if not (np.issubdtype(value.dtype, np.integer) or value.dtype == np.bool_):
        message = f"{name}: expected integers, got {_describe(value)}; convert them with .astype(int)"
        raise TypeError(message)


def _require_range(name: str, value: Any, limit: int, meaning: str, ignored: int | None = None) -> None:
    """Every element must lie in [0, limit), or be `ignored`; the message shows the first that does not."""
    _require_integers(name, value)
    if isinstance(value, Outline):
        return
    is_wrong = (value < 0) | (value >= limit)
    if ignored is not None:
        is_wrong &= value != ignored
    if is_wrong.any():
        index = tuple(int(i) for i in np.argwhere(is_wrong)[0])
        also = "" if ignored is None else f" or {ignored}"
        raise _fail(name, f"integers in [0, {limit}){also} ({meaning})", f"{int(value[index])} at {list(index)}")


def _require_vectors(name: str, value: Any, width: int) -> None:
    """Finite floating-point numbers, and as many in the last axis as the model is wide."""
    if value.shape[-1] not in (width, None):
        raise _fail(name, f"a last axis D = {width} (hidden_size)", _describe(value))
    if not np.issubdtype(value.dtype, np.floating):
        message = f"{name}: expected floating-point numbers, got {_describe(value)}"
        raise TypeError(message)
    if not (isinstance(value, Outline) or np.isfinite(value).all()):
        index = [int(i) for i in np.argwhere(~np.isfinite(value))[0]]
        raise _fail(name, "finite numbers", f"{value[tuple(index)]} at {index}")


# -- flags ---------------------------------------------------------------------------------------------------------


def _check_flags(given: Mapping[str, Any]) -> None:
    for name in FLAGS:
        flag = given.get(name)
        if not (flag is None or isinstance(flag, bool | np.bool_)):
            remedy = f"leave it out for what the config says, or type {name}=True"
            message = f"{name}: expected True, False or None, got {type(flag).__name__}: {flag!r:.60}; {remedy}"
            raise TypeError(message)


# -- tokens --------------------------------------------------------------------------------------------------------


def _check_tokens(head: str, config: RobertaConfig, given: Mapping[str, Any]) -> Sizes:
    ids, embeds = given.get("input_ids"), given.get("inputs_embeds")
    if (ids is None) == (embeds is None):
        both = "both" if ids is not None else "neither"
        raise _fail(CLASS_NAMES[head], "exactly one of input_ids and inputs_embeds", both)
    axes = ["B", "C", "T"] if head == "multiple_choice" else ["B", "T"]
    tokens: Any = embeds if ids is None else ids
    name = "inputs_embeds" if ids is None else "input_ids"
    rank = len(axes) + (ids is None)
    if tokens.ndim != rank:
        letters = ", ".join(axes if ids is not None else [*axes, "D"])
        raise _fail(
            name, f"rank {rank}, ({letters})", _describe(tokens), "A single text is a batch of one: add an axis."
        )
    sizes: Sizes = {"V": config.vocab_size, "D": config.hidden_size, "H": config.num_attention_heads}
    sizes |= {"N": config.num_hidden_layers, **dict(zip(axes, tokens.shape, strict=False))}
    if sizes["T"] == 0 or sizes.get("C") == 0:
        raise _fail(name, "at least one token" + (" and choice" if "C" in sizes else ""), _describe(tokens))
    if ids is not None:
        _require_range(name, ids, config.vocab_size, "vocab_size")
    else:
        _require_vectors("inputs_embeds", embeds, sizes["D"])
    B, C = sizes["B"], sizes.get("C", 1)
    # The rows that the encoder sees, and the tokens that they may attend to.
    sizes["rows"] = None if B is None or C is None else B * C
    sizes["S"] = _key_count(given.get("past_key_values"), sizes["T"])
    if given.get("token_type_ids") is not None:
        _require_shape("token_type_ids", given["token_type_ids"], (" ".join(axes),), sizes)
        _require_range("token_type_ids", given["token_type_ids"], config.type_vocab_size, "type_vocab_size")
    return sizes


def _key_count(past: Any, T: int | None) -> int | None:
    """S; None where it depends on a size that is open."""
    if past is None:
        return T
    return None if T is None or past.length is None else past.key_count(T)


def _check_positions(config: RobertaConfig, given: Mapping[str, Any], sizes: Sizes) -> None:
    M, pad = config.max_position_embeddings, config.pad_token_id
    if config.position_embedding_type != "absolute":
        if sizes["S"] is not None and sizes["S"] > M:
            raise _fail("input_ids", f"at most max_position_embeddings = {M} tokens", f"{sizes['S']}", "Truncate them.")
        return
    if given.get("position_ids") is not None:
        shapes = ("B C T",) if "C" in sizes else ("B T", "1 T")
        _require_shape("position_ids", given["position_ids"], shapes, sizes)
        _require_range("position_ids", given["position_ids"], M, "max_position_embeddings")
        return
    count, row = _longest_row(config, given, sizes)
    if count > config.usable_length:
        reason = f"max_position_embeddings - pad_token_id - 1 = {M} - {pad} - 1"
        raise _fail(
            "inputs_embeds" if given.get("input_ids") is None else "input_ids",
            f"at most {config.usable_length} tokens a row ({reason})",
            f"{count} in row {row}",
            "Truncate them (tokenizer(..., truncation=True, max_length=...)).",
        )


def _longest_row(config: RobertaConfig, given: Mapping[str, Any], sizes: Sizes) -> tuple[int, int]:
    """The most tokens with a position in a row, cached ones too, and that row; as far as they can be counted."""
    ids, past = given.get("input_ids"), given.get("past_key_values")
    if isinstance(ids, Outline):
        return 0, 0  # which of them are padding is unknown
    if isinstance(given.get("inputs_embeds"), Outline):
        return sizes["T"] or 0, 0
    is_token = np.ones((sizes["rows"], sizes["T"]), bool) if ids is None else ids != config.pad_token_id
    count = is_token.sum(-1).reshape(-1)
    count = count if past is None else count + to_numpy(past.token_count)
    return (int(count.max()), int(count.argmax())) if count.size else (0, 0)


def _check_places(head: str, given: Mapping[str, Any], sizes: Sizes) -> None:
    """Where a language model's logits are asked for."""
    positions = given.get("positions")
    if positions is None:
        return
    _require_integers("positions", positions)
    if positions.ndim != 2 or positions.shape[1] not in (2, None) or positions.dtype == np.bool_:
        remedy = "For all masks: np.argwhere(input_ids == tokenizer.mask_token_id)."
        raise _fail("positions", "(W, 2), a row and a token each, as argwhere gives them", _describe(positions), remedy)
    sizes["W"] = positions.shape[0]
    for column, (axis, what) in enumerate((("B", "rows"), ("T", "tokens in a row"))):
        if not isinstance(positions, Outline) and sizes[axis] is not None:
            _require_range(f"positions[:, {column}]", positions[:, column], sizes[axis], what)
    if head == "causal_lm" and given.get("labels") is not None:
        remedy = "Leave positions out, and put -100 in labels where they do not count."
        none = "none beside positions: the label of a token is the target of the one before"
        raise _fail("labels", none, "both", remedy)


# -- masks ---------------------------------------------------------------------------------------------------------


def _require_mask(name: str, mask: Any, alternatives: tuple[str, ...], sizes: Sizes) -> None:
    _require_shape(name, mask, alternatives, sizes)
    if isinstance(mask, Outline):
        return
    is_wrong = (mask != 0) & (mask != 1)
    if is_wrong.any():
        index = tuple(int(i) for i in np.argwhere(is_wrong)[0])
        raise _fail(name, "zeros and ones (1 attend, 0 do not)", f"{mask[index]} at {list(index)}")


def _check_masks(config: RobertaConfig, given: Mapping[str, Any], sizes: Sizes) -> None:
    mask, head_mask = given.get("attention_mask"), given.get("head_mask")
    if mask is not None:
        shapes = ("B C S", "B C T S") if "C" in sizes else ("B S", "B T S")
        is_open = given.get("past_key_values") is None or sizes["S"] is None
        if not is_open and mask.shape[-1:] == (sizes["T"],) != (sizes["S"],):
            remedy = "With a cache the mask covers the cached tokens too: put theirs in front."
            raise _fail("attention_mask", f"a last axis S = {sizes['S']}", f"{mask.shape[-1]}", remedy)
        _require_mask("attention_mask", mask, shapes, sizes)
    if head_mask is not None:
        _check_head_mask(head_mask, sizes)
        if config.add_cross_attention and config.pruned_heads:
            # One mask serves both attentions, and pruning narrows the one.
            whole = "a model whose heads are all there, or one without cross-attention"
            raise _fail("head_mask", whole, f"pruned_heads={config.pruned_heads}")


def _check_head_mask(head_mask: Any, sizes: Sizes) -> None:
    H, N = sizes["H"], sizes["N"]
    full = (N, sizes["rows"], H, sizes["T"], sizes["S"])
    most = tuple(None if size == 1 else limit for size, limit in zip(head_mask.shape, full, strict=False))
    is_full = head_mask.ndim == 5 and agree(head_mask.shape, (N, *most[1:]))
    if not is_full and not any(agree(head_mask.shape, shape) for shape in ((H,), (N, H))):
        what = f"(H,) = ({H},), (N, H) = ({N}, {H}) or (N, B, H, T, S) = {full} with any axis but N of 1"
        raise _fail("head_mask", what, _describe(head_mask))
    if not (isinstance(head_mask, Outline) or np.isfinite(np.asarray(head_mask, float)).all()):
        raise _fail("head_mask", "finite numbers", "NaN or infinity")


def _check_cross(config: RobertaConfig, given: Mapping[str, Any], sizes: Sizes) -> None:
    states, mask = given.get("encoder_hidden_states"), given.get("encoder_attention_mask")
    past = given.get("past_key_values")
    if states is not None:
        if not config.add_cross_attention:
            remedy = "Set is_decoder=True and add_cross_attention=True, or leave it out: it would have no effect."
            raise _fail("encoder_hidden_states", "a config with add_cross_attention", "one without", remedy)
        if not agree(states.shape, (sizes["B"], None, sizes["D"])):
            raise _fail("encoder_hidden_states", f"(B, E, D) = ({sizes['B']}, E, {sizes['D']})", _describe(states))
        _require_vectors("encoder_hidden_states", states, sizes["D"])
        sizes["E"] = states.shape[1]
    if past is not None and len(past) and len(past[0]) == 4:
        sizes["E"] = past[0][2].shape[2]  # what is cached is looked at, whatever the states are now
    if mask is not None:
        if "E" not in sizes:
            raise _fail("encoder_attention_mask", "encoder_hidden_states beside it", "the mask alone")
        _require_mask("encoder_attention_mask", mask, ("B E", "B T E"), sizes)


def _check_cache(config: RobertaConfig, given: Mapping[str, Any], sizes: Sizes) -> None:
    past = given.get("past_key_values")
    if given.get("use_cache") and not config.is_decoder:
        raise _fail("use_cache", "a decoder (is_decoder=True)", "an encoder, which has no cache to return")
    if past is None:
        return
    if len(past) != sizes["N"]:
        raise _fail("past_key_values", f"one entry per layer, N = {sizes['N']}", f"{len(past)}")
    for i, layer in enumerate(past.layers):
        if len(layer) not in (2, 4):
            raise _fail(
                f"past_key_values[{i}]", "(key, value) or (key, value, cross_key, cross_value)", f"{len(layer)}"
            )
        kept = {"B": sizes["B"], "H": config.attention_head_count(i), "P": past.length, "K": config.head_size}
        crossed = {"B": sizes["B"], "H": sizes["H"], "E": sizes.get("E", 0), "K": config.head_size}
        for part, name in zip(layer, ("key", "value", "cross_key", "cross_value"), strict=False):
            own = crossed if name.startswith("cross") else kept
            _require_shape(f"past_key_values[{i}].{name}", part, (" ".join(own),), own)


def _warn_of_padding(head: str, config: RobertaConfig, given: Mapping[str, Any]) -> None:
    ids, mask = given.get("input_ids"), given.get("attention_mask")
    if isinstance(given.get("inputs_embeds") if ids is None else ids, Outline):
        return
    if ids is not None and mask is None and (ids == config.pad_token_id).any():
        warnings.warn(
            "input_ids hold padding but there is no attention_mask, so padding is attended to; "
            "pass attention_mask=(input_ids != pad_token_id)",
            stacklevel=6,
        )
    reads_first = head in {"sequence_classification", "multiple_choice"}
    if reads_first and mask is not None and mask.ndim == ids_rank(head) and (mask[..., 0] == 0).any():
        warnings.warn(
            f"{CLASS_NAMES[head]} reads the first token, which is masked in some rows; pad on the right",
            stacklevel=6,
        )


def ids_rank(head: str) -> int:
    """The rank of `input_ids`: 3 for multiple choice, else 2."""
    return 3 if head == "multiple_choice" else 2


# -- labels --------------------------------------------------------------------------------------------------------


def _check_labels(head: str, config: RobertaConfig, given: Mapping[str, Any], sizes: Sizes) -> None:
    labels = {name: given[name] for name in LABELS[head] if given.get(name) is not None}
    if not labels:
        return
    if head == "question_answering":
        _check_spans(labels, sizes)
    elif head == "sequence_classification":
        _check_sequence_labels(config, labels["labels"], sizes)
    elif head == "multiple_choice":
        _require_shape("labels", labels["labels"], ("B",), sizes)
        _require_range("labels", labels["labels"], sizes["C"], "number of choices", IGNORE_INDEX)
    else:
        _require_shape("labels", labels["labels"], ("B T",) if given.get("positions") is None else ("W",), sizes)
        meaning = "num_labels" if head == "token_classification" else "vocab_size"
        _require_range("labels", labels["labels"], getattr(config, meaning), meaning, IGNORE_INDEX)


def _check_spans(labels: Mapping[str, Any], sizes: Sizes) -> None:
    if len(labels) != 2:
        raise _fail("labels", "both start_positions and end_positions", f"{next(iter(labels))} alone")
    for name, positions in labels.items():
        _require_shape(name, positions, ("B", "B 1"), sizes)
        # Any position beyond the text means "not in this window"; a negative one is a mistake, except -100.
        _require_range(name, positions, np.iinfo(np.int64).max, "T or more: not in this window", IGNORE_INDEX)


def _check_sequence_labels(config: RobertaConfig, labels: Any, sizes: Sizes) -> None:
    sizes = {**sizes, "L": config.num_labels}
    kind = problem_type(config, labels)
    if kind == "regression":
        _require_shape("labels", labels, ("B", "B 1") if config.num_labels == 1 else ("B L",), sizes)
    elif kind == "single_label_classification":
        _require_shape("labels", labels, ("B", "B 1"), sizes)
        _require_range("labels", labels, config.num_labels, "num_labels", IGNORE_INDEX)
    else:
        _require_shape("labels", labels, ("B L",), sizes)
    if isinstance(labels, Outline) or not np.issubdtype(labels.dtype, np.floating):
        return
    if not np.isfinite(labels).all():
        raise _fail("labels", "finite numbers", "NaN or infinity")
