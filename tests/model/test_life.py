"""Whatever is done to stacks in whatever order, at rest there is what was asked for."""

import logging
import os

import pytest
import structlog
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.invariants import check_invariants
from tests.model.decks import FakeDeck, RealDeck
from tests.model.life import Life

STEPS = int(os.environ.get("PYORCH_MODEL_STEPS", "400"))
"""How many things are done on a host in memory; a tenth as many on this one."""
A_LIFE = 20
"""Steps of one."""


@pytest.fixture(autouse=True)
def quiet():
    """What the daemon tells of hundreds of lives nobody reads."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)


def lives(steps):
    return settings(
        max_examples=max(steps // A_LIFE, 1),
        stateful_step_count=A_LIFE,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def test_whatever_is_done_in_memory_there_is_what_was_asked_for_at_rest():
    run_state_machine_as_test(lambda: Life(FakeDeck()), settings=lives(STEPS))


@pytest.mark.root
def test_whatever_is_done_to_this_machine_there_is_what_was_asked_for_at_rest(pyorch):
    # A life that failed is not lived again and again in search of a shorter one: each takes long.
    once = settings(lives(STEPS // 20), phases=[Phase.explicit, Phase.reuse, Phase.generate])

    run_state_machine_as_test(lambda: Life(RealDeck(pyorch)), settings=once)

    check_invariants(pyorch)
