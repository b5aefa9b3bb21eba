"""Whether a model's endpoint is there, asked before a cell begins: Inspect would try a call for half an hour."""

from urllib.parse import urlsplit

import httpx2

from trace2skill.errors import ServerError

SECONDS = 10.0
"""Time for an answer."""


def check_endpoint(base_url: str | None) -> None:
    """Ask an endpoint for a sign of life; any answer will do.

    Args:
        base_url: Its address; none where the provider knows its own.

    Raises:
        ServerError: Nothing answers there.
    """
    if base_url is None:
        return
    if urlsplit(base_url).scheme not in ("http", "https"):
        raise ServerError(f"The address {base_url} is no http address. Correct base_url in study.yaml.")
    try:
        httpx2.get(f"{base_url.rstrip('/')}/models", timeout=SECONDS)
    except httpx2.HTTPError as error:
        raise ServerError(
            f"The server at {base_url} does not answer ({error or type(error).__name__}). Start it, or correct "
            "base_url in study.yaml, and run the study again."
        ) from error
