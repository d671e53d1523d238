"""A minute of the whole service in virtual time: the same course twice, and in every process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.lab.faults.plan import FaultPlan
from holdfast.lab.world.options import WorldOptions
from holdfast.lab.world.world import World, run_world

if TYPE_CHECKING:
    from holdfast.lab.virtual.running import Ran

HERE = str(Path(__file__).parent)


async def a_minute(world: World) -> dict[str, object]:
    """60 s at 20 questions a second."""
    await world.traffic(rate=20, seconds=60)
    return world.record.summary()


def ran() -> Ran[dict[str, object]]:
    return run_world(a_minute, WorldOptions(seed=7, faults=FaultPlan.everywhere(0.05)))


def test_a_minute_at_five_percent_has_one_course() -> None:
    """With 5% of all calls failing in every way, one seed leaves one trace, in this process and in another one."""
    first = ran()
    assert first.value["asked"] in range(1_000, 1_400)
    assert isinstance(first.value["useful"], float)
    assert first.value["useful"] > 0.97
    assert first == ran()
    code = f"import sys; sys.path.insert(0, {HERE!r}); from test_world import ran; print(ran().trace)"
    other = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONHASHSEED": "4711"}, capture_output=True, text=True, check=True
    )
    assert other.stdout.strip() == first.trace


def test_another_seed_is_another_course() -> None:
    """Another seed brings other users, other latencies and other faults."""

    async def some_seconds(world: World) -> None:
        await world.traffic(rate=20, seconds=5)

    faults = FaultPlan.everywhere(0.05)
    traces = {run_world(some_seconds, WorldOptions(seed=seed, faults=faults)).trace for seed in (8, 9)}
    assert len(traces) == 2
