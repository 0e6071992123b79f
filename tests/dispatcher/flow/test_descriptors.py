"""Descriptors: the limit is raised, and intake has its share whatever the customers do."""

from __future__ import annotations

import resource

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.flow.descriptors import OWN, PUSHES_MOST, Shares, raised_limit, shares


def test_the_soft_limit_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the usual 1,024 and a hard limit of 4,096 the process gets 4,096."""
    wanted: list[object] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: wanted.append(limits))

    assert raised_limit() == 4096
    assert wanted == [(4096, 4096)]


def test_a_system_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it cannot be raised, what there is is shared."""

    def refuse(_: int, __: object) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", refuse)

    assert raised_limit() == 1024


def test_shares() -> None:
    """With plenty both have all they ask for; with 1,024 each has half; without pushes intake has
    it all."""
    assert shares(524_288, 800, refused=100, pushes=True) == Shares(524_288, 800, 100, PUSHES_MOST)
    assert shares(1024, 800, refused=100, pushes=True) == Shares(1024, 316, 100, 312)
    assert shares(1024, 800, refused=100, pushes=False).connections == 732


@given(st.integers(64, 2**20), st.integers(1, 5000), st.booleans())
def test_they_fit(limit: int, connections: int, pushes: bool) -> None:
    """Whatever the limit, there is a place for a connection, for one that is refused, and for a
    push, and all fit below it: whoever comes when descriptors have run out is reset."""
    found = shares(limit, connections, refused=250, pushes=pushes)

    assert 1 <= found.connections <= connections
    assert 1 <= found.refused <= 250
    assert 1 <= found.pushes <= PUSHES_MOST
    taken = found.connections + found.refused + found.pushes
    assert taken <= limit - min(OWN, limit // 2) + 1
