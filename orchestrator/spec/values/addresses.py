"""Addresses of the web. Pure."""

from urllib.parse import urlsplit


def is_web_address(text: str) -> bool:
    """Whether it is an absolute URL of HTTP or HTTPS that can be asked for."""
    if not text.isprintable() or any(mark.isspace() for mark in text):
        return False
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0
