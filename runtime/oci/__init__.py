"""Containers through an OCI runtime under conmon."""

from runtime.oci.choice import choose_runtime
from runtime.oci.containers import Containers

__all__ = ["Containers", "choose_runtime"]
