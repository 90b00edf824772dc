"""What a YAML scalar means: the rules of the parser Compose files were written for. Pure.

They are those of YAML 1.2, with the older octal (`0440`), digits grouped by `_`, and integers
of at most 64 bits. So `no`, `on`, `22:22` and `2024-01-31` are text.
"""

import base64
import binascii
import math
import re

Scalar = str | int | float | bool | None

STANDARD = "tag:yaml.org,2002:"
TAGS = ("str", "int", "float", "bool", "null", "binary")
"""Standard tags a scalar may carry, written `!!str` in a file."""

_WORDS: dict[str, Scalar] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
    **dict.fromkeys(("-0", "-0.0"), -0.0),
}
_BEGINS_A_NUMBER = frozenset("+-.0123456789")
_INTEGER = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[oO]?([0-7]+)|0[bB]([01]+)|(0|[1-9][0-9]*))")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_LONGEST_INTEGER = 80


def plain(text: str) -> Scalar:
    """Return what a scalar without quotes and without a tag stands for."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _BEGINS_A_NUMBER:
        return text
    digits = text if text[0] == "." else text.replace("_", "")
    number = _integer(digits)
    if number is not None:
        return number
    if _FLOAT.fullmatch(digits):
        value = float(digits)
        return value if math.isfinite(value) else text
    return text


def tagged(tag: str, text: str) -> Scalar:
    """Return ``text`` as the standard ``tag`` wants it. Raises ValueError where it is none."""
    if tag == "str":
        return text
    if tag == "binary":
        return _binary(text)
    value = plain(text)
    if tag == "float" and type(value) is int:
        return float(value)
    if type(value).__name__ != {"null": "NoneType"}.get(tag, tag):
        raise ValueError(f"`{text}` is no `!!{tag}`")
    return value


def _integer(text: str) -> int | None:
    found = _INTEGER.fullmatch(text) if len(text) <= _LONGEST_INTEGER else None
    if not found:
        return None
    sign, hexadecimal, octal, binary, decimal = found.groups()
    if hexadecimal:
        number = int(hexadecimal, 16)
    elif octal:
        number = int(octal, 8)
    else:
        number = int(binary, 2) if binary else int(decimal)
    if sign == "-":
        number = -number
    return number if -(2**63) <= number < 2**64 else None


def _binary(text: str) -> str:
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode()
    except binascii.Error:
        raise ValueError("not base64, as `!!binary` must be") from None
    except UnicodeDecodeError:
        raise ValueError("a `!!binary` value must be UTF-8 text") from None
