"""A real registry on this machine."""

import socket
import subprocess
import time
from contextlib import contextmanager

from tests.patience import patient

PATIENCE = patient(30.0)


@contextmanager
def serve_registry(folder, port, tls="", more=""):
    """Run a registry that keeps its content below ``folder``; yield its address."""
    config = folder / "registry.yml"
    config.write_text(
        "version: 0.1\nlog: {level: error}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder / 'registry'}}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'{tls}}}{more}\n"
    )
    process = subprocess.Popen(
        ["docker-registry", "serve", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_it_listens(process, port)
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _wait_until_it_listens(process, port):
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            assert process.poll() is None, "the registry has ended"
            assert time.monotonic() < deadline, "the registry does not listen"
            time.sleep(0.01)


def make_certificate(folder, *, expired=False):
    """Write a certificate for this machine that nobody has heard of; return it and its key."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    line = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    line += ["-nodes", "-days", "2", "-keyout", key, "-out", certificate]
    line += ["-subj", "/CN=registry", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(line, check=True, capture_output=True)
    if expired:
        line = ["openssl", "x509", "-in", certificate, "-signkey", key, "-days", "-1"]
        subprocess.run([*line, "-out", certificate], check=True, capture_output=True)
    return certificate, key
