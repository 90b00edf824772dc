"""Containers through an OCI runtime under conmon."""

from runtime.oci.containers import Containers, choose_runtime

__all__ = ["Containers", "choose_runtime"]
