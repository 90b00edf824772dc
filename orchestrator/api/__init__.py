"""The HTTP API on a unix socket: requests become intent, answers tell what is."""

from orchestrator.api.app import serve_api

__all__ = ["serve_api"]
