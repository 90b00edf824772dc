"""What a person may see go wrong. Standard library only: the thin client imports it."""


class PyorchError(Exception):
    """Something a person asked for cannot be done; the message says what and why.

    ``hint`` is the next thing to try, ``code`` a stable word for programs, ``exit_code``
    what a command that ends with it returns.
    """

    def __init__(
        self, message: str, *, hint: str | None = None, exit_code: int = 1, code: str = "failed"
    ) -> None:
        super().__init__(message)
        self.hint = hint
        self.exit_code = exit_code
        self.code = code
