"""Images by digest: what a tag stands for, written down."""

from pathlib import Path

from orchestrator.cli.locking import digest_for, find_here, read_lock
from orchestrator.client.launch import connect
from orchestrator.errors import PyorchError
from orchestrator.settings import Settings
from orchestrator.spec.models import StackFile
from runtime.image.reference import for_platform, parse_reference
from runtime.platforms import parse_platform


def pin_images(stack: StackFile, folder: Path) -> StackFile:
    """Return the stack with the digest of every image in its reference.

    An image that is locked in ``folder`` is pinned to that, one that is here to itself, and one
    that is neither to what its registry has now. Raises PyorchError for one that is nowhere.
    """
    client = connect(Settings.from_environ())
    lock = read_lock(folder)
    platform = str(client.get("/v1/version")["platform"])
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
        settled = str(parse_reference(image))
        locked = lock.images.get(settled) if lock and service.build is None else None
        asked = "" if service.build else service.platform
        wanted = str(parse_platform(asked)) if asked else platform
        digest = digest_for(locked, wanted) if locked else None
        if digest is None and asked:
            here = find_here(client, for_platform(image, asked))
            digest = here.id if here else None
        elif digest is None:
            digest = digests.get(settled)
        if digest is None:
            try:
                digest = client.post("/v1/images/resolve", {"reference": image})["digest"]
            except PyorchError as error:
                raise PyorchError(
                    f"services.{name}.image: {error}", hint=error.hint, code=error.code
                ) from None
        services[name] = service.model_copy(update={"image": f"{image}@{digest}"})
    return stack.model_copy(update={"services": services})
