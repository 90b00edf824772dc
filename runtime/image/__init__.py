"""Images: an own store, archives, root filesystems, registries."""

from runtime.image.images import Images

__all__ = ["Images"]
