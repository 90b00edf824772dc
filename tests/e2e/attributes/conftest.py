"""One stack shows many attributes: it is brought up once for all tests of a file."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.instance import Done, Pyorch


@dataclass(frozen=True, slots=True)
class Shown:
    """A stack that runs, and a look inside it."""

    pyorch: Pyorch
    name: str
    said: str
    """What `up` had to say on stderr."""

    def run(self, service: str, *words: str) -> str:
        """Run a command in a service's container; it must succeed."""
        return self.pyorch.run("-p", self.name, "exec", "-T", service, *words).rstrip("\n")

    def sh(self, service: str, line: str) -> str:
        """Run a line of shell in a service's container, and return all it printed."""
        done = self.try_(service, "sh", "-c", line)
        return (done.out + done.err).rstrip("\n")

    def try_(self, service: str, *words: str) -> Done:
        """Run a command in a service's container to its end, whatever that is."""
        return self.pyorch.try_("-p", self.name, "exec", "-T", service, *words)

    def pid(self, service: str, slot: int = 1) -> int:
        """Return the host's id of a container's first process."""
        return self.pyorch.main_process(f"{self.name}/{service}.{slot}")

    def status(self, service: str) -> dict[str, str]:
        """Return what the kernel tells of a container's first process."""
        lines = Path(f"/proc/{self.pid(service)}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def namespace(self, service: str, kind: str) -> str:
        """Return which namespace of a kind a container's first process is in."""
        return str(Path(f"/proc/{self.pid(service)}/ns/{kind}").readlink())

    def mount(self, service: str, target: str) -> tuple[str, set[str], str]:
        """Return the type, the options and those of the filesystem of what is mounted there."""
        text = Path(f"/proc/{self.pid(service)}/mountinfo").read_text()
        for line in reversed(text.splitlines()):
            fields, _, rest = line.partition(" - ")
            if fields.split()[4] == target:
                kind, _, options = rest.split(" ", 2)
                return kind, set(fields.split()[5].split(",")), options
        raise AssertionError(f"nothing is mounted at {target}")


@pytest.fixture(scope="module")
def shown(begun, request):
    """The stack of the file's STACK, up and running."""
    begun.write(request.module.STACK)
    name = request.module.STACK.split("name: ", 1)[1].split("\n", 1)[0]
    done = begun.try_("up", "-d", "--wait")
    assert done.code == 0, done.err
    return Shown(begun, name, done.err)
