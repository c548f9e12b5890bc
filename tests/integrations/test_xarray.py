"""`curvefit` beside xarray's own: one line changes."""

import numpy as np
import pytest

from gradopt import FitError, Status
from gradopt.integrations.xarray import curvefit

xr = pytest.importorskip("xarray")

T = np.linspace(0.0, 4.0, 25)


def decay(t, amount, rate=1.5):
    return amount * np.exp(-rate * t)


def data(shape=(3, 4)):
    rng = np.random.default_rng(0)
    amount, rate = rng.uniform(1, 3, shape), rng.uniform(0.5, 2, shape)
    Y = amount[..., None] * np.exp(-rate[..., None] * T) + 0.02 * rng.normal(size=(*shape, T.size))
    coords = {"t": T, "y": np.arange(shape[0]), "place": ("y", list("abc"))}
    array = xr.DataArray(np.moveaxis(Y, -1, 0), dims=("t", "y", "x"), coords=coords, name="signal")
    return array.assign_attrs(units="V")


def as_theirs(ours, theirs, prefix=""):
    for name in ("coefficients", "covariance"):
        one, other = ours[f"{prefix}curvefit_{name}"], theirs[f"{prefix}curvefit_{name}"]
        np.testing.assert_allclose(one.values, other.transpose(*one.dims).values, rtol=2e-3, atol=1e-8)
        assert set(one.coords) == set(other.coords)


def test_same_names_and_numbers():
    array = data()
    ours, theirs = curvefit(array, "t", decay), array.curvefit("t", decay)
    as_theirs(ours, theirs)
    assert ours.attrs == {"units": "V"}
    assert list(ours.param.values) == ["amount", "rate"]
    stderr = np.sqrt(np.diagonal(ours.curvefit_covariance.values, axis1=-2, axis2=-1))
    np.testing.assert_allclose(ours.curvefit_stderr, stderr)
    assert (ours.curvefit_status < 10).all()


def test_starts_and_bounds_by_pixel():
    array = data()
    amount = xr.full_like(array.isel(t=0, drop=True), 2.0)
    settings = {"p0": {"amount": amount}, "bounds": {"rate": (0.1, 1.4 + 1.5 * (amount > 0.0))}}
    as_theirs(curvefit(array, "t", decay, **settings), array.curvefit("t", decay, **settings))


def test_a_dataset():
    both = xr.Dataset({"one": data(), "two": 2.0 * data(), "other": ("y", np.arange(3.0))})
    ours = curvefit(both, "t", decay)
    as_theirs(ours, both[["one", "two"]].curvefit("t", decay), "two_")
    assert "other_curvefit_coefficients" not in ours


def test_bad_pixels_are_statuses():
    array = data()
    array[:, 0, 0] = np.nan
    array[1:, 1, 1] = np.nan
    array[3, 2, 2] = np.nan
    ours = curvefit(array, xr.DataArray(T, dims="t"), decay)
    assert ours.curvefit_status[0, 0] == ours.curvefit_status[1, 1] == Status.NO_DATA
    assert int((ours.curvefit_status < 10).sum()) == 10
    assert np.isnan(ours.curvefit_coefficients[0, 0]).all()
    clean = curvefit(data(), "t", decay)
    np.testing.assert_array_equal(ours.curvefit_coefficients[2, 3], clean.curvefit_coefficients[2, 3])
    with pytest.raises(FitError, match="2 of 12 fits failed"):
        curvefit(array, "t", decay, errors="raise")
    with pytest.raises(ValueError, match="contain NaN"):
        curvefit(array, "t", decay, skipna=False)


def test_several_coordinates_and_dimensions():
    y, t = xr.DataArray(np.arange(4.0), dims="y"), xr.DataArray(T, dims="t")
    plane = (2.0 * y + 0.3 * t + 1.0).assign_coords(y=y.values, t=T).expand_dims(x=2)
    ours = curvefit(plane, ["y", "t"], lambda x, a, b, c: a * x[0] + b * x[1] + c)
    np.testing.assert_allclose(ours.curvefit_coefficients, [[2.0, 0.3, 1.0]] * 2, atol=1e-9)
    averaged = curvefit(plane, "t", lambda t, a, b: a * t + b, reduce_dims="y")
    np.testing.assert_allclose(averaged.curvefit_coefficients, [[0.3, 4.0]] * 2, atol=1e-9)


def test_any_number_of_parameters_sigma_and_settings():
    array = data()
    settings = {"param_names": ["a", "b"], "p0": {"b": 1.0}}
    ours = curvefit(
        array, "t", lambda t, *p: p[0] * np.exp(-p[1] * t), sigma=0.02, kwargs={"absolute_sigma": True}, **settings
    )
    assert list(ours.param.values) == ["a", "b"]
    doubled = curvefit(array, "t", decay, sigma=xr.full_like(array, 0.04), kwargs={"absolute_sigma": True})
    np.testing.assert_allclose(doubled.curvefit_stderr, 2.0 * ours.curvefit_stderr.values, rtol=1e-5)


def test_lazily():
    pytest.importorskip("dask.array")
    array = data()
    lazy = curvefit(array.chunk({"y": 2, "x": 2}), "t", decay)
    assert lazy.curvefit_coefficients.chunks is not None
    wanted = curvefit(array, "t", decay)
    for name in wanted.data_vars:
        np.testing.assert_array_equal(lazy[name].compute(), wanted[name])
    with pytest.raises(ValueError, match="multiple chunks"):
        curvefit(array.chunk({"t": 5}), "t", decay)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"obj": 3}, "obj must be a DataArray"),
        ({"coords": "time"}, "coords must name coordinates"),
        ({"func": 3}, "func must be a function"),
        ({"func": lambda t, *p: p[0]}, "param_names must be given"),
        ({"p0": {"speed": 1.0}}, "p0 must name parameters"),
        ({"p0": [1.0]}, "p0 must be a dictionary"),
        ({"bounds": {"rate": 1.0}}, "must be .lower, upper."),
        ({"errors": "warn"}, "errors must be"),
        ({"kwargs": {"speed": 1}}, "kwargs has no setting 'speed'"),
    ],
)
def test_mistakes(change, message):
    arguments = {"obj": data(), "coords": "t", "func": decay} | change
    with pytest.raises((TypeError, ValueError), match=message):
        curvefit(**arguments)
