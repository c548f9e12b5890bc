"""How many evaluations the loop does before it comes back to Python."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradopt._run.chunk_sizes import ChunkSizes

LARGEST, GROWTH = 2**20, 1024


def sizes_at(seconds_each, count=3):
    """The sizes of so many chunks after the first one, each evaluation taking as long."""
    sizes = ChunkSizes()
    sizes.took(seconds_each, 1)
    return [sizes.next() for _ in range(count)]


def test_where_nothing_is_known_growth_is_from_one():
    assert 1 <= ChunkSizes().next() <= GROWTH


@pytest.mark.parametrize(
    ("seconds_each", "sizes"),
    [
        (0.0, [1024, LARGEST, LARGEST]),
        (1e-7, [1024, 250_000, 250_000]),
        (0.0009, [27, 27, 27]),
        (0.0126, [1, 1, 1]),
        (0.0124, [2, 2, 2]),
        (3600.0, [1, 1, 1]),
    ],
)
def test_a_chunk_takes_25_milliseconds(seconds_each, sizes):
    assert sizes_at(seconds_each) == pytest.approx(sizes, rel=1e-5)


@given(st.lists(st.tuples(st.floats(0.0, 1e6), st.integers(1, LARGEST)), min_size=1))
def test_sizes_are_whole_and_grow_within_limits(chunks):
    sizes, last = ChunkSizes(), 1
    for seconds, evaluations in chunks:
        sizes.took(seconds, evaluations)
        size = sizes.next()
        assert type(size) is int
        assert 1 <= size <= min(LARGEST, GROWTH * last)
        # No larger than what fits, and as large where no limit is in the way.
        assert size == 1 or size * seconds / evaluations <= 0.025 * (1 + 1e-9)
        assert size == min(LARGEST, GROWTH * last) or (size + 1) * seconds / evaluations > 0.025 * (1 - 1e-9)
        last = size


def test_only_the_last_chunk_counts():
    sizes = ChunkSizes()
    for seconds, evaluations, size in [(1.0, 10**6, 1024), (1.0, 10**6, 25_000), (50.0, 100, 1), (0.0, 1, 1024)]:
        sizes.took(seconds, evaluations)
        assert sizes.next() == pytest.approx(size, abs=1)
