"""The unit of the daemon, as systemd would read it."""

import sys

import pytest

from orchestrator import systemd
from orchestrator.settings import Settings


def lines(environ):
    return systemd.unit_text(Settings.from_environ(environ)).splitlines()


def test_an_installed_daemon_lives_where_the_one_who_installs_it_does():
    given = {
        "PYORCH_INSTANCE": "ci",
        "PYORCH_DATA": "/srv/pyorch",
        "PYORCH_RUN": "/run/ci",
        "PYORCH_POOLS": "10.1.0.0/16,10.2.0.0/16",
        "PYORCH_PUBLISH": "localhost",
    }

    found = lines(given)

    assert [line for line in found if line.startswith("Environment=")] == [
        f'Environment="{name}={value}"' for name, value in given.items()
    ]
    assert f'ExecStart="{sys.executable}" -m orchestrator.daemon' in found


def test_the_usual_settings_are_not_written_down():
    assert not [line for line in lines({}) if line.startswith("Environment=")]


def test_a_value_is_read_by_systemd_as_it_is():
    odd = 'a b"c%h\\d\nExecStart=/bin/evil'

    found = lines({"PYORCH_DATA": odd})

    assert 'Environment="PYORCH_DATA=a b\\"c%%h\\\\d\\nExecStart=/bin/evil"' in found


def test_every_instance_has_a_unit_of_its_own():
    names = [systemd.unit_of(Settings(name=name)) for name in ("main", "ci")]

    assert names == ["pyorchd.service", "pyorchd-ci.service"]


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"PYORCH_INSTANCE": "ci"},
        {"PYORCH_PUBLISH": "localhost", "PYORCH_POOLS": "10.1.0.0/16"},
        {"PYORCH_LABELS": "disk=ssd,zone=a=b", "PYORCH_RESOURCES": "gpu=2"},
        {"PYORCH_INSTANCE": "ci", "PYORCH_DATA": "/var/lib/pyorch", "PYORCH_RUN": "/run/pyorch"},
    ],
)
def test_settings_come_back_from_the_environment_they_make(environ):
    settings = Settings.from_environ(environ)

    assert Settings.from_environ(settings.environ()) == settings
