"""Healthchecks and probes of a service: how patiently it is asked, and what. Pure."""

from collections.abc import Iterator, Mapping

from orchestrator.spec.models import ProbeExtension, Service
from runtime.types import (
    ExecProbe,
    GrpcProbe,
    HttpProbe,
    ImageFacts,
    LogProbe,
    Probe,
    TcpProbe,
)
from scheduler.desired import CheckKind, Healthcheck

Check = tuple[Healthcheck, Probe]


def checks_of(service: Service, image: ImageFacts | None) -> Mapping[CheckKind, Check]:
    """Return every check of a service; what its file does not say its image does."""
    return dict(_checks(service, image))


def _checks(service: Service, image: ImageFacts | None) -> Iterator[tuple[CheckKind, Check]]:
    compose = _healthcheck(service, image)
    if compose is not None:
        yield CheckKind.HEALTH, compose
    for name, given in service.x_pyorch.probes.items():
        timing = Healthcheck(
            interval=given.interval,
            timeout=given.timeout,
            retries=given.retries,
            start_period=given.start_period,
            start_interval=given.start_interval or None,
        )
        yield CheckKind(name), (timing, _probe(given))


def _probe(given: ProbeExtension) -> Probe:
    if given.http is not None:
        return HttpProbe(port=given.http.port, path=given.http.path, tls=given.http.tls)
    if given.grpc is not None:
        return GrpcProbe(port=given.grpc.port, service=given.grpc.service)
    if given.tcp is not None:
        return TcpProbe(given.tcp)
    if given.log:
        return LogProbe(given.log)
    return ExecProbe(given.exec)


def _healthcheck(service: Service, image: ImageFacts | None) -> Check | None:
    own, theirs = service.healthcheck, image.config.healthcheck if image else None
    if own is not None and (own.disable or (own.test and own.test[0] == "NONE")):
        return None
    test = own.test if own is not None and own.test else theirs.test if theirs else None
    if not test or test[0] == "NONE":
        return None
    shell = image.config.shell if image else ("/bin/sh", "-c")
    argv = (*shell, *test[1:]) if test[0] == "CMD-SHELL" else test[1:]

    def setting(name: str, default: float) -> float:
        for source in (own, theirs):
            value = getattr(source, name, None)
            if value:
                return float(value)
        return default

    timing = Healthcheck(
        interval=setting("interval", 30.0),
        timeout=setting("timeout", 30.0),
        retries=int(setting("retries", 3)),
        start_period=setting("start_period", 0.0),
        start_interval=setting("start_interval", 0.0) or None,
    )
    return timing, ExecProbe(tuple(argv))
