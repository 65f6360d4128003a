"""Moments of features in float64, and the change of units there and back."""
from fractions import Fraction

import numpy as np
import pytest

from npvae.standardization import Standardization, feature_moments


def moments(X, size=7):
    return feature_moments(
        lambda: (X[i : i + size].astype(float) for i in range(0, len(X), size)), len(X)
    )


def exact_moments(column):
    """Mean and deviation by rational numbers: no rounding but the last."""
    x = [Fraction(float(v)) for v in column]
    mean = sum(x) / len(x)
    variance = sum((v - mean) ** 2 for v in x) / len(x)
    top = max(abs(v - mean) for v in x) or Fraction(1)
    return float(mean), float(top) * float(variance / top**2) ** 0.5


@pytest.mark.parametrize(("offset", "unit"), [
    (0, 1), (1e6, 1e-3), (-1e9, 1e-3), (0, 1e-300), (0, 1e300), (1e300, 1e290), (5, 1e-12),
])  # fmt: skip
def test_moments_are_the_exact_ones(offset, unit):
    """Deviations have the digits that x − mean leaves: ε of the offset over the unit, ε at best."""
    X = offset + unit * np.random.default_rng(0).standard_normal((40, 3))
    mean, deviation = moments(X)
    for j in range(3):
        expected, spread = exact_moments(X[:, j])
        tolerance = 40 * np.finfo(float).eps * (abs(offset) + unit)
        assert abs(mean[j] - expected) <= tolerance
        assert abs(deviation[j] - spread) <= tolerance


@pytest.mark.parametrize("value", [0.0, 0.1, -1e6, 1e300, 1e-300, 3])
def test_a_constant_feature_has_no_deviation(value):
    mean, deviation = moments(np.full((10, 2), value))
    np.testing.assert_allclose(mean, value, rtol=1e-15)
    assert deviation.tolist() == [0, 0]


def test_digits_that_only_rounding_tells_apart_are_constant():
    X = np.array([[0.1 + 0.2], [0.3]] * 5)
    assert X[0] != X[1]
    assert moments(X)[1] == 0


def test_units_come_back():
    rng = np.random.default_rng(1)
    units = Standardization(rng.standard_normal(4) * 1e6, rng.random(4) + 1e-3)
    X = units.shift + units.scale * rng.standard_normal((9, 4))
    for x in (X, (X * 1e3, 1e-3)):
        x = units.standardize(*x) if isinstance(x, tuple) else units.standardize(x)
        assert x.dtype == float
        np.testing.assert_allclose(units.restore(x), X, rtol=1e-14)
    single = units.standardize(X).astype("float32")
    assert units.restore(single).dtype == np.float32
