"""`x-pyorch.probes`: the daemon asks by itself, of images that have nothing to ask with."""

import pytest

pytestmark = pytest.mark.root

STACK = """
name: asked
x-web: &web {image: busybox, stop_grace_period: 0s}
services:
  web:
    <<: *web
    command: sh -c 'mkdir /w; echo hi >/w/ready; echo is up; exec httpd -f -p 127.0.0.1:8080 -h /w'
    network_mode: none
    x-pyorch:
      probes:
        startup: {log: is up, interval: 100ms, retries: 300}
        readiness: {http: {port: 8080, path: /ready}, interval: 200ms, retries: 2}
        liveness: {tcp: 8080}
  quiet:
    <<: *web
    command: sleep 1000
    x-pyorch: {probes: {liveness: {http: {port: 80}, interval: 100ms, retries: 2}}}
"""


def replicas(pyorch):
    return {one["Service"]: one for one in pyorch.ps("asked").values()}


def test_the_daemon_asks_over_the_network_and_in_the_log_and_tells_what_was_answered(pyorch):
    pyorch.write(STACK)
    done = pyorch.try_("up", "-d", "--wait")
    shown = replicas(pyorch)
    answers = {one["kind"]: one for one in shown["web"]["Probes"]}

    assert done.code == 1
    assert "quiet.1 is unhealthy" in done.err
    assert shown["quiet"]["Health"] == "unhealthy"
    assert shown["quiet"]["Probes"][-1]["output"] == "port 80: Connection refused"
    pyorch.until("asked", lambda state: health(state, "web") == "healthy")
    answers = {one["kind"]: one for one in replicas(pyorch)["web"]["Probes"]}
    assert {kind: (one["code"], one["output"]) for kind, one in answers.items()} == {
        "startup": (0, "is up"),
        "readiness": (0, "HTTP 200 OK"),
        "liveness": (0, "accepted"),
    }

    pyorch.run("exec", "-T", "web", "busybox", "rm", "/w/ready")
    pyorch.until("asked", lambda state: health(state, "web") == "unready")
    last = [one for one in replicas(pyorch)["web"]["Probes"] if one["kind"] == "readiness"][-1]
    assert last["output"].startswith("HTTP 404 Not Found\n")


def health(state, name):
    return next(one["health"] for one in state["replicas"] if one["service"] == name)
