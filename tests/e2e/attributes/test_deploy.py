"""`deploy`: modes, labels and placement of services, as their containers show them."""

import socket

import pytest

pytestmark = pytest.mark.root

GLOBAL = """
name: dep
services:
  every:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    labels: {com.example.of: container}
    deploy:
      mode: global
      replicas: 3
      labels: {com.example.of: service, com.example.team: web}
"""


def labels(entry):
    """Return the labels of a line of `ps --format json`."""
    return dict(one.partition("=")[::2] for one in entry["Labels"].split(","))


@pytest.mark.attribute("services.*.deploy.mode", "services.*.deploy.labels")
def test_mode_global_is_one_replica_and_deploy_labels_are_the_services_own(pyorch):
    pyorch.write(GLOBAL)

    done = pyorch.try_("up", "-d", "--wait")

    found = pyorch.ps("dep")
    assert done.code == 0
    assert done.err.count("`mode: global` is one replica on every machine") == 1
    assert list(found) == ["dep-every-1"]
    own = labels(found["dep-every-1"])
    assert (own["com.example.of"], own.get("com.example.team")) == ("container", None)
    assert own["com.docker.compose.service"] == "every"
    (service,) = pyorch.client.get("/v1/stacks/dep", {"labels": "1"})["services"]
    assert service["mode"] == "global"
    assert service["labels"] == {"com.example.of": "service", "com.example.team": "web"}


def test_changed_deploy_labels_make_no_other_container(pyorch):
    pyorch.write(GLOBAL)
    pyorch.run("up", "-d", "--wait")
    before = pyorch.main_process("dep/every.1")

    pyorch.write(GLOBAL.replace("team: web", "team: data"))
    pyorch.run("up", "-d", "--wait")

    (service,) = pyorch.client.get("/v1/stacks/dep", {"labels": "1"})["services"]
    assert service["labels"]["com.example.team"] == "data"
    assert pyorch.main_process("dep/every.1") == before


JOB = """
name: job
services:
  once:
    image: busybox
    command: [sh, -c, "echo x >>/seen/runs; {then}"]
    volumes: ['seen:/seen']
    deploy: {{mode: {mode}, replicas: 2{policy}}}
  look: {{image: busybox, command: sleep 1000, stop_grace_period: 0s, volumes: ['seen:/seen']}}
volumes: {{seen: {{}}}}
"""


def runs(pyorch):
    return len(pyorch.run("-p", "job", "exec", "-T", "look", "cat", "/seen/runs").split())


@pytest.mark.attribute("services.*.deploy.mode")
@pytest.mark.parametrize(("mode", "replicas"), [("replicated-job", 2), ("global-job", 1)])
def test_a_job_runs_to_its_end_once_and_no_further_up_runs_it_again(pyorch, mode, replicas):
    pyorch.write(JOB.format(mode=mode, then="true", policy=""))

    pyorch.run("up", "-d", "--wait")
    pyorch.run("up", "-d", "--wait")

    ended = [one for one in pyorch.ps("job").values() if one["Service"] == "once"]
    assert [(one["State"], one["ExitCode"]) for one in ended] == [("exited", 0)] * replicas
    assert runs(pyorch) == replicas


def test_a_job_that_fails_is_tried_again_unless_its_policy_says_otherwise(pyorch):
    # The second line of the file is written by the second try: that one succeeds.
    twice = "test $(wc -l </seen/runs) -gt 1"
    text = JOB.format(mode="global-job", then=twice, policy="")
    pyorch.write(text)
    pyorch.run("up", "-d", "--wait")
    assert runs(pyorch) == 2
    assert pyorch.ps("job")["job-once-1"]["ExitCode"] == 0
    pyorch.run("down", "-v", "-t", "0")

    never = ", restart_policy: {condition: none}"
    pyorch.write(JOB.format(mode="global-job", then="false", policy=never))
    done = pyorch.try_("up", "-d", "--wait")

    assert done.code == 1
    assert runs(pyorch) == 1


LONG = """
name: job
services:
  once:
    image: busybox
    command: [sh, -c, "echo x >>/seen/runs; test $(wc -l </seen/runs) -gt 1 || sleep 1000"]
    volumes: ['seen:/seen']
    stop_grace_period: 0s
    restart: on-failure
    x-pyorch: {job: {timeout: 2s}}
  look: {image: busybox, command: sleep 1000, stop_grace_period: 0s, volumes: ['seen:/seen']}
volumes: {seen: {}}
"""


@pytest.mark.attribute("services.*.x-pyorch.job.timeout")
def test_a_run_that_takes_too_long_is_ended_as_a_failure_and_tried_again_as_one(pyorch):
    pyorch.write(LONG)
    pyorch.run("up", "-d", "--wait")

    assert runs(pyorch) == 2
    assert pyorch.ps("job")["job-once-1"]["ExitCode"] == 0
    told = pyorch.run("-p", "job", "events")
    assert "ran for more than 2 s" in told
    pyorch.run("down", "-v", "-t", "0")

    pyorch.write(LONG.replace("on-failure", "'no'"))
    done = pyorch.try_("up", "-d", "--wait")

    assert done.code == 1
    assert "once.1 ran too long and exited with 137" in done.err
    assert runs(pyorch) == 1


