"""How the planner says no."""


class PlanError(Exception):
    """No plan can be made from what was asked for.

    ``hint``, where there is one, is the next thing to try.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class CyclicDependencyError(PlanError):
    """Services wait for each other in a circle; ``cycle`` begins and ends with the same one."""

    def __init__(self, cycle: tuple[str, ...]) -> None:
        super().__init__(
            f"services depend on each other in a circle: {' -> '.join(cycle)}",
            hint="remove one `depends_on` of the circle",
        )
        self.cycle = cycle


class ExhaustedError(PlanError):
    """A pool or a network has no address left."""
