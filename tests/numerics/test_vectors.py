"""Norms and inner products of vectors."""

import numpy as np
import pytest

from gradopt._numerics.vectors import dot, norm


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 15, 16, 1000])
@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e200, 0.0])
def test_norm(n, scale, rng):
    v = scale * rng.normal(size=n)
    with np.errstate(all="ignore"):
        for length in [None] + [(0,) * n] * (n <= 4):
            assert norm(length, v) == pytest.approx(scale * np.linalg.norm(v / (scale or 1.0)), rel=1e-14)
            for bad in (np.nan, np.inf):
                assert not np.isfinite(norm(length, np.append(v[1:], bad)))


def test_dot(rng):
    u, v = rng.normal(size=(2, 777))
    assert dot(u, v) == pytest.approx(u @ v, rel=1e-12)
