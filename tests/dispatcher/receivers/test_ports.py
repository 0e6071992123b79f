"""The sockets of several processes on one port. SO_REUSEPORT would let a second dlr in unasked."""

from __future__ import annotations

import socket

import pytest

from dispatcher.receivers.ports import shared_port
from receiver.settings.settings import ServerSettings


def test_all_processes_have_sockets_on_one_port() -> None:
    """A free one, if that is asked for, at each address of the name."""
    with shared_port(ServerSettings(bind="localhost", port=0), 3) as groups:
        found = [[each.getsockname()[:2] for each in sockets] for sockets in groups]
        assert len(found) == 3
        assert found[0] == found[1] == found[2]
        assert len({port for _, port in found[0]}) == 1


def test_a_port_that_is_listened_on_is_refused() -> None:
    """Though it is another dlr with several processes, or any program without SO_REUSEPORT."""
    with shared_port(ServerSettings(port=0), 2) as groups:
        port = groups[0][0].getsockname()[1]
        taken = f"cannot listen on 127.0.0.1:{port}: Address already in use"
        with pytest.raises(OSError, match=taken), shared_port(ServerSettings(port=port), 2):
            pass
        with socket.socket() as other, pytest.raises(OSError, match="already in use"):
            other.bind(("127.0.0.1", port))


def test_an_address_of_another_machine_is_refused() -> None:
    with (
        pytest.raises(OSError, match=r"cannot listen on 203\.0\.113\.1:0: Cannot assign"),
        shared_port(ServerSettings(bind="203.0.113.1", port=0), 2),
    ):
        pass
