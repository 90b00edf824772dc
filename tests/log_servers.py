"""Receivers of log lines, as far as they understand them: syslog over every transport, the journal.

Each listens in a thread of its own, can be closed and opened again at the same place, and is asked
to wait for what is to come.
"""

import contextlib
import os
import re
import socket
import ssl
import struct
import subprocess
import threading
from dataclasses import dataclass

from tests.patience import patient

PATIENCE = patient(20.0)


class Receiver:
    """Keeps what has come. Subclasses say how it comes."""

    def __init__(self):
        """Keep nothing yet."""
        self.messages = []
        self._more = threading.Condition()
        self._sockets = []
        self._closed = False

    def wait(self, so, what="what is waited for"):
        """Return all messages once ``so`` holds for them."""
        with self._more:
            came = self._more.wait_for(lambda: so(self.messages), PATIENCE)
            assert came, f"{what} does not come; last: {self.messages[-3:]}"
            return [*self.messages]

    def until(self, text):
        """Return all messages once one is, or holds, ``text``."""
        seen = 0

        def has_come(found):
            nonlocal seen
            # Only those that are new: there may be very many.
            fresh, seen = found[seen:], len(found)
            return any(self.is_of(one, text) for one in fresh)

        return self.wait(has_come, text)

    def is_of(self, message, text):
        """Whether a message tells of ``text``."""
        return text in message

    def keep(self, message):
        """Keep one more."""
        with self._more:
            self.messages.append(message)
            self._more.notify_all()

    def begin(self, work, *words):
        """Run ``work`` until this is closed."""
        threading.Thread(target=self._quietly, args=(work, *words), daemon=True).start()

    def close(self):
        """Listen no more."""
        self._closed = True
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _quietly(self, work, *words):
        try:
            work(*words)
        except (OSError, ValueError):
            if not self._closed:
                raise

    def __enter__(self):
        """Listen."""
        return self

    def __exit__(self, *_):
        """Listen no more."""
        self.close()


class Datagrams(Receiver):
    """Syslog by datagrams, at a port of this machine or at a path."""

    def __init__(self, port=0, path=None):
        """Listen."""
        super().__init__()
        self.socket = socket.socket(
            socket.AF_UNIX if path else socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
        )
        self.socket.bind(str(path) if path else ("127.0.0.1", port))
        self.port = None if path else self.socket.getsockname()[1]
        self.path = path
        self._sockets.append(self.socket)
        self.begin(self._receive)

    def _receive(self):
        while not self._closed:
            data = self.socket.recv(70_000)
            if data:
                self.keep(data)

    def close(self):
        """Listen no more, and leave nothing."""
        super().close()
        if self.path:
            self.path.unlink(missing_ok=True)


class Streams(Receiver):
    """Syslog by streams, at a port of this machine or at a path, with TLS where asked for.

    ``counted`` frames messages by their length, otherwise a newline ends them. One that is
    ``stuck`` takes connections and never reads.
    """

    def __init__(self, port=0, path=None, *, tls=None, counted=False, stuck=False):
        """Listen."""
        super().__init__()
        self.counted, self.tls, self.stuck = counted, tls, stuck
        self.connections = 0
        family = socket.AF_UNIX if path else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(str(path) if path else ("127.0.0.1", port))
        self.port = None if path else self.socket.getsockname()[1]
        self.path = path
        self.socket.listen()
        self._sockets.append(self.socket)
        self.begin(self._accept)

    def _accept(self):
        while not self._closed:
            sock, _ = self.socket.accept()
            with self._more:
                self.connections += 1
                self._more.notify_all()
            self._sockets.append(sock)
            if not self.stuck:
                self.begin(self._serve, sock)

    def _serve(self, sock):
        if self.tls is not None:
            try:
                sock = self.tls.wrap_socket(sock, server_side=True)
            except ssl.SSLError:
                return
            self._sockets.append(sock)
        rest = b""
        with contextlib.suppress(ConnectionResetError):
            while data := sock.recv(70_000):
                rest = self._split(rest + data)

    def _split(self, data):
        while True:
            if self.counted:
                found = re.match(rb"(\d+) ", data)
                if not found or len(data) < found.end() + int(found[1]):
                    return data
                end = found.end() + int(found[1])
                self.keep(data[found.end() : end])
                data = data[end:]
            else:
                line, newline, rest = data.partition(b"\n")
                if not newline:
                    return data
                self.keep(line)
                data = rest

    def close(self):
        """Listen no more, and leave nothing."""
        super().close()
        if self.path:
            self.path.unlink(missing_ok=True)


class Journal(Receiver):
    """The journal: what it is sent, as dictionaries of fields."""

    def __init__(self, path):
        """Listen at ``path``."""
        super().__init__()
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self.socket.bind(str(path))
        self._sockets.append(self.socket)
        self.begin(self._receive)

    def _receive(self):
        while not self._closed:
            data, rights, _, _ = socket.recv_fds(self.socket, 16 * 1024 * 1024, 1)
            for fd in rights:
                data = read_sealed(fd)
            if data:
                self.keep(parse_entry(data))

    def is_of(self, message, text):
        """Whether the message of an entry is ``text``."""
        return message["MESSAGE"] == text

    def close(self):
        """Listen no more, and leave nothing."""
        super().close()
        self.path.unlink(missing_ok=True)


def read_sealed(fd):
    """Return what is in a file in memory, and see to it that nobody can change it."""
    import fcntl

    try:
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        wanted = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
        assert seals & wanted == wanted
        return os.pread(fd, os.fstat(fd).st_size, 0)
    finally:
        os.close(fd)


def parse_entry(data):
    """Return the fields of an entry in the journal's native protocol; each comes once."""
    fields = {}
    while data:
        line, newline, data = data.partition(b"\n")
        assert newline
        name, equals, value = line.partition(b"=")
        if not equals:
            (size,) = struct.unpack_from("<Q", data)
            value, end, data = data[8 : 8 + size], data[8 + size : 9 + size], data[9 + size :]
            assert (len(value), end) == (size, b"\n")
        assert re.fullmatch(rb"[A-Z][A-Z0-9_]{0,63}", name)
        assert name not in fields
        fields[name.decode()] = value
    return fields


@dataclass(frozen=True, slots=True)
class Certificates:
    """An authority, and what it has signed for this machine and for a client."""

    authority: str
    server: str
    server_key: str
    client: str
    client_key: str

    def context(self, *, ask_client=False):
        """Return how a server speaks TLS."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.authority)
        context.load_cert_chain(self.server, self.server_key)
        context.verify_mode = ssl.CERT_REQUIRED if ask_client else ssl.CERT_NONE
        return context


def make_certificates(folder):
    """Make certificates in ``folder``."""

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout")
    openssl("req", "-x509", *new, "ca.key", "-out", "ca.pem", "-subj", "/CN=logs", "-days", "2")
    for name in ("server", "client"):
        openssl("req", *new, f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        words = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names")
        openssl("x509", "-req", "-in", f"{name}.csr", *words, "-out", f"{name}.pem", "-days", "2")
    files = ("ca.pem", "server.pem", "server.key", "client.pem", "client.key")
    return Certificates(*(str(folder / name) for name in files))