CROWD = """
name: job
services:
  once:
    image: busybox
    command:
      - sh
      - -c
      - |
        mkdir /seen/$$HOSTNAME
        ls -d /seen/*/ | wc -l >>/seen/most
        sleep 0.2
        rmdir /seen/$$HOSTNAME
    volumes: ['seen:/seen']
    deploy: {mode: replicated-job, replicas: 5}
    x-pyorch: {job: {max_concurrent: 2}}
  look: {image: busybox, command: sleep 1000, stop_grace_period: 0s, volumes: ['seen:/seen']}
volumes: {seen: {}}
"""


@pytest.mark.attribute("services.*.x-pyorch.job.max_concurrent")
def test_no_more_replicas_of_a_job_run_at_one_time_than_may_and_all_come_to_it(pyorch):
    pyorch.write(CROWD)
    pyorch.run("up", "-d", "--wait")

    most = pyorch.run("-p", "job", "exec", "-T", "look", "cat", "/seen/most").split()
    assert len(most) == 5
    assert set(most) <= {"1", "2"}


PLACED = """
name: pla
x-web: &web {{image: busybox, command: sleep 1000, stop_grace_period: 0s}}
services:
  here:
    <<: *web
    deploy:
      placement:
        constraints: [node.hostname=={host}, node.labels.disk == ssd, node.role == manager]
        preferences: [{{spread: node.labels.zone}}]
  elsewhere: {{<<: *web, deploy: {{placement: {{constraints: ['node.labels.disk != ssd']}}}}}}
"""


@pytest.mark.attribute(
    "services.*.deploy.placement.constraints", "services.*.deploy.placement.preferences"
)
def test_placement_constraints_keep_replicas_from_where_they_are_not_to_run(bare, busybox):
    bare.environment["PYORCH_LABELS"] = "disk=ssd,zone=a"
    bare.run("image", "import", str(busybox), "busybox")
    bare.write(PLACED.format(host=socket.gethostname()))

    done = bare.try_("up", "-d", "--wait")

    assert done.code == 1
    assert "elsewhere.1: is to run where `node.labels.disk != ssd`" in done.err
    assert sorted(bare.ps("pla")) == ["pla-here-1"]


@pytest.mark.attribute("services.*.deploy.placement.max_replicas_per_node")
def test_max_replicas_per_node_holds_the_replicas_beyond_it(pyorch):
    few = "{image: busybox, command: sleep 1000, stop_grace_period: 0s, scale: 3"
    place = "deploy: {placement: {max_replicas_per_node: 2}}}"
    pyorch.write(f"name: few\nservices:\n  web: {few}, {place}\n")

    done = pyorch.try_("up", "-d", "--wait")

    assert done.code == 1
    assert "web.3: there are to be 2 replicas on a machine at most" in done.err
    assert sorted(pyorch.ps("few")) == ["few-web-1", "few-web-2"]


@pytest.mark.attribute("services.*.deploy.resources.reservations.generic_resources")
def test_generic_resources_are_set_aside_of_what_the_machine_is_said_to_have(bare, busybox):
    bare.environment["PYORCH_RESOURCES"] = "gpu=3"
    bare.run("image", "import", str(busybox), "busybox")
    wanted = "generic_resources: [{discrete_resource_spec: {kind: gpu, value: 2}}]"
    web = "{image: busybox, command: sleep 1000, stop_grace_period: 0s, deploy: {resources: "
    text = f"name: gen\nservices:\n  web: {web}{{reservations: {{{wanted}}}}}}}}}\n"
    bare.write(text)
    bare.run("up", "-d", "--wait")
    bare.write(text.replace("gen\n", "more\n"), "more.yml")

    held = bare.try_("-f", "more.yml", "up", "-d", "--wait")
    bare.run("-p", "gen", "down")
    bare.run("-f", "more.yml", "up", "-d", "--wait")

    assert held.code == 1
    assert "web.1: needs 2 of `gpu`: 1 of 3 free, 2 reserved" in held.err
    assert sorted(bare.ps("more")) == ["more-web-1"]


@pytest.mark.attribute("services.*.deploy.endpoint_mode")
def test_endpoint_mode_dnsrr_has_a_name_answer_with_every_replicas_own_address(pyorch):
    web = "{image: busybox, command: sleep 1000, stop_grace_period: 0s"
    deploy = "deploy: {replicas: 2, endpoint_mode: dnsrr}}"
    pyorch.write(f"name: rr\nservices:\n  web: {web}, {deploy}\n")

    done = pyorch.try_("up", "-d", "--wait")

    assert (done.code, "endpoint_mode" in done.err) == (0, False)
    addresses = {one["Addresses"]["rr_default"] for one in pyorch.ps("rr").values()}
    answer = pyorch.run("-p", "rr", "exec", "-T", "web", "nslookup", "web")
    assert len(addresses) == 2
    assert all(address in answer for address in addresses)
