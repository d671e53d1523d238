"""``/admin/...``: faults switched on and off while the simulator runs, and the calls that it saw."""

from __future__ import annotations

import hmac
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from holdfast.errors import ConfigError
from holdfast.lab.simulator.fault_rules import parse_rule, rule_of
from holdfast.lab.simulator.fault_table import FAULTS
from holdfast.lab.simulator.script import Script

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from holdfast.lab.simulator.calls import Calls
    from holdfast.lab.simulator.fault_plan import FaultPlan
    from holdfast.lab.simulator.fault_rules import FaultRule
    from holdfast.lab.simulator.options import SimulatorOptions

__all__ = ["Admin"]

_MOST_SHOWN = 100


class Admin:
    """The admin endpoint.

    A page in a browser cannot use it: a body has to be declared as JSON, which needs a consent that is never given.

    Args:
        seconds: the time since the simulator's start.
    """

    def __init__(
        self, options: SimulatorOptions, faults: FaultPlan, calls: Calls, seconds: Callable[[], float]
    ) -> None:
        self._token = (
            None if options.admin_token is None else f"Bearer {options.admin_token}".encode("utf-8", "replace")
        )
        self._faults = faults
        self._calls = calls
        self._seconds = seconds

    def answer(  # noqa: PLR0911 - one for each address
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> Script:
        """The response to a request."""
        lower = {name.lower(): value for name, value in headers.items()}
        given = lower.get("authorization", "").encode("utf-8", "replace")
        if self._token is not None and not hmac.compare_digest(given, self._token):
            return _problem(401, "The admin endpoint wants its token: Authorization: Bearer TOKEN.")
        path, _, query = path.partition("?")
        match method.upper(), path.rstrip("/").split("/")[2:]:
            case "GET", ["faults"]:
                return Script.of_json(200, self._listed())
            case "POST", ["faults"]:
                return self._add(lower, body)
            case "DELETE", ["faults"]:
                return Script.of_json(200, {"removed": self._faults.clear()})
            case "DELETE", ["faults", number]:
                if number.isascii() and number.isdigit() and self._faults.remove(int(number[:12])):
                    return Script.of_json(200, {"removed": 1})
                return _problem(404, f"There is no fault rule {number[:20]}: GET /admin/faults lists them.")
            case "GET", ["calls"]:
                return self._show_calls(query)
            case "DELETE", ["calls"]:
                self._calls.clear()
                return Script.of_json(200, {"removed": "all"})
            case _:
                ways = "GET, POST, DELETE /admin/faults; DELETE /admin/faults/ID; GET, DELETE /admin/calls"
                return _problem(404, f"There is nothing here. There are: {ways}.")

    def _listed(self) -> dict[str, object]:
        return {
            "seconds": round(self._seconds(), 3),
            "faults": [active.as_json() for active in self._faults],
            "known": list(FAULTS),
        }

    def _add(self, headers: Mapping[str, str], body: bytes) -> Script:
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return _problem(415, "The body must be declared as JSON: Content-Type: application/json.")
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            return _problem(
                400, 'The body must be a JSON object: {"fault": "stall", "rate": 0.1} or {"rule": "stall:0.1"}.'
            )
        try:
            rule = self._rule(value)
        except ConfigError as error:
            return _problem(400, str(error))
        return Script.of_json(201, self._faults.add(rule).as_json())

    def _rule(self, value: dict[str, Any]) -> FaultRule:
        if "rule" in value:
            if len(value) > 1 or not isinstance(value["rule"], str):
                raise ConfigError("rule", value["rule"], "must be a text, and stand alone")
            return parse_rule(value["rule"], field="rule")
        lasting = value.pop("for", None)
        if lasting is not None:
            if isinstance(lasting, bool) or not isinstance(lasting, int | float) or not 0 < lasting < 1e9:
                raise ConfigError("for", lasting, "must be a number of seconds above 0, from now on")
            now = self._seconds()
            value |= {"from": now, "to": now + lasting}
        return rule_of(value)

    def _show_calls(self, query: str) -> Script:
        limit = parse_qs(query).get("limit", [str(_MOST_SHOWN)])[-1]
        if not (limit.isascii() and limit.isdigit() and 1 <= len(limit) <= 6):
            return _problem(400, f"limit={limit[:20]!r}: must be a whole number from 0 to 999999")
        shown = list(self._calls)[-int(limit) :] if int(limit) else []
        return Script.of_json(200, {"counts": self._calls.counts(), "calls": [call.as_json() for call in shown]})


def _problem(status: int, message: str) -> Script:
    return Script.of_json(status, {"error": {"message": message, "type": "admin_error", "param": None, "code": None}})
