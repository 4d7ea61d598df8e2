"""Each mutant is caught on every head that it concerns; a mutant that changes nothing is a mistake of ours."""

from dataclasses import replace

import pytest
from roberta.parity.mutants import MUTANTS
from roberta.parity.selftest import effect, hunt


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_mutant_is_caught_on_every_head(mutant):
    found = hunt(mutant, "numpy", seeds=(0,), dtype="float32")
    assert found.passed, (
        f"{mutant.name}: caught {found.caught} of {found.tried}, weakest {found.effect} at {found.weakest}"
    )


@pytest.mark.torch
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_mutant_is_caught_on_torch(mutant):
    assert effect(mutant, mutant.heads[0], 0, "torch", "float32") > 1


#: One mistake of each kind; `roberta selftest` lets all of them loose on every engine.
FEW = ("tanh GELU", "eps 1e-12", "padding counted", "mask ignored", "distance reversed", "weights in bfloat16")


@pytest.mark.parametrize("mutant", [mutant for mutant in MUTANTS if mutant.name in FEW], ids=lambda mutant: mutant.name)
def test_a_few_are_caught_on_every_engine(mutant, backend):
    assert effect(mutant, mutant.heads[-1], 1, backend, "float32") > 1


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_without_its_change_the_mutant_is_an_honest_engine(mutant):
    honest = replace(mutant, config=None, state=None, inputs=None, outputs=None)
    assert effect(honest, mutant.heads[0], 0, "numpy", "float32") < 1


def test_there_are_at_least_twelve_with_different_names():
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 12
