"""Scenarios from TOML: what is read, and how what is wrong is named."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import pytest

from holdfast.errors import ConfigError, NotFoundError
from holdfast.lab.latency import Latency
from holdfast.lab.scenarios.failing import FaultLine, OutageLine
from holdfast.lab.scenarios.loader import load_scenario, parse_scenario, shipped
from holdfast.lab.scenarios.traffic import Burst, Diurnal, Ramp, Spike

if TYPE_CHECKING:
    from pathlib import Path

LEAST = "seconds = 10\n[traffic]\nrate = 2\n"
EVERYTHING = """
name = "all"
about = "Everything that can be said."
seconds = 60
rates = [0.0, 0.5]
flushes = [5, 6.5]
deadline = 10
slo = 0.999
seed = 3
configuration = "nothing"
round_trip = { median = 0.02, sigma = 0.3 }

[traffic]
rate = 2
arrivals = "even"
skew = 0
new_share = 1
streamed = 0.5
low_share = 0.25
spikes = [{ begin = 1, seconds = 2, factor = 3 }]
ramps = [{ begin = 4, seconds = 5, factor = 0.5 }]
bursts = [{ at = 7, count = 8 }]
diurnal = { period = 30, swing = 0.2 }

[[faults]]
components = ["store"]
kind = "slow"
rate = "injected"
begin = 1
seconds = 2.5

[[outages]]
components = ["model:openai", "model:anthropic"]
every = 20
shortest = 1
group = "region"

[settings]
cache_size = 0

[provider]
first_token = 0.1

[providers.openai]
requests_per_minute = 60

