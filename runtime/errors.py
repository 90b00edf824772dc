"""How a driver says no.

The class says what kind of refusal it is, because callers branch on that; the message
says what a person can do about it. A driver raises and never logs: whoever decides what
happens next also decides whether it is news.
"""

from typing import ClassVar


class DriverError(Exception):
    """A driver could not do what it was asked.

    ``verb`` and ``subject`` name the request, ``cause`` what stood in its way, and
    ``hint``, where there is one, the next thing to try. ``verb`` and ``subject`` read as
    one phrase: ``cannot create network `shop_front`: …`` has the verb ``create network``.
    ``code`` is the class's own, or says more: programs tell refusals apart by it.
    """

    retryable: ClassVar[bool] = False
    code: str = "driver"

    def __init__(
        self,
        verb: str,
        subject: str,
        cause: str,
        *,
        hint: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(verb, subject, cause)
        if code is not None:
            self.code = code
        self.verb = verb
        self.subject = subject
        self.cause = cause
        self.hint = hint

    def __str__(self) -> str:
        return f"cannot {self.verb} `{self.subject}`: {self.cause}"


class NotFoundError(DriverError):
    """The subject does not exist."""

    code = "not_found"


class AlreadyExistsError(DriverError):
    """The subject exists already, exactly as asked."""

    code = "already_exists"


class ConflictError(DriverError):
    """The subject is held by something else; waiting will not release it."""

    code = "conflict"


class InvalidError(DriverError):
    """What was handed in is broken or hostile: an archive, a layer, a digest, a manifest."""

    code = "invalid"


class UnsupportedError(DriverError):
    """This host cannot do it: a kernel feature, a program or a privilege is missing."""

    code = "unsupported"


class UnavailableError(DriverError):
    """A dependency did not answer. The same request may succeed later."""

    retryable = True
    code = "unavailable"
