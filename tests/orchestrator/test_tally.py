"""What is counted while the daemon lives."""

from orchestrator.tally import BOUNDS, Tally


def test_passes_are_sorted_by_how_long_they_took_and_a_bound_is_part_of_its_class():
    tally = Tally()
    for took in (0.0, 0.001, 0.0011, 60.0, 61.0):
        tally.note_pass(took)

    found = dict(tally.up_to())

    assert found["0.001"] == 2
    assert found["0.0025"] == 3
    assert found["60.0"] == 4
    assert found["+Inf"] == 5
    assert len(found) == len(BOUNDS) + 1
    assert tally.took == sum((0.0, 0.001, 0.0011, 60.0, 61.0))


def test_facts_are_counted_by_name():
    tally = Tally()
    for name in ("a", "b", "a"):
        tally.note_fact(name)

    assert tally.facts == {"a": 2, "b": 1}
