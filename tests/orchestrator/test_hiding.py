"""What pyorch quotes of processes holds no secrets."""

import pytest

from orchestrator.hiding import blacken

KEY = b"-----BEGIN KEY-----\nc2VjcmV0\nab\n-----END KEY-----\n"


@pytest.mark.parametrize(
    ("said", "secrets", "expected"),
    [
        (b"it is hunter2, no: hunter2", [b"hunter2\n"], b"it is ***, no: ***"),
        (b"long and longer", [b"long", b"longer"], b"*** and ***"),
        (b"before\n" + KEY + b"after", [KEY], b"before\n***\nafter"),
        (b"found c2VjcmV0 and ab", [KEY], b"found *** and ab"),
        (b"nothing", [b"", b"\n"], b"nothing"),
        (b"\xff\xfe hunter2", [b"hunter2"], b"\xff\xfe ***"),
    ],
    ids=["as often as it stands there", "the longest first", "all of it", "a line of it", "none",
         "beside what is no text"],
)  # fmt: skip
def test_a_secret_is_hidden(said, secrets, expected):
    assert blacken(said, secrets) == expected
