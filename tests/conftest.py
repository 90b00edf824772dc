"""What every test may use."""

import contextlib
import os
import secrets
import signal
import socket
import sys
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("runtime.testing.contract")
# Whoever runs tests in the background of a script has SIGINT ignored, and so would all they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says how busy the machine is.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

# A traceback with the values of every frame, as is usual where nothing is said, takes seconds.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)

for folder in (Path(__file__).parent.parent, Path(__file__).parent / "scheduler"):
    sys.path.insert(0, str(folder))

from tests.instance import (  # noqa: E402 - after the path is known
    Pyorch,
    daemon_logs,
    forget_what_is_over,
    make_busybox,
)
from tests.lab import open_lab  # noqa: E402
from tests.registry import serve_registry  # noqa: E402

SWEEPS = Path(__file__).parent / "sweep"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Root tests fail without root for one clear reason: deselect them with `-m "not root"`.

    The sweeps take longest: begun first, they are over when the others are that run beside them.
    """
    items.sort(key=lambda item: not item.path.is_relative_to(SWEEPS))
    if os.geteuid() != 0 and any("root" in item.keywords for item in items):
        pytest.exit('these tests need root: run them with sudo, or choose -m "not root"', 1)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    """A test that fails, or what it leaves behind, is told with what its daemons had to say."""
    made = yield
    report = made.get_result()
    if report.failed:
        report.sections += daemon_logs()
    if report.when == "teardown":
        forget_what_is_over()


@pytest.fixture(scope="session")
def busybox(tmp_path_factory):
    """The tarball of a tiny image."""
    return make_busybox(tmp_path_factory.mktemp("busybox"))


@pytest.fixture
def bare(tmp_path):
    """A pyorch with nothing in it; nothing may be left of it afterwards."""
    pyorch = Pyorch(name=f"t{secrets.token_hex(3)}", home=tmp_path / "p")
    yield pyorch
    assert pyorch.clean() == []


@pytest.fixture
def pyorch(bare, busybox):
    """A pyorch that knows the image `busybox`."""
    bare.run("image", "import", str(busybox), "busybox")
    return bare


@pytest.fixture(scope="module")
def begun(tmp_path_factory, busybox, request):
    """A pyorch for all tests of a file; nothing may be left of it afterwards."""
    pyorch = Pyorch(name=f"t{secrets.token_hex(3)}", home=tmp_path_factory.mktemp("begun") / "p")
    # The daemon reads its settings when the first command starts it.
    prepare = getattr(request.module, "prepare", None)
    if prepare is not None:
        prepare(pyorch)
    try:
        pyorch.run("image", "import", str(busybox), "busybox")
        yield pyorch
    finally:
        left = pyorch.clean()
    assert left == []


@pytest.fixture
def lab(tmp_path, busybox):
    """A host and a stranger in namespaces of their own; `lab.pyorch` runs on that host."""
    with open_lab(tmp_path / "p", busybox) as lab:
        yield lab


@pytest.fixture(scope="module")
def shared_lab(tmp_path_factory, busybox):
    """A lab for those tests of a file that leave it as they find it."""
    with open_lab(tmp_path_factory.mktemp("lab") / "p", busybox) as lab:
        yield lab


@pytest.fixture
def free_port():
    """A port of the host nobody listens on, and which the kernel gives to nobody by chance."""
    chance = secrets.SystemRandom()
    while True:
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("", chance.randrange(20_000, 32_000)))
            return listener.getsockname()[1]


@pytest.fixture
def registry(tmp_path, free_port):
    """The address of a registry on this machine, without TLS."""
    with serve_registry(tmp_path, free_port) as address:
        yield address
