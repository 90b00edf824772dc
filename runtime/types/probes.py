"""Questions a running container is asked, and what came of one."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExecProbe:
    """A command inside it, as its own user; 0 is well."""

    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpProbe:
    """A GET that is answered with 200 to 399. Certificates are not looked at."""

    port: int
    path: str = "/"
    tls: bool = False


@dataclass(frozen=True, slots=True)
class TcpProbe:
    """A connection that is accepted."""

    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcProbe:
    """The health service every gRPC server may have (grpc.health.v1) says ``SERVING``."""

    port: int
    service: str = ""


@dataclass(frozen=True, slots=True)
class LogProbe:
    """A line of this run's output that contains ``text``."""

    text: str


Probe = ExecProbe | HttpProbe | TcpProbe | GrpcProbe | LogProbe


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeOutput:
    """What came of a probe; ``code`` 0 means well, -1 that it ran out of time."""

    code: int
    output: bytes
    """At most 4096 bytes of what it printed, or was answered."""
