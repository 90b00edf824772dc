"""The labels by which pyorch knows its own things again, even without its database.

Containers also carry the labels other tools read to find out about a stack.
"""

STACK = "pyorch.stack"
SERVICE = "pyorch.service"
SLOT = "pyorch.slot"
REVISION = "pyorch.revision"
NAME = "pyorch.name"
"""What its file calls it besides: ``container_name``."""
SHARES = "pyorch.shares"
"""Containers it shares something with, and which very ones, as ``ID=WHEN,ID=WHEN``."""
SANDBOX = "pyorch.sandbox"
"""``own``: a network namespace of its own. ``host`` or ``shared``: somebody else's."""
ANONYMOUS = "com.docker.volume.anonymous"
"""On volumes nobody gave a name."""

COMPOSE_PROJECT = "com.docker.compose.project"
COMPOSE_SERVICE = "com.docker.compose.service"
COMPOSE_NUMBER = "com.docker.compose.container-number"
COMPOSE_ONEOFF = "com.docker.compose.oneoff"
COMPOSE_HASH = "com.docker.compose.config-hash"
COMPOSE_IMAGE = "com.docker.compose.image"
COMPOSE_VERSION = "com.docker.compose.version"
COMPOSE_DEPENDS = "com.docker.compose.depends_on"
COMPOSE_NETWORK = "com.docker.compose.network"
COMPOSE_VOLUME = "com.docker.compose.volume"
