"""What a service asks for of the host's devices → the runtime's words."""

from orchestrator.spec.models import Service
from orchestrator.spec.values.confinement import CDI, GPU_KINDS, OF_CDI
from runtime.types import Device


def devices_of(service: Service) -> tuple[Device, ...]:
    """Return the devices a service names by their paths."""
    return tuple(
        Device(
            source=device.source,
            target="" if device.target == device.source else device.target,
            permissions=device.permissions or "rwm",
        )
        for device in service.devices
        if not CDI.fullmatch(device.source)
    )


def cdi_names(service: Service) -> tuple[str, ...]:
    """Return the devices a service asks for by name, or by what they are."""
    found = [device.source for device in service.devices if CDI.fullmatch(device.source)]
    for _, request in service.device_requests():
        if request.driver == OF_CDI:
            found += request.device_ids
            continue
        kind = GPU_KINDS.get(request.driver, "")
        if request.device_ids:
            found += [f"{kind}={one}" for one in request.device_ids]
        elif request.count > 0:
            found += [f"{kind}={number}" for number in range(request.count)]
        else:
            found.append(f"{kind}=all")
    return tuple(dict.fromkeys(found))
