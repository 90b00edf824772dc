"""A service → the reference of the image it runs from, as the runtime knows it."""

from orchestrator.spec.models import StackFile
from runtime.image.reference import for_platform


def reference_of(model: StackFile, name: str) -> str:
    """Return the reference of a service's image, with the platform it is asked for.

    What is built here is built for this machine: its name says no platform.
    """
    service = model.services[name]
    return for_platform(model.image_of(name), "" if service.build else service.platform)
