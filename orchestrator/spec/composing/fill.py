"""Variables put into values, and texts turned into the numbers and truths they stand for."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.spec.reading.yaml import Tagged
from orchestrator.spec.tree import Map, Origin, Path, Seq, Troubles
from orchestrator.spec.values.interpolate import InterpolationError, interpolate

_WHOLE = re.compile(r"[-+]?[0-9]+")
_TRUE = ("true", "y", "yes", "on")
_FALSE = ("false", "n", "no", "off")


def whole(text: str) -> int:
    """Return the integer a text stands for. Raises ValueError."""
    if not _WHOLE.fullmatch(text) or len(text) > 20:
        raise ValueError(f"`{text[:40]}` is no integer")
    return int(text)


def fraction(text: str) -> float:
    """Return the number a text stands for. Raises ValueError."""
    try:
        return float(text if "_" not in text else "")
    except ValueError:
        raise ValueError(f"`{text[:40]}` is no number") from None


def truth(text: str) -> bool:
    """Return the boolean a text stands for. Raises ValueError."""
    low = text.lower()
    if low not in _TRUE and low not in _FALSE:
        raise ValueError(f"`{text[:40]}` is neither true nor false")
    return low in _TRUE


Cast = Callable[[str], Any]
_EXTERNAL: dict[str, Any] = {"*": {"external": truth}}
_UPDATE: dict[str, Any] = {"parallelism": whole, "max_failure_ratio": fraction}
_LIMIT: dict[str, Any] = {"soft": whole, "hard": whole, "": whole}

CASTS: dict[str, Any] = {
    "services": {
        "*": {
            "cpu_count": whole,
            "cpu_percent": fraction,
            "cpu_period": whole,
            "cpu_quota": whole,
            "cpu_rt_period": whole,
            "cpu_rt_runtime": whole,
            "cpu_shares": whole,
            "cpus": fraction,
            "init": truth,
            "depends_on": {"*": {"required": truth, "restart": truth}},
            "deploy": {
                "replicas": whole,
                "update_config": _UPDATE,
                "rollback_config": _UPDATE,
                "restart_policy": {"max_attempts": whole},
                "placement": {"max_replicas_per_node": whole},
            },
            "healthcheck": {"retries": whole, "disable": truth},
            "oom_kill_disable": truth,
            "oom_score_adj": whole,
            "pids_limit": whole,
            "ports": {"*": {"target": whole}},
            "privileged": truth,
            "read_only": truth,
            "scale": whole,
            "stdin_open": truth,
            "tty": truth,
            "ulimits": {"*": _LIMIT},
            "volumes": {"*": {"read_only": truth, "volume": {"nocopy": truth}}},
        }
    },
    "networks": {
        "*": {
            "external": truth,
            "internal": truth,
            "attachable": truth,
            "enable_ipv4": truth,
            "enable_ipv6": truth,
        }
    },
    "volumes": _EXTERNAL,
    "secrets": _EXTERNAL,
    "configs": _EXTERNAL,
}
"""Where a text is read as something else; ``""`` is the entry itself where it is no mapping."""


class Filler:
    """Fills one document after the other, with the same variables."""

    def __init__(
        self,
        variables: Mapping[str, str],
        troubles: Troubles,
        *,
        missing: Callable[[str, Origin | None, Path], None],
        odd_truth: Callable[[Origin | None, str], None],
    ) -> None:
        self._variables = variables
        self._troubles = troubles
        self._missing = missing
        self._odd_truth = odd_truth

    def fill(self, tree: Any, path: Path = ()) -> Any:
        """Return ``tree`` filled; what cannot be is noted and left as it is."""
        casts: Any = CASTS
        for key in path:
            casts = _below(casts, key)
        return self._value(tree, casts, path, None)[0]

    def _value(
        self, value: Any, casts: Any, path: Path, mark: Origin | None
    ) -> tuple[Any, Origin | None]:
        if isinstance(value, str):
            return self._text(value, casts, path, mark)
        if isinstance(value, Map):
            for key, entry in value.items():
                if isinstance(entry, str | dict | list | Tagged):
                    at = value.marks.get(key)
                    filled, now = self._value(entry, _below(casts, key), (*path, key), at)
                    value[key] = filled
                    if now is not at and now is not None:
                        value.marks[key] = now
        elif isinstance(value, Seq):
            for number, (entry, at) in enumerate(list(value.entries())):
                if isinstance(entry, str | dict | list | Tagged):
                    below = (*path, str(number))
                    value[number], value.marks[number] = self._value(
                        entry, _below(casts, "*"), below, at
                    )
        elif isinstance(value, Tagged):
            filled, mark = self._value(value.value, casts, path, mark)
            return Tagged(value.tag, filled), mark
        return value, mark

    def _text(
        self, value: str, casts: Any, path: Path, mark: Origin | None
    ) -> tuple[Any, Origin | None]:
        filled: Any = value
        if "$" in value:
            try:
                filled = interpolate(
                    value,
                    self._variables,
                    missing=lambda name: self._missing(name, mark, path),
                )
            except InterpolationError as error:
                self._troubles.add(None, path, str(error), mark=mark)
                return value, mark
            if mark is not None:
                mark = mark.filled(value, self._variables)
        cast = casts.get("") if isinstance(casts, dict) else casts
        if cast is not None:
            try:
                text, filled = filled, cast(filled)
            except ValueError as error:
                self._troubles.add(None, path, str(error), mark=mark, hint=_cast_hint(value))
                return value, mark
            if cast is truth and text.lower() not in ("true", "false"):
                self._odd_truth(mark, text)
        return filled, mark


def _below(casts: Any, key: str) -> Any:
    if not isinstance(casts, dict):
        return None
    return casts.get(key, casts.get("*"))


def _cast_hint(value: str) -> str | None:
    return f"it is what `{value[:60]}` comes to" if "$" in value else None
