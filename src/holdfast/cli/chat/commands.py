"""The commands of the session, with and without a slash."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.cli.chat.faults import run_drill
from holdfast.cli.chat.tables import config_table, health_table, rows_table, scenario_table, stats_table
from holdfast.errors import InvalidInputError
from holdfast.rag.injection.drill import scenario_named
from holdfast.rag.injection.scenarios import scenarios

if TYPE_CHECKING:
    from holdfast.cli.chat.backstage import Backstage
    from holdfast.cli.chat.tally import Tally
    from holdfast.cli.chat.view import View
    from holdfast.rag.settings import Settings

__all__ = ["Commands"]

_HELP = {
    "stats": "questions, tiers, sources, cache hits, retries, cost, times and breakers of this session",
    "health": "asks every dependency how it is",
    "config": "the settings; secrets are not shown",
    "test": "lists the scenarios of failure",
    "test SCENARIO": "breaks something on purpose, and shows what is done about it and how it climbs back",
    "reset": "forgets this conversation; asks first",
    "help": "this list",
    "exit": "leaves",
}
_WORDS = {"stats", "health", "config", "test", "reset", "help", "exit"}
_OTHERS = {"quit": "exit", "?": "help"}


class Commands:
    """Finds and runs the commands; ``reset`` and ``exit`` are the session's own."""

    def __init__(self, backstage: Backstage, settings: Settings, view: View, tally: Tally) -> None:
        self._backstage = backstage
        self._settings = settings
        self._view = view
        self._tally = tally

    def words(self) -> list[str]:
        """What can be completed."""
        return sorted(_WORDS) + [f"/{word}" for word in sorted(_WORDS)] + [f"test {name}" for name in scenarios()]

    def find(self, line: str) -> str | None:
        """The command that a line is, with its argument; None for a question.

        With a slash it is a command for sure. Without one it is, when it is nothing but the command: "health" is one,
        and "test of the lamps" is a question.

        Raises:
            InvalidInputError: there is no such command.
        """
        word, _, rest = line.removeprefix("/").casefold().partition(" ")
        word, rest = _OTHERS.get(word, word), rest.strip()
        if line.startswith("/"):
            if word not in _WORDS:
                raise InvalidInputError("command", f"there is no command /{word}; `help` lists those there are")
            if rest and word != "test":
                raise InvalidInputError("command", f"{word} takes no argument")
            return f"{word} {rest}".strip()
        if word not in _WORDS:
            return None
        if not rest or (word == "test" and " " not in rest):
            return f"{word} {rest}".strip()
        return None

    def run(self, command: str) -> None:
        """Run what :meth:`find` found.

        Raises:
            HoldfastError: it failed.
            Stopped: it was stopped by Ctrl-C.
        """
        view, engine = self._view, self._backstage.engine
        name, _, argument = command.partition(" ")
        match name:
            case "stats":
                view.table(stats_table(self._tally, engine))
            case "health":
                view.table(health_table(self._backstage.call(engine.health())))
            case "config":
                view.table(config_table(self._settings))
            case "help":
                view.table(rows_table("command", "", rows=_HELP.items()))
                view.note("Anything else is a question. A command may begin with a slash.")
            case "test":
                self._test(argument)

    def _test(self, name: str) -> None:
        engine = self._backstage.engine
        if engine.injections is None:
            raise InvalidInputError("test", "no faults can be injected here: the setting fault_injection is off")
        if not name:
            self._view.table(scenario_table(scenarios(), engine.injections.in_use()))
            self._view.note(
                "The questions of a test are real: where a provider's model answers, they cost what it takes."
            )
            return
        scenario = scenario_named(name, engine.injections)
        drill = run_drill(engine, scenario, self._view, self._tally, collection=self._settings.collection)
        self._backstage.call(drill)
