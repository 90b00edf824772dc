"""Start the daemon when a command needs it: once, outside the login's scope, and wait for it."""

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from orchestrator import systemd
from orchestrator.client import Client, is_root
from orchestrator.dialect import need_same_api
from orchestrator.errors import PyorchError
from orchestrator.settings import Settings

PATIENCE = 60.0
"""Seconds a daemon may take to answer: a machine that boots has much else to do."""
LONGEST_PAUSE = 0.1
LAST_LINES = 3
KEPT = ("HOME", "LANG", "PATH", "TMPDIR", "TZ", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR")
KEPT_BEGINNINGS = (
    *("PYORCH_", "PYTHON", "LC_", "SSL_CERT_", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE"),
    *("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
)
"""What of the environment the daemon needs: paths, languages, registries, proxies."""
ALREADY_RUNS = 100
"""Exit code of a daemon that finds its place taken."""


def connect(settings: Settings) -> Client:
    """Return a client of a daemon that answers, starting one where none does.

    Raises PyorchError for one that speaks another API than this client.
    """
    client = Client(settings.socket)
    daemon = client.daemon()
    if daemon is not None:
        need_same_api(daemon)
        return client
    if not is_root():
        raise PyorchError("pyorch needs root to run containers", hint="try again with sudo")
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o711)
    with (settings.data / "launch.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not client.is_up():
            _start(settings, client)
    return client


def wait_for(
    client: Client, *, has_died: Callable[[], bool], words: Callable[[], list[str]]
) -> None:
    """Return once the daemon answers.

    Raises PyorchError with its last words when it has died meanwhile, or takes too long.
    """
    deadline = time.monotonic() + PATIENCE
    pause = 0.01
    while not client.is_up():
        # Asking takes longer than a pause: it is asked when a daemon usually answers by now.
        died = pause >= LONGEST_PAUSE and has_died()
        if died or time.monotonic() > deadline:
            what = "the daemon ended at once" if died else f"no answer within {PATIENCE:.0f} s"
            told = "".join(f"\n  {line[:300]}" for line in words())
            raise PyorchError(
                f"the daemon did not start: {what}{told}",
                hint="`pyorch daemon run` runs it where you can watch it",
            )
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)


def wait_for_unit(settings: Settings, client: Client) -> None:
    """Return once the daemon that systemd has started answers; raises as :func:`wait_for`."""
    wait_for(
        client,
        has_died=systemd.watch(settings),
        words=lambda: systemd.last_words(settings, LAST_LINES),
    )


def _start(settings: Settings, client: Client) -> None:
    if systemd.can_start_units():
        systemd.start(settings)
        wait_for_unit(settings, client)
        return
    with settings.daemon_log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator.daemon"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**_kept(os.environ), **settings.environ()},
            cwd="/",
            start_new_session=True,
        )
    wait_for(
        client,
        # One that finds another at work leaves it to that one.
        has_died=lambda: process.poll() not in (None, ALREADY_RUNS),
        words=lambda: _last_lines(settings.daemon_log),
    )


def _kept(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what a daemon takes over from whoever happens to start it.

    Not everything: a variable may hold a secret, and everything the daemon starts would have it.
    """
    return {
        name: value
        for name, value in environ.items()
        if name in KEPT or name.startswith(KEPT_BEGINNINGS)
    }


def _last_lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()[-LAST_LINES:]
    except OSError:
        return []
