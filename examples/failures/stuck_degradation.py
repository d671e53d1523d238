"""Stuck degradation, in real time: a provider goes and comes back, and two services look on.

    python examples/failures/stuck_degradation.py          # about twenty seconds

The fixed one is `holdfast serve` as it is, in a process of its own. The broken one is the same engine in this process
with its prober stopped. Both ask one simulated provider, which is stopped (its port refuses connections) and started
again.
What one sees, and why: docs/explanation/failures/stuck-degradation.md. Needs `pip install 'holdfast[service]'`.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.lab.simulator.options import SimulatorOptions
from holdfast.lab.simulator.server import SimulatorServer
from holdfast.lab.simulator.service import Simulator
from holdfast.rag.app import build_engine
from holdfast.rag.query import Query
from holdfast.rag.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PATIENCE = 60.0
TEXT = "Gift cards are valid for 36 months from the day of purchase."
MODELS = """
[providers.openai]
base_url = "{url}/v1"

[models.answers]
targets = ["openai/gpt-4o-mini"]
retry = {{ max_retries = 0 }}
"""


class Service:
    """A running `holdfast serve`."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        environ = {**environ, "HOLDFAST_DATA_DIR": str(folder / "service"), "HOLDFAST_PORT": str(port)}
        command = [str(Path(sys.executable).with_name("holdfast")), "serve"]
        self.process = subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    async def call(self, path: str, body: object = None) -> dict[str, object]:
        """A request, beside the event loop."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"content-type": "application/json"})
        with await asyncio.to_thread(urllib.request.urlopen, request, timeout=PATIENCE) as response:
            return dict(json.loads(response.read()))

    async def ready(self) -> bool:
        """Whether it takes questions."""
        try:
            await self.call("/health/ready")
        except urllib.error.URLError:
            return False
        return True

    async def tier(self) -> str:
        """Where it is."""
        return str((await self.call("/health"))["tier"])


async def until(what: str, true: Callable[[], Awaitable[bool]]) -> float:
    """Wait for something; gives the seconds that it took."""
    began = time.monotonic()
    while not await true():
        if time.monotonic() - began > PATIENCE:
            raise SystemExit(f"not within {PATIENCE:g} s: {what}")
        await asyncio.sleep(0.1)
    return time.monotonic() - began


async def main() -> None:
    """An outage for both, and then none."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with SimulatorServer(Simulator(SimulatorOptions(speed=0))) as provider:
            models = folder / "models.toml"
            models.write_text(MODELS.format(url=provider.url))
            ours = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
            environ = {**ours, "HOLDFAST_MODELS_FILE": str(models), "HOLDFAST_EMBEDDER": "none", "OPENAI_API_KEY": "sk"}
            service = Service(folder, environ)
            try:
                await compare(provider, service, folder, models)
            finally:
                service.process.terminate()
                service.process.wait(PATIENCE)


async def compare(provider: SimulatorServer, service: Service, folder: Path, models: Path) -> None:
    """The same questions to both: before, during and after an outage."""
    settings = Settings(data_dir=folder / "engine", models_file=models, embedder="none")
    engine = build_engine(settings, environ={"OPENAI_API_KEY": "sk"})
    await engine.open()
    await engine.tiers.close()  # nobody looks after what is ill
    page = folder / "gift.md"
    page.write_text(TEXT)
    await engine.ingestor.ingest_paths([page])
    await until("the service is ready", service.ready)
    await service.call("/v1/documents", {"documents": [{"id": "gift", "title": "Gift cards", "text": TEXT}]})
    number = 0

    async def asked(tier: str) -> bool:
        """Ask both a new question; whether both answers, and both services, are at the tier."""
        nonlocal number
        number += 1
        question = f"For how many months are gift cards valid? (Asked for the {number}. time.)"
        one, other = await asyncio.gather(
            service.call("/v1/query", {"question": question}), engine.ask(Query(question=question))
        )
        return {one["tier"], other.tier, await service.tier(), engine.tiers.tier} == {tier}

    await until("both are at FULL", lambda: asked("full"))
    await provider.stop()
    fell = await until("both are at MINIMAL", lambda: asked("minimal"))
    print(f"outage: both at MINIMAL after {fell:.1f} s")
    await provider.start()

    async def back() -> bool:
        return await service.tier() == "full"

    seconds = await until("the service is at FULL", back)
    await asked("full")
    stuck = engine.tiers.tier.value
    print(f"broken: still at {stuck.upper()} {seconds:.1f} s after the provider came back")
    print(f"fixed: at FULL after {seconds:.1f} s")
    await engine.close()
    if stuck != "minimal":
        raise SystemExit("that is not what should be seen: without probes nobody finds out")
    print("the service climbed back by itself")


if __name__ == "__main__":
    asyncio.run(main())
