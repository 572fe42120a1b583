import socket
from collections.abc import Iterator

import pytest

from convergence_orchestration.launching.lines import Lines


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, Lines]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, Lines(theirs)


def test_messages_arrive_whole_however_they_are_cut(ends: tuple[socket.socket, Lines]) -> None:
    sender, lines = ends

    sender.sendall(b'{"a": 1}\n{"b"')
    assert lines.receive() == [{"a": 1}]
    sender.sendall(b": 2")
    assert lines.receive() == []
    sender.sendall(b'}\n{"c": 3}\n')
    assert lines.receive() == [{"b": 2}, {"c": 3}]


def test_the_answer_is_waited_for(ends: tuple[socket.socket, Lines]) -> None:
    sender, lines = ends
    sender.sendall(b'{"a"')
    sender.sendall(b": 1}\n")

    assert lines.answer() == {"a": 1}


def test_an_end_before_the_answer_is_an_error(ends: tuple[socket.socket, Lines]) -> None:
    sender, lines = ends
    sender.close()

    with pytest.raises(ConnectionResetError):
        lines.answer()


def test_a_message_without_end_is_refused(
    ends: tuple[socket.socket, Lines], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convergence_orchestration.launching.lines._LONGEST_LINE", 3)
    sender, lines = ends
    sender.sendall(b"endless")

    with pytest.raises(ValueError, match="no end"):
        lines.receive()
