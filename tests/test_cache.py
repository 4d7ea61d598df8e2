"""A text in pieces, each with the cache of those before it, is the text in one piece: every split, on every engine.

With every type of positions, with and without an encoder, with padding in front, with embeddings in place of ids, and
with types and positions of its own. The pieces are held against the float64 spec's one pass, within its budget.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from roberta.dispatch.api import FACES
from roberta.parity.cases import draw_state, small_config
from roberta.parity.compare import compare_outputs
from roberta.parity.tolerances import Budget, budgets, flat_outputs
from roberta.reference.parameters import parameter_table

B, T, E = 2, 4, 3
POSITIONS = ("absolute", "relative_key", "relative_key_query")
KINDS = {"decoder": {"is_decoder": True}, "cross": {"is_decoder": True, "add_cross_attention": True}}
VARIANTS = ("plain", "padded on the left", "embeddings", "types and positions")
CASES = [
    *product(["model"], POSITIONS, KINDS, VARIANTS),
    *product(["causal_lm"], ["absolute"], KINDS, ["padded on the left"]),
]
FIRST = {"model": "last_hidden_state", "causal_lm": "logits"}


def splits(length: int) -> Iterator[list[slice]]:
    """Every way to cut a text: between any two tokens there is a cut, or there is none."""
    for cuts in product([False, True], repeat=length - 1):
        ends = [0, *(i for i, is_cut in enumerate(cuts, start=1) if is_cut), length]
        yield [slice(*piece) for piece in pairwise(ends)]


def test_there_are_as_many_splits_as_subsets_of_cuts():
    found = list(splits(T))
    assert len({str(pieces) for pieces in found}) == 2 ** (T - 1)
    assert all([t for piece in pieces for t in range(T)[piece]] == list(range(T)) for pieces in found)


def model_of(case: tuple[str, ...], backend: str, dtype: str) -> Any:
    head, position, kind, _ = case
    config = small_config(position_embedding_type=position, type_vocab_size=3, **KINDS[kind])
    state = draw_state(parameter_table(head, config), seed=5)
    return FACES[head](config, backend=backend, dtype=dtype, state=state).train(False)


def inputs_of(case: tuple[str, ...]) -> dict[str, Any]:
    """The whole text; an encoder's states, where the model looks at them."""
    _, _, kind, variant = case
    rng = np.random.default_rng(5)
    ids = rng.integers(2, 101, (B, T))
    given: dict[str, Any] = {"input_ids": ids}
    if variant == "padded on the left":
        mask = np.arange(T) >= np.array([[0], [2]])
        given = {"input_ids": np.where(mask, ids, 1), "attention_mask": mask.astype(np.int64)}
    if variant == "embeddings":
        given = {"inputs_embeds": rng.standard_normal((B, T, 33)).astype(np.float32)}
    if variant == "types and positions":
        given |= {"token_type_ids": rng.integers(0, 3, (B, T)), "position_ids": rng.integers(0, 29, (B, T))}
    if kind == "cross":
        given["encoder_hidden_states"] = rng.standard_normal((B, E, 33)).astype(np.float32)
        given["encoder_attention_mask"] = np.array([[1, 1, 1], [1, 1, 0]])
    return given


def piece_of(inputs: Mapping[str, Any], piece: slice) -> dict[str, Any]:
    """A piece of the text; the mask goes back to its beginning, and the encoder is seen whole."""
    cuts = dict.fromkeys(("input_ids", "inputs_embeds", "token_type_ids", "position_ids"), piece)
    cuts["attention_mask"] = slice(piece.stop)
    return {name: value[:, cuts[name]] if name in cuts else value for name, value in inputs.items()}


@cache
def permitted(case: tuple[str, ...]) -> dict[str, Budget]:
    """The budgets of one pass: of the first output, and of the cache, at the tokens that are no padding."""
    outputs, _ = budgets(model_of(case, "numpy", "float64"), {**inputs_of(case), "use_cache": True}, "float32")
    fields = {name: [budget.truth, budget.sigma, budget.limit] for name, budget in outputs.items()}
    real = [as_read({name: parts[i] for name, parts in fields.items()}, case) for i in range(3)]
    return {name: Budget(*(values[name] for values in real)) for name in real[0]}


def as_read(outputs: Mapping[str, Any], case: tuple[str, ...]) -> dict[str, Any]:
    """What somebody looks at. A masked row looks at nobody, so at all alike, which are fewer in the first pieces."""
    is_real = inputs_of(case).get("attention_mask", np.ones((B, T))) == 1
    found = {FIRST[case[0]]: outputs[FIRST[case[0]]][is_real]}
    for name, value in outputs.items():
        if name.startswith("past_key_values") and value.ndim == 4:
            is_own = value.shape[2] == T  # B H T K; an encoder's are B H E K
            found[name] = value.swapaxes(1, 2)[is_real] if is_own else value
    return found


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_every_split_gives_what_one_pass_gives(case: tuple[str, ...], backend: str) -> None:
    model, inputs, limits = model_of(case, backend, "float32"), inputs_of(case), permitted(case)
    for pieces in splits(T):
        past, parts = None, []
        for piece in pieces:
            output = model(**piece_of(inputs, piece), past_key_values=past, use_cache=True)
            found = flat_outputs(output)
            past = output.past_key_values
            parts.append(found[FIRST[case[0]]])
        whole = as_read({**found, FIRST[case[0]]: np.concatenate(parts, axis=1)}, case)
        for comparison in compare_outputs(whole, limits):
            assert comparison.passed, f"{pieces}: {comparison}"
        real = inputs.get("attention_mask", np.ones((B, T), int)).sum(-1)
        assert np.array_equal(model.engine.to_numpy(past.token_count), real)
