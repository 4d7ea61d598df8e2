"""The error function and the logistic function, SciPy's and the stand-ins, against proven enclosures (`flint.arb`)."""

import flint
import numpy as np
import pytest
from flint import arb
from roberta.reference import special
from scipy import special as scipys

#: Name -> function, and the largest error in units of the last place of its double, on the grid below.
LIMITS = {
    "math erf": (special.math_erf, "erf", 1.0),
    "scipy erf": (scipys.erf, "erf", 2.5),
    "math expit": (special.math_expit, "expit", 2.0),
    "scipy expit": (scipys.expit, "expit", 2.0),
}
TRUTH = {"erf": lambda x: x.erf(), "expit": lambda x: 1 / (1 + (-x).exp())}


@pytest.mark.parametrize("name", LIMITS)
def test_it_is_within_so_many_units_of_the_last_place(name):
    function, truth, limit = LIMITS[name]
    assert errors(function, truth, "float64").max() <= limit


@pytest.mark.parametrize("name", [name for name in LIMITS if name.startswith("math")])
def test_in_float32_the_stand_in_is_rounded_as_well_as_can_be(name):
    function, truth, _ = LIMITS[name]
    assert errors(function, truth, "float32").max() <= 0.5 + 1e-6


def errors(function, truth, dtype):
    """In units of the last place."""
    x = np.concatenate([np.linspace(-6.5, 6.5, 4001), np.logspace(-30, 1, 997)]).astype(dtype)
    found = function(x)
    before, flint.ctx.prec = flint.ctx.prec, 200
    try:
        return np.array(
            [
                float(abs(arb(float(got)) - TRUTH[truth](arb(float(at)))) / arb(float(np.spacing(abs(got)))))
                for at, got in zip(x, found, strict=True)
            ]
        )
    finally:
        flint.ctx.prec = before
