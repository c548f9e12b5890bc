"""Geometries of views: the same elements as NumPy's own views, and places compared by what they are."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradopt._tape.graph.geometry import Geometry, Positions, collapsed, contiguous, is_line, places_of, steps

SHAPES = st.lists(st.integers(1, 4), max_size=4).map(tuple)


@st.composite
def views(draw):
    """A view of the numbers 0, 1, ..., so that each element is its own place: sliced, turned, stretched."""
    view = np.arange(math.prod(shape := draw(SHAPES))).reshape(shape)
    steps = [draw(st.sampled_from([1, 1, 2, -1, -2])) for _ in shape]
    starts = [draw(st.integers(0, length - 1)) if step > 0 else None for length, step in zip(shape, steps, strict=True)]
    view = view[tuple(slice(start, None, step) for start, step in zip(starts, steps, strict=True))]
    view = view.transpose(draw(st.permutations(range(view.ndim))))
    if draw(st.booleans()):
        view = view[..., None]
    if draw(st.booleans()):
        view = np.broadcast_to(view, (draw(st.integers(1, 3)), *view.shape))
    return view


def geometry_of(view):
    return Geometry(int(view.flat[0]), tuple(stride // view.itemsize for stride in view.strides))


@given(SHAPES)
def test_steps_are_the_strides_of_a_new_array(shape):
    assert steps(shape) == np.empty(shape, np.int8).strides


def test_steps_of_what_has_no_elements():
    assert steps((2, 0, 3)) == (0, 3, 1)
    assert steps(()) == ()


@given(views())
def test_contiguous_is_what_numpy_calls_so(view):
    assert contiguous(geometry_of(view).strides, view.shape) == view.flags.c_contiguous


def test_places_without_strides_are_not_contiguous():
    assert not contiguous(None, (2,))


def test_strides_and_shapes_of_different_lengths_are_no_geometry():
    with pytest.raises(ValueError, match="zip"):
        contiguous((1,), (1, 1))


@given(views())
def test_places_are_those_that_numpy_takes_the_elements_from(view):
    geometry = geometry_of(view)
    places = places_of(geometry, view.shape)
    assert places.dtype == np.int64
    np.testing.assert_array_equal(places, view, strict=True)
    assert geometry.first == places.flat[0]


@given(views())
def test_places_one_by_one_are_the_same(view):
    listed = Geometry(7, None, Positions(view))
    np.testing.assert_array_equal(places_of(listed, view.shape), view, strict=True)
    assert listed.first == view.flat[0]


@given(views())
def test_fewer_axes_go_through_the_same_places(view):
    geometry = geometry_of(view)
    axes = collapsed(view.shape, geometry.strides)
    lengths, strides = zip(*reversed(axes), strict=True)
    assert places_of(Geometry(geometry.offset, strides), lengths).ravel().tolist() == view.ravel().tolist()
    inner = axes[0]
    for outer in axes[1:]:  # as few as can be
        assert outer[1] != inner[0] * inner[1]
        assert outer[0] > 1
        inner = outer


@pytest.mark.parametrize(
    ("shape", "strides", "axes"),
    [
        ((), (), [(1, 1)]),
        ((1, 1), (5, 7), [(1, 1)]),
        ((2, 3, 4), (12, 4, 1), [(24, 1)]),
        ((2, 3, 4), (24, 8, 2), [(24, 2)]),
        ((2, 3), (0, 0), [(6, 0)]),
        ((2, 3), (1, 2), [(3, 2), (2, 1)]),
        ((2, 1, 3), (3, 99, 1), [(6, 1)]),
        ((2, 3), (-3, -1), [(6, -1)]),
        ((2, 3, 4), (20, 4, 1), [(12, 1), (2, 20)]),
    ],
)
def test_axes_from_the_last_to_the_first(shape, strides, axes):
    assert collapsed(shape, strides) == axes


@given(views())
def test_a_line_is_several_elements_next_to_each_other(view):
    geometry = geometry_of(view)
    assert is_line(geometry, view.shape) == (view.size > 1 and bool((np.diff(view.ravel()) == 1).all()))


def test_no_places_one_by_one_are_taken_for_a_line():
    assert not is_line(Geometry(0, None, Positions(np.arange(3))), (3,))


PLACES = st.lists(st.integers(0, 2), min_size=4, max_size=4)


@given(PLACES, PLACES, st.sampled_from([(4,), (2, 2), (1, 4)]))
def test_positions_are_equal_where_their_places_are(one, other, shape):
    a, b = Positions(np.array(one)), Positions(np.array(other).reshape(shape))
    assert (a == b) == (one == other and shape == (4,))
    assert a != b or hash(a) == hash(b)


def test_positions_do_not_depend_on_how_their_places_are_stored():
    places = np.array([[0, 1], [2, 3]])
    stored = [places, np.asfortranarray(places), places.astype(np.int32), np.repeat(places, 2, axis=1)[:, ::2]]
    assert len({Positions(one) for one in stored}) == 1
    assert all(Positions(one).places.flags.c_contiguous for one in stored)
    assert Positions(places) != places.tolist()
    assert Positions(places.T) != Positions(places)


def test_geometries_are_keys():
    def made(places):
        return Geometry(0, None, Positions(np.array(places)))

    known = {made([1, 2]): "places", Geometry(0, (1,)): "strides"}
    assert known[made([1, 2])] == "places"
    assert made([2, 1]) not in known
    assert Geometry(1, (1,)) not in known
