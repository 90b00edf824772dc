"""One boot's checks: which they are is noted on the disk, so that a reboot goes on with the next.

The machine is rebooted once as it should be and once as by a power cut.
"""

import os
import subprocess
import sys
from pathlib import Path

import farewell
import first_boot
import later_boot
import report

NOTE = Path("/var/lib/vm-checks")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def main() -> None:
    """Make this boot's checks and begin the next boot, or end the machine."""
    NOTE.mkdir(exist_ok=True)
    boots = NOTE / "boots"
    earlier = boots.read_text().split() if boots.exists() else []
    boots.write_text("\n".join([*earlier, BOOT_ID.read_text().strip()]))
    match len(set(earlier)):
        case 0:
            checks, end = first_boot.CHECKS, reboot
        case 1:
            checks, end = (*later_boot.CHECKS, later_boot.orderly), cut_power
        case _:
            checks, end = (*later_boot.CHECKS, *farewell.CHECKS), power_off
    report.say(f"--- boot {len(earlier) + 1}")
    if not report.make(checks):
        report.say(later_boot.journal())
    end()


def reboot() -> None:
    """Start again, as a person would have it."""
    subprocess.run(["systemctl", "reboot"], check=True)


def cut_power() -> None:
    """Start again with nothing shut down and nothing written."""
    Path("/proc/sysrq-trigger").write_text("b")


def power_off() -> None:
    """End the machine."""
    report.say("all checks made")
    os.sync()
    subprocess.run(["systemctl", "poweroff"], check=True)


if __name__ == "__main__":
    sys.exit(main())
