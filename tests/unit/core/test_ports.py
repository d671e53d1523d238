"""What requests are when nothing else is said."""

from holdfast.core.ports import HttpRequest


def test_a_request_waits_half_a_minute() -> None:
    """Without a word about time the head of the response has to be there in 30 seconds, connecting included."""
    request = HttpRequest(method="GET", url="https://example.org/")
    assert (request.timeout, request.connect_timeout) == (30.0, None)
    assert (request.headers, request.body) == ({}, b"")
