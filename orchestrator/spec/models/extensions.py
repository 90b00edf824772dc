"""What only pyorch understands: ``x-pyorch``, at the top and in services. Strict both ways."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from orchestrator.spec.models.base import Duration, Size, Whole
from orchestrator.spec.values.addresses import is_web_address
from scheduler import check_schedule

MOST_LOGS = 4 * 1024**3
"""Bytes of logs a stack keeps where its file does not say."""


class Extension(BaseModel):
    """Closed to the last key: a spelling mistake here is noticed by nobody else."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    WORDS: ClassVar[tuple[str, ...]] = ()
    """What may stand for the mapping as a whole."""


class BackoffExtension(Extension):
    """``services.*.x-pyorch.backoff``."""

    delay: Duration = Field(
        default=0.1, description="The pause before the second restart in a row; it doubles."
    )
    max_delay: Duration = Field(default=60.0, description="What no pause is longer than.")
    reset_after: Duration = Field(
        default=10.0, description="How long a run must last for restarts to be counted anew."
    )


class HttpExtension(Extension):
    """``services.*.x-pyorch.probes.*.http``."""

    port: int = Field(ge=1, le=65535, description="The port in the container.")
    path: str = Field(
        default="/", pattern=r"^/[!-~]*$", max_length=2000, description="What is asked for."
    )
    tls: bool = Field(default=False, description="Over TLS; certificates are not looked at.")


class GrpcExtension(Extension):
    """``services.*.x-pyorch.probes.*.grpc``."""

    port: int = Field(ge=1, le=65535, description="The port in the container.")
    service: str = Field(
        default="",
        pattern=r"^[!-~]*$",
        max_length=127,
        description="The service that is asked about; the server as a whole without.",
    )


class ProbeExtension(Extension):
    """``services.*.x-pyorch.probes.*``: one question, and how patiently it is asked."""

    http: HttpExtension | None = Field(
        default=None, description="A GET that is answered with 200 to 399."
    )
    tcp: int | None = Field(
        default=None, ge=1, le=65535, description="A port in the container that takes connections."
    )
    grpc: GrpcExtension | None = Field(
        default=None, description="The health service of gRPC says that it serves."
    )
    log: str = Field(default="", description="Some words that a line of this run's output has.")
    exec: tuple[str, ...] = Field(default=(), description="A command in it that ends with 0.")
    interval: Duration = Field(default=10.0, ge=0.001, description="Time between probes.")
    timeout: Duration = Field(default=5.0, ge=0.001, description="How long one may take.")
    retries: int = Field(default=3, ge=1, description="Failures in a row that count as one.")
    start_period: Duration = Field(default=0.0, ge=0, description="When failures do not count yet.")
    start_interval: Duration = Field(
        default=0.0,
        ge=0,
        description="Time between probes till then; without, quick and ever slower.",
    )

    @model_validator(mode="after")
    def _asks_one_thing(self) -> "ProbeExtension":
        given = (self.http, self.tcp, self.grpc, self.log, self.exec)
        if sum(bool(one) for one in given) != 1:
            raise ValueError("a probe is one of http, tcp, grpc, log and exec")
        return self


class CarriedExtension(Extension):
    """``configs.*.x-pyorch`` and ``secrets.*.x-pyorch``: what becomes of a change of content."""

    on_change: Literal["recreate", "restart", "signal", "exec", "none"] = Field(
        default="recreate",
        description="What is done with containers that have it, once its content is another.",
    )
    signal: str = Field(default="SIGHUP", description="What is sent to the main process.")
    exec: tuple[str, ...] = Field(default=(), description="The command that is run in them.")
    timeout: Duration = Field(
        default=10.0, ge=0.001, le=600, description="How long the command may take."
    )


class Ceiling(Extension):
    """``x-pyorch.resources``."""

    cpus: float = Field(default=0, allow_inf_nan=False, description="Cores they may use together.")
    memory: Size = Field(default=0, description="Memory they may have together.")
    pids: Whole = Field(default=0, description="Processes they may have together.")


class RatesExtension(Extension):
    """``services.*.x-pyorch.rates``: bytes a second, on each network of each replica."""

    receive: Size = Field(default=0, ge=0, description="What a replica may receive in a second.")
    send: Size = Field(default=0, ge=0, description="What a replica may send in a second.")


class JobExtension(Extension):
    """``services.*.x-pyorch.job``: how the runs of a service that ends go."""

    timeout: Duration = Field(
        default=0.0,
        ge=0,
        description="How long a run may take before it is ended as a failure; 0: any time.",
    )
    max_concurrent: Whole = Field(
        default=0, ge=0, description="How many of its replicas run at one time; 0: all of them."
    )


