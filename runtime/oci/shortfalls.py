"""What of a container's configuration this machine does not give: told, and gone without."""

from collections.abc import Iterator
from pathlib import Path

from runtime.oci.bundle import APPARMOR
from runtime.oci.capabilities import available, wanted
from runtime.oci.rlimits import lowered, oom_score
from runtime.types import ContainerConfig

SELINUX = Path("/sys/fs/selinux/enforce")


def shortfalls(config: ContainerConfig) -> Iterator[str]:
    """Yield one sentence for everything that is less than was asked for."""
    for name, asked, given in lowered(config.ulimits):
        wish = "none" if asked == 2**64 - 1 else asked
        yield f"ulimits.{name}: {wish} is asked for, and this machine gives {given} at most"
    if (given := oom_score(config.oom_score_adj)) != (config.oom_score_adj or 0):
        asked = config.oom_score_adj or 0
        yield f"oom_score_adj: {asked} is asked for, and this machine gives {given} at least"
    named = {name for name in config.cap_add if name.upper() not in ("ALL", "CAP_ALL")}
    if named and (missing := wanted(config) - available()):
        yield f"cap_add: this machine does not give {', '.join(sorted(missing))}"
    if config.apparmor and not APPARMOR.exists():
        yield "security_opt: `apparmor` means nothing here: the kernel has no AppArmor"
