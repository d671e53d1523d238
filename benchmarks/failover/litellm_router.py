"""LiteLLM's Router, as its documentation says: a model list and fallbacks. It runs in the environment of the peers.

Without an argument everything else is left at its default. ``--tuned`` sets what it has to set to be like Holdfast's
defaults: no retries at a target while another is there, the same limits of time, and a cooldown after as many failures
and for as long as the breaker. It fetches and reports nothing.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ["LITELLM_TELEMETRY"] = "False"

from benchmarks.failover.drive import main
from benchmarks.failover.scenarios import QUESTION, Job

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

litellm: Any = import_module("litellm")  # not in the project's environment
litellm.telemetry = False
litellm.suppress_debug_info = True

TUNED = {"num_retries": 0, "timeout": 30, "stream_timeout": 15, "allowed_fails": 4, "cooldown_time": 30}


class LiteLLM:
    """One Router for one job."""

    def __init__(self, job: Job, *, tuned: bool) -> None:
        anthropic = job.protocol == "anthropic"
        primary = {
            "model": "anthropic/model" if anthropic else "openai/model",
            "api_base": job.primary + ("" if anthropic else "/v1"),
            "api_key": "sk-primary-simulated",
        }
        second = {"model": "openai/model", "api_base": job.second + "/v1", "api_key": "sk-second-simulated"}
        self._router = litellm.Router(
            model_list=[
                {"model_name": "primary", "litellm_params": primary},
                {"model_name": "second", "litellm_params": second},
            ],
            fallbacks=[{"primary": ["second"]}],
            **(TUNED if tuned else {}),
        )
        self._streamed = job.mode == "stream"

    async def ask(self) -> AsyncIterator[str]:
        """See :class:`benchmarks.failover.drive.Candidate`."""
        answer = await self._router.acompletion(
            model="primary",
            messages=[{"role": "user", "content": QUESTION}],
            max_tokens=200,
            stream=self._streamed,
        )
        if not self._streamed:
            yield answer.choices[0].message.content or ""
            return
        async for chunk in answer:
            if chunk.choices:
                yield chunk.choices[0].delta.content or ""

    async def close(self) -> None:
        """Its connections are shared, and end with the process."""


if __name__ == "__main__":
    main(lambda job: LiteLLM(job, tuned="--tuned" in sys.argv))
