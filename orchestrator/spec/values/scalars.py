"""Single values as the reference writes them where a text is wanted."""

from typing import Any


def go_text(value: Any) -> str:
    """Return a value as text: `true`, `1`, `0.5`, `1e+21`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float(value)
    return "" if value is None else str(value)


def _float(value: float) -> str:
    if value != value or value in (float("inf"), float("-inf")):
        return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    mantissa, mark, exponent = text.partition("e")
    if mark:
        power = int(exponent)
    else:
        digits = mantissa.lstrip("-")
        whole, _, part = digits.partition(".")
        power = len(whole) - 1 if whole.strip("0") else -(len(part) - len(part.lstrip("0"))) - 1
    if value == 0 or -5 < power < 21:
        plain = format(value, "f") if mark else text
        return plain.rstrip("0").rstrip(".") if "." in plain else plain
    shortest = f"{value:.17g}"
    for places in range(17):
        shortest = f"{value:.{places}e}"
        if float(shortest) == value:
            break
    return shortest
