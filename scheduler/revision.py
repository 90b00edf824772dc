"""Canonical hash of what needs a new container when it changes."""

import hashlib
import json
from collections.abc import Mapping

from scheduler.ids import Revision


def revision_of(parts: Mapping[str, object]) -> Revision:
    """Return 12 hex digits that depend on the content of ``parts`` and not on its order."""
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return Revision(hashlib.sha256(canonical.encode()).hexdigest()[:12])
