"""A guestbook: entries live in redis, and any number of copies of this may serve them."""

import html
import os
import signal
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import BinaryIO
from urllib.parse import parse_qs

REDIS = (os.environ.get("REDIS_HOST", "redis"), 6379)
LONGEST = 10_000
PAGE = """<!doctype html><title>Guestbook</title><h1>Guestbook</h1>
<form method="post"><input name="entry" autofocus><button>Sign</button></form>
<ul>{entries}</ul><p><small>served by {host}</small>
"""


def ask(*words: str) -> list[str]:
    """Send one command to redis and return what it answers, as a list of lines."""
    with socket.create_connection(REDIS, timeout=2) as connection:
        parts = [word.encode() for word in words]
        connection.sendall(
            b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)
        )
        with connection.makefile("rb") as answer:
            return read(answer)


def read(answer: BinaryIO) -> list[str]:
    """Read one answer of the redis protocol."""
    kind, rest = answer.read(1), answer.readline().rstrip().decode()
    if kind == b"-":
        raise OSError(rest)
    if kind == b"$":
        data = answer.read(int(rest) + 2) if int(rest) >= 0 else b""
        return [data[:-2].decode(errors="replace")]
    if kind == b"*":
        return [line for _ in range(int(rest)) for line in read(answer)]
    return [rest]


class Guestbook(BaseHTTPRequestHandler):
    """One page, one form, one place to ask whether all is well."""

    def do_GET(self) -> None:
        try:
            if self.path == "/healthz":
                ask("PING")
                return self.say(200, "ok\n", "text/plain")
            entries = "".join(
                f"<li>{html.escape(line)}</li>\n" for line in ask("LRANGE", "entries", "0", "99")
            )
        except OSError as error:
            return self.say(503, f"redis: {error}\n", "text/plain")
        return self.say(200, PAGE.format(entries=entries, host=socket.gethostname()), "text/html")

    def do_POST(self) -> None:
        body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), LONGEST))
        try:
            for entry in parse_qs(body.decode(errors="replace")).get("entry", []):
                ask("LPUSH", "entries", entry)
        except OSError as error:
            return self.say(503, f"redis: {error}\n", "text/plain")
        self.send_response(303)
        self.send_header("Location", "/")
        self.send_header("Content-Length", "0")
        self.end_headers()
        return None

    def say(self, status: int, text: str, kind: str) -> None:
        """Answer with a document."""
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ThreadingHTTPServer(("", 8000), Guestbook).serve_forever()
