"""A client of the API with the standard library alone: how fast it starts is how fast it feels."""

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode

from orchestrator.client.http import Answer, connect, request
from orchestrator.dialect import differs, models_mark
from orchestrator.errors import PyorchError
from orchestrator.frames import ERROR, EXIT, HEAD, STDIN, frame

NOT_VALID = 422
PIECE = 1024 * 1024
END = {"end": True}
"""The last line of every stream: without it the daemon went away in the middle."""


class DaemonUnreachableError(PyorchError):
    """Nobody answers on the socket."""


class Client:
    """Requests to one daemon. Nothing is connected until something is asked."""

    def __init__(self, path: Path) -> None:
        """Talk over the socket at ``path``."""
        self._path = path

    def is_up(self) -> bool:
        """Whether the daemon answers."""
        return self.daemon() is not None

    def daemon(self) -> Mapping[str, Any] | None:
        """Return what the daemon tells of itself; None where none answers."""
        try:
            found: Mapping[str, Any] = self.get("/v1/version")
        except DaemonUnreachableError:
            return None
        return found

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """Return what is at ``path``. Raises PyorchError with the daemon's own words."""
        return self._request("GET", path, query=query)

    def put(self, path: str, body: Any) -> Any:
        """Send a document to ``path``."""
        return self._request("PUT", path, body=body)

    def post(self, path: str, body: Any = None, query: Mapping[str, Any] | None = None) -> Any:
        """Ask for something to be done."""
        return self._request("POST", path, body=body or {}, query=query)

    def delete(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """Ask for something to go."""
        return self._request("DELETE", path, query=query)

    def stream(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        *,
        deadline: float | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Yield the objects of a stream as they come, to its end.

        Raises DaemonUnreachableError when the daemon goes away in the middle of it, and
        TimeoutError when the monotonic clock comes to ``deadline`` and nothing has come.
        """
        answer = self._open(method, path, query=query, body=body)
        try:
            while line := answer.readline(within=_left(deadline)):
                entry = json.loads(line)
                if entry == END:
                    return
                yield entry
        except (ConnectionError, ValueError) as error:
            raise DaemonUnreachableError(f"the daemon went away: {error!r}") from None
        finally:
            answer.close()
        raise DaemonUnreachableError("the daemon went away")

    def download(self, path: str, query: Mapping[str, Any]) -> Iterator[bytes]:
        """Yield what is at ``path``, in pieces. Raises DaemonUnreachableError if it is cut off."""
        answer = self._open("GET", path, query=query, body=None)
        try:
            left = int(answer.headers.get("content-length", "0"))
            while left and (data := answer.read_some(min(left, PIECE))):
                left -= len(data)
                yield data
        except ConnectionError as error:
            raise DaemonUnreachableError(f"the daemon went away: {error}") from None
        finally:
            answer.close()
        if left:
            raise DaemonUnreachableError("the daemon went away")

    def upload(self, path: str, query: Mapping[str, Any], source: BinaryIO) -> None:
        """Send a file to ``path``, from where it is to its end."""
        begun = source.tell()
        length = source.seek(0, os.SEEK_END) - begun
        source.seek(begun)
        channel = self._connect()
        try:
            headers = {"Content-Type": "application/x-tar", "Content-Length": str(length)}
            whole = quote(path, safe="/%")
            if query:
                whole += f"?{urlencode(query, doseq=True)}"
            request(channel, "PUT", whole, None, headers)
            # Whoever refuses it does not read it to its end, and says why.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                while data := source.read(PIECE):
                    channel.sendall(data)
            answer = Answer(channel)
        except ConnectionError as error:
            channel.close()
            raise DaemonUnreachableError(f"the daemon went away: {error}") from None
        try:
            if answer.status >= 400:
                raise _refusal(answer.read())
        finally:
            answer.close()

    def exec(self, stack: str, query: Mapping[str, Any], body: Any) -> socket.socket:
        """Begin a command in a replica; return the socket frames are spoken over."""
        path = f"/v1/stacks/{quote(stack)}/exec?{urlencode(query)}"
        return self._upgraded(path, json.dumps(body).encode(), "pyorch-exec")

    def attach(self, stack: str, query: Mapping[str, Any]) -> socket.socket:
        """Take part in what runs in a replica; return the socket frames are spoken over."""
        path = f"/v1/stacks/{quote(stack)}/attach?{urlencode(query)}"
        return self._upgraded(path, b"{}", "pyorch-attach")

    def run(self, stack: str, body: Any) -> socket.socket:
        """Have a service run once; return the socket frames are spoken over."""
        path = f"/v1/stacks/{quote(stack)}/run"
        return self._upgraded(path, json.dumps(body).encode(), "pyorch-run")

    def build(self, request: bytes) -> "Building":
        """Begin a build; ``request`` is a JSON document, its context is still to be sent."""
        return Building(self._upgraded("/v1/builds", request, "pyorch-build"))

    def _upgraded(self, path: str, data: bytes, protocol: str) -> socket.socket:
        """Send a request that ends HTTP on its connection; return the socket behind the answer."""
        channel = self._connect()
        headers = {
            "Content-Type": "application/json",
            "Connection": "Upgrade",
            "Upgrade": protocol,
        }
        request(channel, "POST", path, data, headers, version="HTTP/1.1")
        head = b""
        # Read byte by byte up to the empty line: what follows is frames already.
        while not head.endswith(b"\r\n\r\n"):
            byte = channel.recv(1)
            if not byte:
                raise PyorchError("the daemon closed the connection")
            head += byte
        if b" 101 " in head.split(b"\r\n")[0]:
            return channel
        length = next(
            (
                int(line.split(b":")[1])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length:")
            ),
            0,
        )
        rest = b""
        while len(rest) < length and (more := channel.recv(length - len(rest))):
            rest += more
        raise _refusal(rest)

    def _request(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None
    ) -> Any:
        answer = self._open(method, path, query=query, body=body)
        try:
            data = answer.read()
        except ConnectionError as error:
            raise DaemonUnreachableError(f"the daemon went away: {error}") from None
        finally:
            answer.close()
        return json.loads(data) if data else None

    def _open(
        self, method: str, path: str, *, query: Mapping[str, Any] | None, body: Any
    ) -> Answer:
        # Names come from the command line: whatever a request line cannot hold is quoted.
        path = quote(path, safe="/%")
        if query:
            path = f"{path}?{urlencode(query, doseq=True)}"
        data = None if body is None else json.dumps(body).encode()
        headers = {} if data is None else {"Content-Type": "application/json"}
        channel = self._connect()
        try:
            request(channel, method, path, data, headers)
            answer = Answer(channel)
        except ConnectionError as error:
            channel.close()
            raise DaemonUnreachableError(f"the daemon went away: {error}") from None
        if answer.status >= 400:
            try:
                refusal = _refusal(answer.read())
            finally:
                answer.close()
            raise self._explained(refusal) if answer.status == NOT_VALID else refusal
        return answer

    def _explained(self, refusal: PyorchError) -> PyorchError:
        """Return why what this pyorch has checked is not valid for the daemon, if that is known."""
        daemon = self.daemon()
        if daemon is None or daemon.get("models") == models_mark():
            return refusal
        return differs(daemon, str(refusal))

    def _connect(self) -> socket.socket:
        try:
            return connect(self._path)
        except PermissionError:
            raise PyorchError(
                f"you may not talk to the daemon on `{self._path}`",
                hint="use sudo, or join the group `pyorch`, which is as good as root",
            ) from None
        except OSError:
            raise DaemonUnreachableError(
                f"no daemon answers on `{self._path}`", hint="`pyorch daemon status` tells more"
            ) from None


def _left(deadline: float | None) -> float | None:
    # Nothing at all would mean not to wait even for what is there.
    return None if deadline is None else max(deadline - time.monotonic(), 0.001)


def _refusal(data: bytes) -> PyorchError:
    try:
        found = json.loads(data)
        return PyorchError(
            found["detail"], hint=found.get("hint"), code=found.get("code", "failed")
        )
    except (ValueError, KeyError, TypeError):
        return PyorchError(f"the daemon answered: {data[:200].decode(errors='replace')}")


class Building:
    """A build that is under way. Its client may leave at any moment, from any thread."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel

    def frames(self, context: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
        """Send the tarball of the context and yield what comes back, EXIT or ERROR at last."""
        # Only builds need it, and it takes long to import.
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as sending:
            sent = sending.submit(self._send, context)
            try:
                while (found := read_frame(self._channel)) is not None:
                    yield found
                    if found[0] in (EXIT, ERROR):
                        return
            except ConnectionError:
                pass
            finally:
                self.leave()
            # What went wrong with the context is why the daemon has seen no end of it.
            sent.result()
        raise DaemonUnreachableError("the daemon went away during the build")

    def leave(self) -> None:
        """Take no more part in it: a build whose client has left is ended."""
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the connection."""
        self._channel.close()

    def _send(self, pieces: Iterable[bytes]) -> None:
        try:
            for piece in pieces:
                self._channel.sendall(frame(STDIN, piece))
            self._channel.sendall(frame(STDIN, b""))
        except ConnectionError:
            pass  # whoever reads the other way learns why
        except BaseException:
            # What cannot be read ends the connection without the context's end.
            self.leave()
            raise


def read_frame(channel: socket.socket) -> tuple[int, bytes] | None:
    """Return the next frame's kind and content; None at the end."""
    head = _exactly(channel, HEAD.size)
    if head is None:
        return None
    kind, length = HEAD.unpack(head)
    data = _exactly(channel, length)
    return None if data is None else (kind, data)


def _exactly(channel: socket.socket, count: int) -> bytes | None:
    data = b""
    while len(data) < count:
        more = channel.recv(count - len(data))
        if not more:
            return None
        data += more
    return data


def is_root() -> bool:
    """Whether this process may do everything."""
    return os.geteuid() == 0
