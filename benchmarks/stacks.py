"""What every side is given: one image that can sleep, and stacks of services that do."""

import json
import shutil
import tarfile
from pathlib import Path

BUSYBOX = Path("/bin/busybox")
IMAGE = "bench/sleep"
COMMAND = ("sleep", "1000000")


def make_rootfs(folder: Path) -> Path:
    """Make the root filesystem of the image, and return where it is."""
    root = folder / "rootfs"
    (root / "bin").mkdir(parents=True)
    shutil.copy(BUSYBOX, root / "bin" / "busybox")
    for applet in ("sleep", "sh"):
        (root / "bin" / applet).symlink_to("busybox")
    return root


def make_image(folder: Path) -> Path:
    """Pack the root filesystem, and return the tarball."""
    tarball = folder / "image.tar"
    with tarfile.open(tarball, "w") as archive:
        archive.add(make_rootfs(folder), arcname=".")
    return tarball


WELL = "well"
"""The file, at the top of its root, without which a checked service is unhealthy."""
INTERVAL, RETRIES = 1, 2


def write_checked(folder: Path) -> Path:
    """Write a stack of one service that is well when it begins, and asked whether it still is."""
    service = {
        "image": IMAGE,
        "command": ["sh", "-c", f"echo >/{WELL}; exec {' '.join(COMMAND)}"],
        "restart": "always",
        "stop_grace_period": "0s",
        "healthcheck": {
            "test": ["CMD", "sh", "-c", f"[ -e /{WELL} ]"],
            "interval": f"{INTERVAL}s",
            "retries": RETRIES,
        },
    }
    path = folder / "checked.yml"
    path.write_text(json.dumps({"name": "benchill", "services": {"s0": service}}))
    return path


def write_stack(folder: Path, count: int) -> Path:
    """Write a stack of ``count`` sleeping services on one network."""
    service = {"image": IMAGE, "command": list(COMMAND), "restart": "always"}
    path = folder / f"bench{count}.yml"
    path.write_text(
        json.dumps(
            {
                "name": f"bench{count}",
                "services": {f"s{number}": service for number in range(count)},
            }
        )
    )
    return path
