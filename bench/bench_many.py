"""Many fits beside scipy's and xarray's loops, and on threads."""

import importlib.util

import numpy as np
import pytest
import scipy.optimize

import gradopt

RNG = np.random.default_rng(0)
START = [1.0, 1.0, 0.0]


def decay(t, a, b, c):
    return a * np.exp(-b * t) + c


def peak(t, height, center, width, offset):
    return height * np.exp(-0.5 * ((t - center) / width) ** 2) + offset


def decays(count, m):
    t = np.linspace(0.0, 4.0, m)
    true = RNG.uniform([1.0, 0.5, 0.0], [4.0, 3.0, 1.0], (count, 3)).T[..., None]
    return t, decay(t, *true) + 0.02 * RNG.standard_normal((count, m))


@pytest.mark.parametrize(("m", "aim"), [(50, ">= 60"), (20, ">= 100")])
def test_decay(pair, m, aim):
    t, Y = decays(20_000, m)

    def ours():
        return gradopt.fit_many(decay, t, Y, START, workers=1)

    def theirs():
        return np.array([scipy.optimize.curve_fit(decay, t, y, START)[0] for y in Y[:500]])

    off = np.max(np.abs(theirs() - ours().x[:500]) / ours().stderr[:500])
    what = f"fit_many, 3 parameters, {m} points, errors in, one core, against scipy.optimize.curve_fit in a loop"
    outcome = f"at most {off:.0e} standard errors apart"
    pair(ours, theirs, what, aim, unit="fit", units=(len(Y), 500), rounds=7, outcome=outcome)


def test_peak(pair):
    t, count = np.linspace(-5.0, 5.0, 100), 10_000
    true = RNG.uniform([1.0, -1.0, 0.5, 0.0], [4.0, 1.0, 1.5, 1.0], (count, 4)).T[..., None]
    Y = peak(t, *true) + 0.05 * RNG.standard_normal((count, t.size))
    bounds = ([0.0, -5.0, 0.1, -1.0], [10.0, 5.0, 5.0, 5.0])
    start = [1.0, 0.0, 1.0, 0.0]

    def ours():
        return gradopt.fit_many(peak, t, Y, start, bounds=bounds, workers=1)

    def theirs():
        return np.array([scipy.optimize.curve_fit(peak, t, y, start, bounds=bounds)[0] for y in Y[:200]])

    off = np.max(np.abs(theirs() - ours().x[:200]) / ours().stderr[:200])
    what = "fit_many, Gaussian, 4 bounded parameters, 100 points, one core, against curve_fit (trf) in a loop"
    outcome = f"at most {off:.0e} standard errors apart"
    pair(ours, theirs, what, ">= 150", unit="fit", units=(count, 200), rounds=5, outcome=outcome)


def test_two_threads(pair):
    t, Y = decays(100_000, 50)

    def ours():
        return gradopt.fit_many(decay, t, Y, START, workers=2)

    def theirs():
        return gradopt.fit_many(decay, t, Y, START, workers=1)

    assert np.array_equal(ours().x, theirs().x)
    what = "fit_many, 100 000 fits, two threads against one"
    pair(ours, theirs, what, ">= 1.8", unit="fit", units=(len(Y), len(Y)), rounds=5, outcome="the same bits")


@pytest.mark.skipif(importlib.util.find_spec("xarray") is None, reason="xarray is not installed")
def test_xarray(pair):
    import xarray

    from gradopt.integrations.xarray import curvefit

    t, Y = decays(100_000, 50)
    pixels = xarray.DataArray(Y, dims=("pixel", "t"), coords={"t": t})
    few = pixels[:1000]

    def ours():
        return curvefit(pixels, "t", decay)

    def theirs():
        return few.curvefit("t", decay)

    same = np.allclose(ours().curvefit_coefficients[:1000], theirs().curvefit_coefficients, atol=1e-3)
    what = "curvefit on 100 000 pixels, against xarray's own on 1 000"
    outcome = "equal coefficients" if same else "OTHER COEFFICIENTS"
    pair(ours, theirs, what, ">= 100", unit="fit", units=(len(Y), 1000), rounds=3, outcome=outcome)
