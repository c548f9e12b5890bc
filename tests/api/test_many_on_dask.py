"""Fits of Dask arrays: lazy, chunk by chunk, the same bits."""

import pickle

import numpy as np
import pytest
from test_fit_many import START, T, decay, decays

from gradopt import Status, fit_many

da = pytest.importorskip("dask.array")

NAMES = ("x", "stderr", "cost", "dof", "nit", "nfev", "status", "active_mask")


def same(lazy, wanted):
    fits = lazy.compute(scheduler="threads")
    for name in NAMES:
        np.testing.assert_array_equal(getattr(fits, name), getattr(wanted, name), err_msg=name)
        assert getattr(fits, name).dtype == getattr(wanted, name).dtype


def test_lazy_and_the_same_bits():
    Y = decays(60).reshape(6, 10, -1)
    Y[2, 3] = np.nan
    calls = []

    def model(t, a, b, c):
        calls.append(1)
        return decay(t, a, b, c)

    lazy = fit_many(model, T, da.from_array(Y, chunks=(2, 5, -1)), START)
    so_far = len(calls)
    assert isinstance(lazy.x, da.Array)
    assert lazy.x.numblocks == (3, 2, 1)
    assert "call compute()" in repr(lazy)
    same(lazy, fit_many(model, T, Y, START))
    assert len(calls) == 2 * so_far  # the tape was sent, not the model
    np.testing.assert_array_equal(lazy.success.compute(), lazy.compute().success)
    assert lazy.compute().status[2, 3] == Status.NO_DATA


def test_arguments_of_each_fit():
    Y, sigma = decays(24).reshape(4, 6, -1), np.full((4, 6, T.size), 0.02)
    offset, high = np.linspace(0.0, 0.5, 24).reshape(4, 6), np.full((4, 6), 2.0)
    starts = np.tile([1.0, 1.0, 0.0], (4, 6, 1))
    settings = {"absolute_sigma": True, "dtype": np.float32, "covariance": "full"}
    wanted = fit_many(
        decay, T, Y, starts, sigma=sigma, bounds={"rate": (0.0, high)}, fixed={"offset": offset}, **settings
    )
    lazy = fit_many(
        decay,
        T,
        da.from_array(Y, chunks=(3, 6, -1)),
        da.from_array(starts, chunks=(2, 2, -1)),
        sigma=da.from_array(sigma, chunks=(4, 6, 10)).rechunk({-1: -1}),
        bounds={"rate": (0.0, high)},
        fixed={"offset": da.from_array(offset)},
        **settings,
    )
    same(lazy, wanted)
    np.testing.assert_array_equal(lazy.cov.compute(), wanted.cov)


def test_starts_from_a_function_and_predictors_of_each_fit():
    Y, t = decays(6), np.tile(T, (6, 1))

    def start(t, Y):
        return np.stack([Y[..., 0], np.ones(Y.shape[:-1]), Y[..., -1]], axis=-1)

    lazy = fit_many(decay, da.from_array(t, chunks=(2, -1)), da.from_array(Y, chunks=(3, -1)), start)
    same(lazy, fit_many(decay, t, Y, start))


def test_cut_along_the_points():
    Y = da.from_array(decays(4), chunks=(2, -1))
    with pytest.raises(ValueError, match=r"Y must not be cut along its last axis.*use rechunk\(\{-1: -1\}\)"):
        fit_many(decay, T, Y.rechunk((2, 10)), START)
    with pytest.raises(ValueError, match="sigma must not be cut along its last axis"):
        fit_many(decay, T, Y, START, sigma=da.ones(Y.shape, chunks=(4, 10)))


def test_tasks_can_be_sent():
    lazy = fit_many(decay, T, da.from_array(decays(4), chunks=(2, -1)), START)
    again = pickle.loads(pickle.dumps(lazy.x))
    np.testing.assert_array_equal(again.compute(scheduler="sync"), lazy.compute().x)
