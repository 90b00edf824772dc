"""One question of gRPC: how a service is (grpc.health.v1.Health/Check). Does no I/O itself.

The frames are h2's; of protocol buffers there is one string on the way there and one number on
the way back.
"""

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import H2Error

PATH = "/grpc.health.v1.Health/Check"
ANSWERS = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
UNIMPLEMENTED = "12"
STATUSES = {"5": "SERVICE_UNKNOWN", UNIMPLEMENTED: "it has no health service"}
"""What some of gRPC's status codes mean here."""
LONGEST_NAME = 127
"""Bytes of a service's name: the length of what is longer takes more than one byte."""


class HealthQuestion:
    """Feed it what is heard, send what it has to say, until there is an ``answer``."""

    def __init__(self, service: str) -> None:
        """Ask for ``service``; empty is the server as a whole."""
        name = service.encode()
        if len(name) > LONGEST_NAME:
            raise ValueError(f"longer than {LONGEST_NAME} bytes: {service!r}")
        self.answer: str | None = None
        self._message = b""
        self._status = ""
        self._connection = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self._connection.initiate_connection()
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", PATH),
            (":authority", "localhost"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ]
        message = b"\x0a" + bytes([len(name)]) + name if name else b""
        self._connection.send_headers(1, headers)
        data = b"\0" + len(message).to_bytes(4, "big") + message
        self._connection.send_data(1, data, end_stream=True)

    def to_send(self) -> bytes:
        """Return what is to be sent now."""
        return self._connection.data_to_send() or b""

    def hear(self, data: bytes) -> None:
        """Take in what was received."""
        try:
            events = self._connection.receive_data(data)
        except (H2Error, ValueError) as error:
            self.answer = f"no gRPC: {error}"
            return
        for event in events:
            self._note(event)

    def _note(self, event: Event) -> None:
        match event:
            case ResponseReceived() | TrailersReceived():
                for name, value in event.headers or ():
                    if name == b"grpc-status":
                        self._status = value[:8].decode(errors="replace")
            case DataReceived():
                self._message += event.data or b""
            case StreamEnded() | StreamReset() | ConnectionTerminated():
                self.answer = self.answer or self._conclude()
            case _:
                pass

    def _conclude(self) -> str:
        if self._status not in ("", "0"):
            return STATUSES.get(self._status, f"gRPC status {self._status}")[:80]
        # A flag, four bytes of length, then the message: field 1, a number; none stands for 0.
        body = self._message[5:]
        if body[:1] == b"\x08" and len(body) > 1 and body[1] < len(ANSWERS):
            return ANSWERS[body[1]]
        return "UNKNOWN"
