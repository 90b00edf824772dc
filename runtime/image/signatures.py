"""Images that must be signed: by whose keys, and who checks that.

The check itself is cosign's (sigstore). Where a registry's images must be signed and cosign is
not there, nothing is pulled from it: an image nobody checked is as good as one without a signature.
"""

import shutil
from collections.abc import Sequence

from runtime.errors import InvalidError, UnsupportedError
from runtime.image.reference import Reference
from runtime.process import run
from runtime.types import Digest

VERIFIER = "cosign"


def need_verifier(keys: Sequence[str], reference: Reference) -> None:
    """Raise UnsupportedError where an image must be signed and nobody here can tell."""
    if keys and shutil.which(VERIFIER) is None:
        raise UnsupportedError(
            "pull image",
            str(reference),
            f"images of `{reference.registry}` must be signed (`signed_by`),"
            " and cosign, which checks signatures, is not installed",
            hint="install cosign (docs.sigstore.dev), or take `signed_by` out of registries.toml",
        )


async def check_signature(keys: Sequence[str], reference: Reference, image: Digest) -> None:
    """Raise InvalidError unless one of ``keys`` has signed ``image``."""
    need_verifier(keys, reference)
    complaint = ""
    for key in keys:
        place = f"{reference.registry}/{reference.repository}@{image}"
        done = await run([VERIFIER, "verify", "--key", key, place], check=False)
        if done.returncode == 0:
            return
        complaint = done.complaint
    if keys:
        raise InvalidError(
            "pull image",
            str(reference),
            f"none of the keys of `{reference.registry}` has signed {image}: {complaint[:200]}",
            hint="pull what is signed, or add the key to `signed_by` in registries.toml",
            code="signature",
        )
