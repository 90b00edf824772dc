"""Images by digest: what a tag stands for on this machine, written down."""

from orchestrator.client.launch import connect
from orchestrator.errors import PyorchError
from orchestrator.settings import Settings
from orchestrator.spec.models import StackFile
from runtime.image.reference import parse_reference


def pin_images(stack: StackFile) -> StackFile:
    """Return the stack with the digest of every image in its reference.

    Raises PyorchError for an image that is not here: a tag means nothing before it is pulled.
    """
    digests = {
        reference: image["id"]
        for image in connect(Settings.from_environ()).get("/v1/images")
        for reference in image["references"]
    }
    services = dict(stack.services)
    for name, service in stack.services.items():
        if service.provider is not None or "@" in service.image:
            continue
        image = stack.image_of(name)
        digest = digests.get(str(parse_reference(image)))
        if digest is None:
            raise PyorchError(
                f"services.{name}.image: `{image}` is not here, so its digest is unknown",
                hint=f"`pyorch image pull {image}`",
                code="not_found",
            )
        services[name] = service.model_copy(update={"image": f"{image}@{digest}"})
    return stack.model_copy(update={"services": services})
