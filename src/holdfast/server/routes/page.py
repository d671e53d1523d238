"""``/``: the page to ask questions on. One file that needs nothing else."""

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

__all__ = ["load_page", "router"]

router = APIRouter(include_in_schema=False)

_INLINE = re.compile(rb"<(script|style)>(.*?)</\1>", re.DOTALL)


@router.get("/")
async def page(_request: Request) -> Response:
    """The page."""
    body, policy = load_page()
    return Response(
        body,
        media_type="text/html",
        headers={
            "content-security-policy": policy,
            "referrer-policy": "no-referrer",
            "x-frame-options": "DENY",
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "same-origin",
            "cache-control": "no-cache",
        },
    )


@cache
def load_page() -> tuple[bytes, str]:
    """Read the page, once; with it the policy that lets a browser run its script and style (by hash) and no other."""
    body = files("holdfast.server").joinpath("static/index.html").read_bytes()
    hashes: dict[bytes, list[str]] = {b"script": [], b"style": []}
    for kind, content in _INLINE.findall(body):
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
        hashes[kind].append(f"'sha256-{digest}'")
    policy = (
        f"default-src 'none'; script-src {' '.join(hashes[b'script'])}; style-src {' '.join(hashes[b'style'])}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return body, policy
