"""Scenarios as data: those of the package, and what a file may not hold."""

from __future__ import annotations

import pytest

from holdfast.errors import ConfigError
from holdfast.rag.injection.kinds import Kind
from holdfast.rag.injection.scenarios import Ask, Heal, Inject, Recover, parse_scenarios, scenarios


def test_the_scenarios_of_the_package() -> None:
    """Each has one sentence of what to see, asks before and during its faults, heals them and waits for recovery."""
    assert {"model-down", "store-down", "embedder-down", "cache-down", "slow-model", "rate-limited"} <= set(scenarios())
    assert {"flaky", "blackout"} <= set(scenarios())
    for name, scenario in scenarios().items():
        assert scenario.name == name
        assert scenario.says.endswith(".")
        assert "\n" not in scenario.says
        kinds = [type(step) for step in scenario.steps]
        assert kinds[0] is Ask
        assert kinds[-2:] == [Heal, Recover]
        broken = scenario.steps[kinds.index(Inject) :]
        assert any(isinstance(step, Ask) for step in broken)
        assert scenario.questions >= 3


def test_a_scenario_is_read_whole() -> None:
    """Every option of every step is taken over."""
    read = parse_scenarios(
        """
        [mine]
        says = "One sees it."
        steps = [
          { ask = 2 },
          { inject = "model:openai", kind = "throttled", seconds = 9, rate = 0.5, retry_after = 4 },
          { inject = "*", kind = "slow", optional = true },
          { ask = 1, again = true },
          { heal = true },
          { recover = 30 },
        ]
        """
    )["mine"]
    assert read.steps == (
        Ask(count=2),
        Inject(dependency="model:openai", kind=Kind.THROTTLED, seconds=9.0, rate=0.5, parameters={"retry_after": 4}),
        Inject(dependency="*", kind=Kind.SLOW, optional=True),
        Ask(count=1, again=True),
        Heal(),
        Recover(seconds=30.0),
    )
    assert (read.says, read.questions) == ("One sees it.", 3)
    assert set(read.needs) == {"model:openai"}


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("[{ ask = 0 }]", "ask=0: must be a whole number of at least 1"),
        ("[{ ask = 1001 }]", "ask=1001: must be at most 1,000"),
        ("[{ ask = 1, agian = true }]", "agian=True: is no option of the step ask; did you mean again"),
        ("[{ ask = 1, again = 1 }]", "again=1: must be True or False"),
        ('[{ inject = "stroe", kind = "slow" }]', "inject='stroe': must be one of cache"),
        ('[{ inject = 7, kind = "slow" }]', "inject=7: must be text"),
        ('[{ inject = "store", kind = "throttled" }]', "kind='throttled': must be one of auth"),
        ('[{ inject = "store", kind = "slow", dealy = 1 }]', "dealy=1: is no option of the fault slow"),
        ('[{ inject = "store", kind = "slow", seconds = 0 }]', "seconds=0: must be above 0"),
        ('[{ inject = "store" }]', "steps={'inject': 'store'}: of mine must be ask, inject with a kind"),
        ("[{ heal = false }]", "steps={'heal': False}: of mine must be"),
        ("[{ recover = -1 }]", "recover=-1: must be above 0"),
        ("[7]", "steps=7: of mine must be"),
        ("7", "scenario='mine': must be a table with `says` and a list of `steps`"),
    ],
)
def test_what_no_step_can_be_is_refused(steps: str, message: str) -> None:
    """A wrong step is an error that names field, value and rule."""
    with pytest.raises(ConfigError) as caught:
        parse_scenarios(f'[mine]\nsays = "x"\nsteps = {steps}')
    assert str(caught.value).startswith(message)


def test_what_is_no_file_of_scenarios_is_refused() -> None:
    """Text that is not TOML, tables without a sentence and unknown keys are errors."""
    for content, message in (
        ("[mine", "must be TOML"),
        ("mine = 1", "must be a table with"),
        ("[mine]\nsteps = []", "says=None: must be text"),
        ('[mine]\nsays = "x"\nsteps = []\nstep = 1', "did you mean steps"),
    ):
        with pytest.raises(ConfigError, match=message):
            parse_scenarios(content)