class UpdateExtension(Extension):
    """``services.*.x-pyorch.update``; the word `safe` alone is its mode."""

    WORDS = ("safe",)

    mode: Literal["", "safe"] = Field(
        default="",
        description="`safe`: the new one is ready before the old one goes, or all is undone.",
    )
    drain: Duration = Field(
        default=3.0,
        ge=0,
        description="How long a replica that goes gets no new connections before it is stopped.",
    )
    deadline: Duration = Field(
        default=300.0, ge=0, description="How long a new replica may take to become ready."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_word(cls, given: object) -> object:
        return {"mode": given} if given in cls.WORDS else given


class ScheduleExtension(Extension):
    """``services.*.x-pyorch.schedule``: when a service runs that does so by the clock."""

    cron: str = Field(
        description="Minute, hour, day, month and weekday, as in crontab(5); or `@daily`."
    )
    timezone: str = Field(default="UTC", description="Whose clock it is about: `Europe/Berlin`.")
    overlap: Literal["skip", "queue", "replace"] = Field(
        default="skip", description="What happens when the run before still goes on."
    )
    catch_up: Literal["none", "once", "all"] = Field(
        default="once",
        description="Which runs are made up for that were due while no daemon ran.",
    )

    @model_validator(mode="after")
    def _comes(self) -> "ScheduleExtension":
        check_schedule(self.cron, self.timezone)
        return self


class ServiceExtension(Extension):
    """``services.*.x-pyorch``."""

    dns: Literal["ready", "all"] = Field(
        default="ready",
        description="Which replicas answer to its name: those that are ready, or all.",
    )

    backoff: BackoffExtension = Field(
        default=BackoffExtension(), description="The pauses before restarts in a row."
    )
    probes: Mapping[Literal["startup", "readiness", "liveness"], ProbeExtension] = Field(
        default={},
        description="Questions the daemon itself asks: has it started, is it ready, is it well.",
    )
    on_unhealthy: Literal["restart", "recreate", "none"] = Field(
        default="restart",
        description="What becomes of an unhealthy replica, if its restart policy is not `no`.",
    )
    job: JobExtension = Field(
        default=JobExtension(), description="How the runs of a service that ends go."
    )
    update: UpdateExtension = Field(
        default=UpdateExtension(), description="How replicas are replaced, besides `deploy`."
    )
    schedule: ScheduleExtension | None = Field(
        default=None, description="When it runs, each time to its end; always without."
    )
    quarantine: int | None = Field(
        default=None, ge=1, description="Restarts in a row after which it is left alone."
    )
    heal_limit: Whole = Field(
        default=20,
        description="Restarts in a row after which who is unhealthy is left alone; 0: no limit.",
    )
    rates: RatesExtension = Field(
        default=RatesExtension(), description="What goes over the network, at most."
    )
    priority: Whole = Field(
        default=0,
        description="Who is started first where reservations do not all fit: the higher one.",
    )


Notable = Literal["crash_loop", "given_up", "heal", "rollback", "disk"]


class NotifyExtension(Extension):
    """``x-pyorch.notify.*``: somebody who is told of what happens to the stack."""

    webhook: str = Field(
        default="", max_length=2000, description="A URL the fact is sent to: a POST of JSON."
    )
    command: tuple[str, ...] = Field(
        default=(),
        description="A program and its words, run as the stack's owner, the fact on its input.",
    )
    on: tuple[Notable, ...] = Field(
        default=("crash_loop", "given_up", "heal", "rollback", "disk"),
        min_length=1,
        description="What it is told of.",
    )
    timeout: Duration = Field(
        default=10.0, ge=0.001, le=600, description="How long telling it once may take."
    )

    @field_validator("webhook")
    @classmethod
    def _is_url(cls, text: str) -> str:
        if text and not is_web_address(text):
            raise ValueError("it is no URL: write https://HOST/PATH or http://HOST/PATH")
        return text

    @field_validator("command")
    @classmethod
    def _is_program(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        if words and not words[0].startswith("/"):
            raise ValueError("it begins with no absolute path: write where the program is")
        if any("\0" in word for word in words):
            raise ValueError("a word of it holds a null byte")
        return words


class StackExtension(Extension):
    """Top-level ``x-pyorch``."""

    logs: Size = Field(
        default=MOST_LOGS,
        ge=0,
        description="What the logs of all replicas may take on the disk together; 0: no cap.",
    )
    notify: tuple[NotifyExtension, ...] = Field(
        default=(), max_length=16, description="Who is told of what happens to the stack."
    )
    resources: Ceiling = Field(
        default=Ceiling(), description="What all containers of the stack may use together."
    )
