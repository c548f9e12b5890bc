"""Fixtures of the tests of traces."""

import pytest

from gradopt._tape.lower import layout


@pytest.fixture(params=[512, 5], ids=["whole", "in pieces"])
def piece(request, monkeypatch):
    """As a rule arrays of the tests fit into one piece; here they don't, and x is not copied."""
    if request.param == 5:
        monkeypatch.setattr(layout, "PIECE", 5)
        monkeypatch.setattr(layout, "COPIED", 0)


@pytest.fixture
def x(rng):
    return rng.uniform(0.2, 0.9, 12)
