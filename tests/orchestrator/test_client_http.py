"""The client's HTTP against a peer that answers byte by byte what a test says."""

import contextlib
import socket
import threading

import pytest

from orchestrator.client.http import Answer, BadAnswerError, request


def answer(data: bytes) -> Answer:
    """Return what the client makes of ``data`` followed by the end of the connection."""
    ours, theirs = socket.socketpair()

    def speak() -> None:
        # Who has seen enough leaves in the middle.
        with theirs, contextlib.suppress(BrokenPipeError):
            for byte in data:
                theirs.sendall(bytes([byte]))

    thread = threading.Thread(target=speak)
    thread.start()
    try:
        return Answer(ours)
    finally:
        thread.join()


def test_a_body_with_a_length_is_read_whole():
    found = answer(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    assert (found.status, found.read()) == (200, b"hello")
    found.close()


def test_a_body_without_a_length_ends_with_the_connection():
    found = answer(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\none\ntwo\n")
    assert [found.readline(), found.readline(), found.readline()] == [b"one\n", b"two\n", b""]
    found.close()


def test_a_body_that_is_cut_short_is_no_body():
    found = answer(b"HTTP/1.0 200 OK\r\ncontent-length: 50\r\n\r\nhello")
    with pytest.raises(BadAnswerError, match="5 bytes of 50"):
        found.read()
    found.close()


@pytest.mark.parametrize(
    "data",
    [b"", b"HTTP/1.0", b"HTTP/1.0 200 OK\r\nX: y", b"SSH-2.0-x y\r\n", b"HTTP/1.0 x\r\n\r\n"],
)
def test_what_is_no_answer_is_refused(data):
    with pytest.raises(BadAnswerError):
        answer(data)


def test_a_request_is_what_the_standard_says():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        request(ours, "PUT", "/v1/x", b"{}", {"A": "b"})
        said = theirs.recv(1000)
    assert said == b"PUT /v1/x HTTP/1.0\r\nHost: pyorch\r\nA: b\r\nContent-Length: 2\r\n\r\n{}"
