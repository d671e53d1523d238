"""One call of a provider over the HTTP port, without any policy: that is what the policies are put around."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.core.ports import HttpRequest

if TYPE_CHECKING:
    from holdfast.core.ports import Http

__all__ = ["StatusError", "ask"]

_BODY = b'{"model": "gpt-sim", "messages": [{"role": "user", "content": "What is a breaker?"}]}'
_PATIENCE = 600.0


class StatusError(Exception):
    """A provider answered with an error; ``status`` is what :mod:`holdfast.core.classify` goes by."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the provider answered with HTTP {status}")
        self.status = status


async def ask(http: Http, base: str, *, key: str = "sk-lab", timeout: float = _PATIENCE) -> None:  # noqa: ASYNC109 - the port's own
    """Ask the model at ``base`` (an address up to ``/v1``) one question, and read its answer to the end.

    Args:
        timeout: seconds until the head of the response; a client without a limit of its own has ten minutes.

    Raises:
        StatusError: the provider answered with a status of 400 or more.
        OSError: as the HTTP port.
    """
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    response = await http.send(
        HttpRequest(method="POST", url=f"{base}/chat/completions", headers=headers, body=_BODY, timeout=timeout)
    )
    try:
        async for _ in response.body():
            pass
    finally:
        await response.close()
    if response.status >= 400:
        raise StatusError(response.status)
