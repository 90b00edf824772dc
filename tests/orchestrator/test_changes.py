"""What differs between two documents is told once, where it is, and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.changes import Change, changes, in_words

SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)


def told(old, new):
    return [str(one) for one in changes(old, new)]


def test_a_value_is_told_with_what_it_was():
    old = {"services": {"web": {"image": "a:1", "tty": False}}}
    new = {"services": {"web": {"image": "a:2", "tty": True}}}

    assert told(old, new) == ["services.web.image: a:1 → a:2", "services.web.tty: false → true"]


def test_what_comes_and_what_goes_is_told():
    old = {"services": {"web": {"image": "a"}, "old": {"image": "b"}}}
    new = {"services": {"web": {"image": "a", "user": "1"}}}

    assert told(old, new) == ["services.web.user: + 1", "services.old.image: - b"]


def test_an_entry_in_the_middle_of_a_list_does_not_change_the_others():
    assert told({"ports": [1, 3]}, {"ports": [1, 2, 3]}) == ["ports: + 2"]
    assert told({"ports": [1, 2, 3]}, {"ports": [1, 3]}) == ["ports: - 2"]
    assert told({"p": [{"t": 1, "x": 1}]}, {"p": [{"t": 1, "x": 2}]}) == ["p.0.x: 1 → 2"]


def test_another_order_is_a_change():
    assert told({"command": ["a", "b"]}, {"command": ["b", "a"]}) == [
        'command: ["a", "b"] → ["b", "a"]'
    ]


def test_a_key_an_older_document_does_not_know_is_no_change():
    assert told({}, {"annotations": {}, "hooks": [], "platform": "", "user": None}) == []


def test_what_is_secret_is_not_shown():
    old = {"secrets": {"key": {"payload": "hush"}}, "configs": {"c": {"payload": "a"}}}
    new = {"secrets": {"key": {"payload": "psst"}}, "configs": {"c": {"payload": "b"}}}

    assert told(old, new) == [
        "secrets.key: its content has changed",
        "configs.c: its content has changed",
    ]
    assert "psst" not in "".join(told({}, new))


def test_long_values_and_many_changes_are_cut():
    found = [Change(path=("a", str(one)), old=one, new="x" * 1000) for one in range(5)]

    assert in_words(found).endswith("; and 2 more")
    assert len(in_words(found)) < 300


@given(DOCUMENTS)
def test_a_document_does_not_differ_from_itself(document):
    assert list(changes(document, document)) == []


@given(DOCUMENTS, DOCUMENTS)
def test_documents_that_differ_both_ways_tell_as_much_both_ways(one, other):
    assert bool(list(changes({"a": one}, {"a": other}))) == bool(
        list(changes({"a": other}, {"a": one}))
    )


def test_nothing_at_all_and_zero_are_different():
    assert told({"replicas": None}, {"replicas": 0}) == ["replicas: + 0"]
    assert told({"a": 0}, {"a": []}) == ["a: 0 → []"]
