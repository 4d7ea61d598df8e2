"""Every decoder variant of every engine keeps within its budget, in whole and in two parts; what is wrong does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import roberta
from roberta.parity import variants
from roberta.parity.tolerances import budgets, flat_outputs
from roberta.parity.variants import VARIANTS, check_variant, check_variants, in_two_parts, without_padding
from roberta.reference.attention import Cache

PLACES = [pytest.param(variant, head, id=f"{head}, {variant.name}") for variant in VARIANTS for head in variant.heads]
#: Pieces of a whole row take long where every length is compiled anew: one variant for each way to be wrong.
SPLIT = {"cross-attention, relative_key_query, cached", "decoder, cached, embeddings"}


@pytest.mark.parametrize(("variant", "head"), PLACES)
def test_the_spec_keeps_within_its_budget(variant, head):
    (row,) = check_variant(variant, head, ["numpy"])
    assert row.passed, str(row.worst)
    assert (row.head, row.variant) == (head, variant.name)


@pytest.mark.parametrize("variant", [v for v in VARIANTS if not v.is_cached or v.name in SPLIT], ids=lambda v: v.name)
def test_every_engine_keeps_within_its_budget(variant, backend):
    if backend != "numpy":  # which has been tested above, on every head
        rows = list(check_variant(variant, "causal_lm", [backend]))
        assert [row.variant for row in rows] == [variant.name, f"{variant.name}, inference"]
        for row in rows:
            assert row.passed, str(row.worst)


def test_every_split_is_compared():
    variant = next(variant for variant in VARIANTS if variant.name == "cross-attention, cached")
    (row,) = check_variant(variant, "causal_lm", ["numpy"])
    T = variant.case("causal_lm").inputs["input_ids"].shape[1]
    for count in range(1, T):
        names = {comparison.name for comparison in row.comparisons if comparison.name.endswith(f", {count} cached")}
        assert len(names) == 1 + 2 * 4, "the logits, and four parts of two layers"


#: A mistake of a decoder -> the variants in which it must show.
MISTAKES = {
    "the cache is lost": "decoder, cached",
    "positions begin anew": "decoder, cached",
    "distances begin anew": "relative_key, cached",
    "the encoder is lost": "cross-attention",
    "the encoder's mask is lost": "cross-attention",
}


@pytest.mark.parametrize(("mistake", "name"), MISTAKES.items(), ids=MISTAKES)
def test_a_decoder_with_a_mistake_is_refused(mistake, name, monkeypatch):
    real = roberta.RobertaForCausalLM.on("numpy")._call

    def wrong(self, args, kwargs, *rest):
        if self.dtype == "float32":
            kwargs = spoiled(dict(kwargs), mistake)
        return real(self, args, kwargs, *rest)

    monkeypatch.setattr(roberta.RobertaForCausalLM.on("numpy"), "_call", wrong)
    variant = next(variant for variant in VARIANTS if variant.name == name)
    (row,) = check_variant(variant, "causal_lm", ["numpy"])
    assert not row.passed


def spoiled(kwargs, mistake):
    """The arguments as an engine sees them that makes the mistake."""
    past = kwargs.get("past_key_values")
    if mistake == "the encoder is lost":
        return {name: value for name, value in kwargs.items() if not name.startswith("encoder_")}
    if mistake == "the encoder's mask is lost":
        return {name: value for name, value in kwargs.items() if name != "encoder_attention_mask"}
    if past is None:
        return kwargs
    if mistake == "the cache is lost":
        T = kwargs["input_ids"].shape[1]
        return {**kwargs, "past_key_values": None, "attention_mask": kwargs["attention_mask"][:, -T:]}
    if mistake == "positions begin anew":
        return {**kwargs, "past_key_values": Cache(past.layers, past.token_count * 0)}
    flipped = tuple((key[:, :, ::-1], value[:, :, ::-1]) for key, value in past.layers)
    return {**kwargs, "past_key_values": Cache(flipped, past.token_count)}


def test_padding_alone_is_left_out_of_the_comparison():
    is_token = np.array([[False, True]])
    truth = np.zeros((1, 2, 3))
    assert without_padding("logits", truth + 1, truth, is_token).tolist() == [[[0, 0, 0], [1, 1, 1]]]
    keys = np.zeros((1, 1, 2, 3))
    assert without_padding("past_key_values.0.1", keys + 1, keys, is_token).tolist() == [[[[0, 0, 0], [1, 1, 1]]]]
    assert (without_padding("past_key_values.0.2", keys + 1, keys, is_token) == 1).all()
    assert without_padding("logits", truth[:, :1], truth, is_token).shape == (1, 1, 3)


def test_two_parts_are_one_whole():
    case = VARIANTS[5].case("causal_lm")
    model = roberta.RobertaForCausalLM(case.config, backend="numpy", dtype="float64", state=case.state)
    whole = flat_outputs(model(**case.inputs))
    joined = in_two_parts(model, case.inputs, 3, "logits")
    is_token = case.inputs["attention_mask"] == 1
    permitted, _ = budgets(model, case.inputs, "float64")
    assert joined.keys() == whole.keys()
    assert (np.abs(joined["logits"] - whole["logits"]) <= permitted["logits"].limit)[is_token].all()


def test_the_report_has_a_row_for_each_variant_head_and_engine_and_a_grid(monkeypatch):
    monkeypatch.setattr(variants, "VARIANTS", (VARIANTS[0], VARIANTS[5]))
    report = check_variants(["numpy", "numpy"])
    assert report.passed
    assert [(row.head, row.variant) for row in report.rows[::2]] == [
        *((head, "decoder") for head in variants.DECODERS),
        *((head, "decoder, cached") for head in variants.CACHED),
    ]
    grid = report.grid()
    assert grid.row_count == 5
    assert [column.header for column in grid.columns] == ["head", "variant", "numpy"]
    spoiled_row = replace(report.rows[0], comparisons=(replace(report.rows[0].worst, ratio=7.0),))
    failed = roberta.parity.Report("x", "float32", (spoiled_row,)).grid()
    assert "FAILED" in next(iter(failed.columns[2].cells))


def test_unknown_heads_are_refused_and_encoders_have_no_variants():
    with pytest.raises(ValueError, match="got 'causal'"):
        check_variants(["numpy"], ["causal"])
    assert check_variants(["numpy"], ["question_answering"]).rows == ()