[parts]
cache = 0.001
store = { median = 0.01, sigma = 0.5 }
"""


def test_everything_can_be_said() -> None:
    """Each field of a scenario is read into what it is."""
    read = parse_scenario(EVERYTHING, source="all.toml")
    assert (read.name, read.seconds, read.rates, read.flushes) == ("all", 60, (0.0, 0.5), (5, 6.5))
    assert (read.deadline, read.slo, read.seed, read.configuration) == (10, 0.999, 3, "nothing")
    assert read.traffic.spikes == (Spike(begin=1, seconds=2, factor=3),)
    assert read.traffic.ramps == (Ramp(begin=4, seconds=5, factor=0.5),)
    assert read.traffic.bursts == (Burst(at=7, count=8),)
    assert read.traffic.diurnal == Diurnal(period=30, swing=0.2)
    assert read.faults == (FaultLine(components=("store",), kind="slow", rate="injected", begin=1, seconds=2.5),)
    group = ("model:openai", "model:anthropic")
    assert read.outages == (OutageLine(components=group, every=20, shortest=1, group="region"),)
    assert read.parts == {"cache": Latency(0.001), "store": Latency(0.01, 0.5)}
    assert read.round_trip == Latency(0.02, 0.3)


def test_a_world_is_made_of_it() -> None:
    """Settings, providers, latencies, the seed and the faults reach the world; what is at rate 0 is no fault."""
    world = parse_scenario(EVERYTHING, source="all.toml").world(5, 0.5)
    assert (world.seed, world.settings["cache_size"]) == (5, 0)
    assert (world.provider.first_token, world.provider.requests_per_minute) == (0.1, None)
    assert (world.providers["openai"].first_token, world.providers["openai"].requests_per_minute) == (0.1, 60)
    assert world.parts["cache"] == Latency(0.001)
    store = next(iter(world.faults))
    assert (store.component, store.rate, store.seconds, store.end) == ("store", 0.5, 2.5, inf)
    calm = parse_scenario(EVERYTHING, source="all.toml").plan(5, 0.0)
    assert "store" not in {each.component for each in calm}


def test_a_name_is_optional(tmp_path: Path) -> None:
    """A file's name is that of its scenario, unless the scenario says another one."""
    (tmp_path / "mine.toml").write_text(LEAST)
    assert load_scenario(tmp_path / "mine.toml").name == "mine"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("seconds = ", "cannot be read"),
        ("[traffic]\nrate = 1\n", "x.toml: seconds=None: is missing"),
        ("seconds = 5\n", "x.toml: traffic=None: is missing"),
        ("seconds = 5\ntraffic = 3\n", "x.toml: traffic=3: must be a table"),
        ("seconds = 5\n[traffic]\n", "x.toml: traffic.rate=None: is missing"),
        ("seconds = 0\n[traffic]\nrate = 1\n", "x.toml: seconds=0: must be above 0"),
        ("secnods = 5\n" + LEAST, "x.toml: secnods=5: is no option of Scenario; did you mean seconds?"),
        ('seconds = "5"\n[traffic]\nrate = 1\n', "x.toml: seconds='5': must be a finite number"),
        (LEAST + "skew = -1\n", "x.toml: traffic.skew=-1: must be at least 0"),
        (LEAST + "spikes = 4\n", r"x.toml: traffic.spikes=4: must be a list"),
        (LEAST + "spikes = [{begin = 1}]\n", r"x.toml: traffic.spikes\[1\].seconds=None: is missing"),
        (LEAST + '[[faults]]\ncomponents = ["a"]\nkind = "down"\n[[faults]]\nkind = "down"\n', r"faults\[2\].comp"),
        (
            LEAST + '[[faults]]\ncomponents = "store"\nkind = "down"\n',
            r"faults\[1\].components='store': must be a l",
        ),
        (LEAST + '[[faults]]\ncomponents = ["a"]\nkind = "sick"\n', r"x.toml: faults\[1\].kind='sick': must be one of"),
        (
            LEAST + '[[faults]]\ncomponents = ["a"]\nkind = "down"\nrate = 7\n',
            r"faults\[1\].rate=7: must be from 0",
        ),
        (LEAST + '[[faults]]\ncomponents=["a"]\nkind="down"\nrate="injected"\n', "rates=.*must be there"),
        ("rates = [0.1]\n" + LEAST, "rates=.*no fault's rate is injected"),
        ("flushes = [-1]\n" + LEAST, "x.toml: flushes=-1"),
        ("slo = 1.5\n" + LEAST, "x.toml: slo=1.5: must be from 0 to 1"),
        ("round_trip = -1\n" + LEAST, "x.toml: round_trip.median=-1"),
        (LEAST + "[parts]\ndoor = 1\n", "x.toml: parts='door': must be one of"),
        (LEAST + "[provider]\nfaults = []\n", "x.toml: provider.faults=.*must be one of"),
        (LEAST + "[provider]\nfirst_token = -1\n", "x.toml: provider.first_token=-1"),
        (LEAST + "[providers.openai]\ndimension = 0\n", "x.toml: providers.openai.dimension=0"),
        (LEAST + "[providers]\nopenai = 1\n", "x.toml: providers.openai=1: must be a table"),
        ('configuration = ""\n' + LEAST, "x.toml: configuration='': must not be empty"),
    ],
)
def test_what_is_wrong_is_named(content: str, told: str) -> None:
    """The error names the file, the field with its way there, the value, and the rule."""
    with pytest.raises(ConfigError, match=told) as caught:
        parse_scenario(content, source="x.toml")
    assert "x.toml" in str(caught.value)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    """No file, a folder, one that is no text, and one that is too long are told apart."""
    for path, told in ((tmp_path / "none.toml", "No such file"), (tmp_path, "directory")):
        with pytest.raises(NotFoundError, match=told):
            load_scenario(path)
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_scenario(tmp_path / "bytes.toml")
    (tmp_path / "long.toml").write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(ConfigError, match="1,048,576 bytes"):
        load_scenario(tmp_path / "long.toml")


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    """Who mistypes a scenario reads which there are."""
    with pytest.raises(NotFoundError, match="suite"):
        shipped("siute")


def test_faults_that_are_played_apart() -> None:
    """A file says so in one line; there must be faults, no random outages, and none of them twice."""
    fault = '[[faults]]\ncomponents = ["store", "cache"]\nkind = "down"\n'
    apart = parse_scenario(f"apart = true\n{LEAST}{fault}", source="x", name="x")
    assert [case.name for case in apart.cases()] == ["x/store down", "x/cache down"]
    outage = '[[outages]]\ncomponents = ["store"]\nevery = 9\nshortest = 1\n'
    for lines in ("", outage, fault + outage):
        with pytest.raises(ConfigError, match=r"x: apart=True: needs \[\[faults\]\], and no \[\[outages\]\]"):
            parse_scenario(f"apart = true\n{LEAST}{lines}", source="x")
    with pytest.raises(ConfigError, match="x: faults='x/store down': stands there twice"):
        parse_scenario(f"apart = true\n{LEAST}{fault}{fault}", source="x", name="x")
    with pytest.raises(ConfigError, match="apart='yes'"):
        parse_scenario(f'apart = "yes"\n{LEAST}{fault}', source="x")
