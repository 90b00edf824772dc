"""What a stack file says of updates, in the planner's words."""

import pytest

from orchestrator.translate.updates import has_fixed_slots, update_of
from runtime.types import ImageConfig, ImageFacts
from scheduler.desired import FailureAction, UpdateOrder, UpdatePolicy

HEAD = "name: s\nservices:\n  web:\n    image: i\n"
START = "    deploy: {update_config: {order: start-first}}\n"


def image(*volumes):
    return ImageFacts(
        id="sha256:i", references=("i",), config=ImageConfig(volumes=volumes), layers=(), size=0
    )


def policy(load, text, *, back=False, volumes=()):
    return update_of(load(HEAD + text).stack, "web", image(*volumes), back=back)


def test_a_file_that_says_nothing_of_it_is_updated_as_under_compose(load):
    assert policy(load, "") is None
    assert policy(load, "    deploy: {mode: replicated-job, update_config: {}}\n") is None


def test_an_empty_update_config_is_that_of_a_swarm(load):
    found = policy(load, "    deploy: {update_config: {}}\n")

    assert (found.parallelism, found.delay, found.monitor) == (1, 0.0, 5.0)
    assert (found.order, found.failure_action) == (UpdateOrder.STOP_FIRST, FailureAction.PAUSE)


def test_one_word_is_good_behaviour_and_deploy_comes_first(load):
    safe = policy(load, "    x-pyorch: {update: safe}\n")
    both = policy(
        load,
        "    x-pyorch: {update: {mode: safe, drain: 9s}}\n"
        "    deploy: {update_config: {monitor: 1s, parallelism: 0}}\n",
    )

    assert (safe.order, safe.failure_action) == (UpdateOrder.START_FIRST, FailureAction.ROLLBACK)
    assert both == UpdatePolicy(
        parallelism=0,
        monitor=1.0,
        order=UpdateOrder.START_FIRST,
        failure_action=FailureAction.ROLLBACK,
        drain=9.0,
    )


def test_the_way_back_is_the_way_there_unless_it_says_otherwise(load):
    text = "    deploy: {update_config: {order: start-first, failure_action: rollback}"

    same = policy(load, f"{text}}}\n", back=True)
    own = policy(load, f"{text}, rollback_config: {{parallelism: 3}}}}\n", back=True)

    assert (same.order, same.failure_action) == (UpdateOrder.START_FIRST, FailureAction.PAUSE)
    assert (own.order, own.parallelism) == (UpdateOrder.START_FIRST, 3)


@pytest.mark.parametrize(
    "more",
    [
        "    container_name: one\n",
        "    networks: {default: {mac_address: '02:42:ac:11:00:02'}}\n",
        "    volumes: [/data]\n",
        "  other: {image: i, network_mode: 'service:web'}\n",
        "  other: {image: i, volumes_from: [web]}\n",
    ],
)
def test_what_cannot_be_there_twice_is_stopped_first(load, more):
    assert policy(load, START).order is UpdateOrder.START_FIRST
    assert policy(load, START + more).order is UpdateOrder.STOP_FIRST


def test_what_is_in_volumes_of_the_image_is_not_left_behind(load):
    named = START + "    volumes: ['data:/var/lib/db']\nvolumes: {data: {}}\n"

    assert policy(load, START, volumes=("/var/lib/db",)).order is UpdateOrder.STOP_FIRST
    assert policy(load, named, volumes=("/var/lib/db/",)).order is UpdateOrder.START_FIRST


def test_numbers_stay_where_others_go_by_them(load):
    alone = load(HEAD).stack
    shared = load(HEAD + "  other: {image: i, ipc: 'service:web'}\n").stack

    assert not has_fixed_slots(alone, "web")
    assert (has_fixed_slots(shared, "web"), has_fixed_slots(shared, "other")) == (True, True)
