"""Where arrays begin."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradopt
from gradopt import problems
from gradopt._core.aligned import aligned_copy, aligned_zeros, as_dtype

DTYPES = st.sampled_from([np.float32, np.float64, np.int64])
SHAPES = st.one_of(st.tuples(st.integers(0, 200)), st.tuples(st.integers(0, 20), st.integers(0, 20)))


def begins_at_a_line(array):
    return array.ctypes.data % 64 == 0


@given(SHAPES, DTYPES, DTYPES, st.booleans())
def test_copies(shape, dtype, other, transposed):
    array = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    array = array.T if transposed else array
    copy = aligned_copy(array, other)
    assert copy.dtype == other
    assert copy.flags.c_contiguous
    assert copy.flags.writeable
    assert not np.shares_memory(copy, array)
    assert copy.size < 64 or begins_at_a_line(copy)
    np.testing.assert_array_equal(copy, array)
    assert aligned_copy(array).dtype == dtype
    assert as_dtype(array, dtype) is array


@given(st.integers(0, 200), DTYPES)
def test_zeros(n, dtype):
    zeros = aligned_zeros(n, dtype)
    assert (zeros.shape, zeros.dtype, zeros.any()) == ((n,), dtype, False)
    assert n < 64 or begins_at_a_line(zeros)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_runs_read_again_and_again(dtype):
    t = np.linspace(0, 1, 101)[1:].astype(np.float32)
    fit = problems.PolynomialFit(t, t).lower(dtype)
    rows = np.ones((70, 3), np.float32)
    net = problems.Regressor(gradopt.Network.mlp([3, 2]), rows, rows[:, :2])
    traced = gradopt.trace(lambda x, a: (x[3:] * np.exp(a[3:])).sum(), np.ones(1003), args=(np.ones(1003),))
    slots = gradopt.Adam().new_slots(np.ones(100, dtype))
    constants, work = traced.tape.program(dtype)[-1], traced.tape.workspace(dtype)
    for array in (fit.t, fit.y, net.lower(dtype).X, constants, work, *slots):
        assert array.dtype == dtype
        assert begins_at_a_line(array)
    known = [known for known in traced.tape._assembly.layout.known if known.node.size > 1]
    assert known
    assert all(known.place % 16 == 0 for known in known)
