"""Shapes that several keys share."""

from orchestrator.spec.grammar.shapes import ListOf, MapOf, Record, Shape, either, scalar

NAME = r"^[a-zA-Z0-9._-]+$"

STRING = scalar("string")
NULL = scalar("null")
DURATION = scalar("string", example="`10s` or `1m30s`")
SIZE = scalar("string", example="`512m` or `2g`")
INTEGER = scalar("integer", "string")
NUMBER = scalar("number", "string")
TRUTH = scalar("boolean", "string")
WHOLE = scalar("integer")
STRINGS = ListOf(STRING)
UNIQUE_STRINGS = ListOf(STRING, unique=True)
STRING_OR_LIST = either(STRING, UNIQUE_STRINGS)
ANY_SCALAR = scalar("string", "number", "boolean", "null")
LIST_OR_MAP = either(MapOf(ANY_SCALAR, keys=".+"), UNIQUE_STRINGS)
DRIVER_OPTS = MapOf(scalar("string", "number"))
COMMAND = either(NULL, STRING, STRINGS)
EXTRA_HOSTS = either(MapOf(either(STRING, STRINGS), keys=".+"), UNIQUE_STRINGS)

ULIMITS = MapOf(
    either(INTEGER, Record({"hard": INTEGER, "soft": INTEGER}, required=("soft", "hard"))),
    keys=r"^[a-z]+$",
    closed=False,
)

MOUNTED_FILES = ListOf(
    either(
        STRING,
        Record(
            {
                "source": STRING,
                "target": STRING,
                "uid": STRING,
                "gid": STRING,
                "mode": NUMBER,
            }
        ),
    )
)

DEVICE_REQUEST: dict[str, Shape] = {
    "capabilities": UNIQUE_STRINGS,
    "count": INTEGER,
    "device_ids": UNIQUE_STRINGS,
    "driver": STRING,
    "options": LIST_OR_MAP,
}
