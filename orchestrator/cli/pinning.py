"""Images by digest: what a tag stands for, written down."""

from orchestrator.client.launch import connect
from orchestrator.errors import PyorchError
from orchestrator.settings import Settings
from orchestrator.spec.models import StackFile
from runtime.image.reference import parse_reference


def pin_images(stack: StackFile) -> StackFile:
    """Return the stack with the digest of every image in its reference.

    An image that is here is pinned to itself, one that is not to what its registry has now.
    Raises PyorchError for one that is neither here nor there.
    """
    client = connect(Settings.from_environ())
    digests = {
        reference: image["id"]
        for image in client.get("/v1/images")
        for reference in image["references"]
    }
    services = dict(stack.services)
    for name, service in stack.services.items():
        if service.provider is not None or "@" in service.image:
            continue
        image = stack.image_of(name)
        digest = digests.get(str(parse_reference(image)))
        if digest is None:
            try:
                digest = client.post("/v1/images/resolve", {"reference": image})["digest"]
            except PyorchError as error:
                raise PyorchError(
                    f"services.{name}.image: {error}", hint=error.hint, code=error.code
                ) from None
        services[name] = service.model_copy(update={"image": f"{image}@{digest}"})
    return stack.model_copy(update={"services": services})
