"""The stand-ins for SciPy's special functions give its numbers, as far as limits ask for them."""

import numpy as np
import pytest
from roberta.parity import distributions, statistics
from roberta.parity.distributions import series_psi, series_zeta, tail_fdtri, tail_stdtrit
from scipy import special

DEGREES = (0.7, 1.0, 2.5, 8.0, 31.0, 400.0, 1e4, 1e6)


def test_with_scipy_they_are_scipys():
    assert statistics.fdtri is distributions.fdtri is special.fdtri
    assert (distributions.psi, distributions.stdtrit, distributions.zeta) == (
        special.psi,
        special.stdtrit,
        special.zeta,
    )


@pytest.mark.parametrize("x", [0.01, 0.5, 1.0, 4.0, 7.3, 12.0, 12.5, 1e3, 1e8])
def test_psi_and_zeta_are_scipys(x):
    assert series_psi(x) == pytest.approx(special.psi(x), rel=1e-13, abs=1e-13)
    for s in (2, 3, 1.5):
        assert series_zeta(s, x) == pytest.approx(special.zeta(s, x), rel=1e-13)


@pytest.mark.parametrize("freedom", DEGREES)
@pytest.mark.parametrize("rate", [0.025, 1e-3, 1e-9, 1e-15, 1e-24])
def test_the_quantile_of_student_is_scipys(freedom, rate):
    assert tail_stdtrit(freedom, rate) == pytest.approx(special.stdtrit(freedom, rate), rel=1e-9)


@pytest.mark.parametrize("above", DEGREES[1:])
@pytest.mark.parametrize("below", DEGREES[1:])
@pytest.mark.parametrize("rate", [0.05, 1e-3, 3e-10])
def test_the_quantile_of_fisher_is_scipys(above, below, rate):
    assert tail_fdtri(above, below, 1.0 - rate) == pytest.approx(special.fdtri(above, below, 1.0 - rate), rel=1e-8)


def test_limits_are_the_same_without_scipy(monkeypatch):
    errors = np.random.default_rng(0).standard_normal((8, 11, 13)) * np.logspace(0, 3, 13)
    right = statistics.pool(errors)
    for name, stand_in in (("psi", series_psi), ("zeta", series_zeta), ("stdtrit", tail_stdtrit)):
        monkeypatch.setattr(statistics, name, stand_in)
    found = statistics.pool(errors)
    assert np.allclose(found.sigma, right.sigma, rtol=1e-9)
    assert found.freedom == pytest.approx(right.freedom, rel=1e-6)
    assert statistics.largest_of(999, found.freedom, 1e-9) == pytest.approx(
        statistics.largest_of(999, right.freedom, 1e-9), rel=1e-7
    )
