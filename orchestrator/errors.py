"""What a person may see go wrong. Standard library only: the thin client imports it."""


class Paint:
    """How words of a report are set off; plain unless it is for a terminal."""

    def __init__(self, *, colours: bool = False) -> None:
        self._colours = colours

    def error(self, text: str) -> str:
        """Return ``text`` as what is wrong."""
        return f"\x1b[1;31m{text}\x1b[0m" if self._colours else text

    def hint(self, text: str) -> str:
        """Return ``text`` as what helps."""
        return f"\x1b[1;36m{text}\x1b[0m" if self._colours else text


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

    def report(self, paint: Paint) -> str:
        """Return what a person reads on standard error."""
        lines = [f"{paint.error('error:')} {line}" for line in str(self).splitlines()]
        if self.hint:
            lines.append(f"{paint.hint('hint:')} {self.hint}")
        return "".join(f"{line}\n" for line in lines)


class UnwritableError(PyorchError):
    """What is to be remembered cannot be written down now; later it may be."""

    retryable = True
