"""Bridges, sandboxes, published ports and names."""

from runtime.network.networks import Networks

__all__ = ["Networks"]
