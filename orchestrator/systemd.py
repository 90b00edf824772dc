"""The daemon as a unit of systemd: installed for good, or begun for this boot.

Standard library only: the thin client starts the daemon with it. Everything blocks. An
installed unit and one that was begun have the same name, so that ``systemctl status
pyorchd`` finds either.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from orchestrator.errors import PyorchError
from orchestrator.settings import Settings

UNITS = Path("/etc/systemd/system")
PROPERTIES = (
    # Monitors and resolvers outlive the daemon, and containers are not in its unit at all.
    "KillMode=process",
    "Delegate=yes",
    "OOMPolicy=continue",
    # A daemon that was told to stop stays stopped; one that died does not, however often.
    "Restart=on-failure",
    "RestartSec=1",
    # Another daemon has the lock: trying again does not help.
    "RestartPreventExitStatus=100",
    # At shutdown the daemon stops every stack in order, each container within its grace.
    "TimeoutStopSec=5min",
    "TasksMax=infinity",
    "LimitNOFILE=1048576",
)
UNIT_TEXT = """\
[Unit]
Description={description}
After=network-online.target nftables.service firewalld.service ufw.service
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart="{python}" -m orchestrator.daemon
{environment}{properties}

[Install]
WantedBy=multi-user.target
"""
DESCRIPTION = "pyorch: keeps stacks of containers as their files say"


def is_running() -> bool:
    """Whether systemd runs this machine (sd_booted(3))."""
    return Path("/run/systemd/system").is_dir()


def is_shutting_down() -> bool:
    """Whether systemd is about to end this machine, or to start it again."""
    if not is_running():
        return False
    line = ["systemctl", "is-system-running"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    return done.stdout.strip() == "stopping"


def reboot() -> None:
    """Have this machine start anew. Raises PyorchError where nobody can be asked for it."""
    line = ["systemctl", "reboot"] if is_running() else ["reboot"]
    try:
        done = subprocess.run(line, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise PyorchError(
            "there is no `reboot` here", hint="have this machine start anew by other means"
        ) from None
    if done.returncode:
        why = done.stderr.strip()[:200]
        raise PyorchError(f"`{' '.join(line)}` failed: {why}", hint="everything is stopped")


def unit_of(settings: Settings) -> str:
    """Return the name of an instance's unit."""
    return "pyorchd.service" if settings.name == "main" else f"pyorchd-{settings.name}.service"


def unit_file(settings: Settings) -> Path:
    """Return where the unit is while it is installed."""
    return UNITS / unit_of(settings)


def unit_text(settings: Settings) -> str:
    """Return the unit that starts this very interpreter's daemon at boot, where it lives now."""
    lines = "".join(
        f'Environment="{name}={_escape(value)}"\n' for name, value in settings.environ().items()
    )
    return UNIT_TEXT.format(
        description=DESCRIPTION,
        python=_escape(sys.executable),
        environment=lines,
        properties="\n".join(PROPERTIES),
    )


def install(settings: Settings) -> None:
    """Write the unit, and have it started now and at every boot; one that runs is restarted."""
    unit_file(settings).write_text(unit_text(settings), encoding="utf-8")
    unit = unit_of(settings)
    for words in (["daemon-reload"], ["enable", unit], ["restart", unit]):
        _systemctl(*words)


def uninstall(settings: Settings) -> None:
    """End the installed daemon, and have it started no more; nothing is done without one."""
    if unit_file(settings).exists():
        _systemctl("disable", "--now", unit_of(settings))
        unit_file(settings).unlink()
        _systemctl("daemon-reload")


def start(settings: Settings) -> None:
    """Start the installed unit, or begin one that lasts until the daemon ends.

    Never as a child of ours: the scope of a login ends with it, and what is in it, too.
    """
    unit = unit_of(settings)
    if _show(settings, "LoadState") == {"LoadState": "loaded"}:
        # Installed, or begun before and about to be restarted.
        _systemctl("start", unit)
        return
    line = ["systemd-run", "--quiet", "--collect", f"--unit={unit}"]
    line += [f"--description={DESCRIPTION}", "--property=StartLimitIntervalSec=0"]
    line += [f"--property={one}" for one in PROPERTIES]
    line += [f"--setenv={name}={value}" for name, value in settings.environ().items()]
    _run([*line, sys.executable, "-m", "orchestrator.daemon"])


def watch(settings: Settings) -> Callable[[], bool]:
    """Return what tells whether the unit has given up, or failed three times from now on."""
    before = _restarts(settings)

    def has_given_up() -> bool:
        state = _show(settings, "ActiveState").get("ActiveState")
        return state in ("failed", "inactive") or _restarts(settings) >= before + 3

    return has_given_up


def last_words(settings: Settings, lines: int) -> list[str]:
    """Return the end of what the daemon logged, without what systemd says of it."""
    line = ["journalctl", "--no-pager", "--boot", "--output=cat", f"--lines={lines}"]
    done = subprocess.run(
        [*line, f"_SYSTEMD_UNIT={unit_of(settings)}"], capture_output=True, text=True, check=False
    )
    return done.stdout.splitlines()


def can_start_units() -> bool:
    """Whether systemd runs this machine, and what asks it for units is installed."""
    return is_running() and shutil.which("systemd-run") is not None


def _restarts(settings: Settings) -> int:
    return int(_show(settings, "NRestarts").get("NRestarts") or 0)


def _show(settings: Settings, *names: str) -> dict[str, str]:
    line = ["systemctl", "show", f"--property={','.join(names)}", unit_of(settings)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    pairs = (entry.partition("=") for entry in done.stdout.splitlines())
    return {name: value for name, _, value in pairs}


def _systemctl(*words: str) -> None:
    _run(["systemctl", "--quiet", *words])


def _run(line: Sequence[str]) -> None:
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        words = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise PyorchError(
            f"systemd cannot do `{' '.join(line[:3])}`: {words[0]}",
            hint="`journalctl -u 'pyorchd*'` tells more",
        )


def _escape(value: str) -> str:
    """Write a value so that systemd reads it as it is (systemd.exec(5), systemd.unit(5))."""
    for plain, written in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("%", "%%")):
        value = value.replace(plain, written)
    return value
