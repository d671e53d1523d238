"""Which dependencies can be counted on."""

from __future__ import annotations

from holdfast.rag.tiers.levels import Need
from holdfast.rag.tiers.vitals import Vital, Vitals
from holdfast.rag.types import Reason


class Models:
    """Two models and what rests on one of them; each is well while its name is in ``well``."""

    def __init__(self) -> None:
        self.well = {"first", "second"}
        first, second = self._one("first"), self._one("second")
        self.any = Vital(name="any", need=Need.ANY_MODEL, reason=Reason.LLM_UNAVAILABLE, one_of=(first, second))
        self.vitals = Vitals([first, self.any, second], anything=lambda: True)

    @property
    def ill(self) -> list[str]:
        """The names of those that are ill, as they come."""
        return [vital.name for vital in self.vitals.ill]

    def _one(self, name: str) -> Vital:
        return Vital(name=name, need=None, reason=Reason.LLM_UNAVAILABLE, well_otherwise=lambda: name in self.well)


def test_one_of_several_is_enough() -> None:
    """What rests on one of several is well as long as one of them is."""
    models = Models()
    assert models.ill == []
    models.well = {"second"}
    assert models.ill == ["first"]
    models.well = set()
    assert models.ill == ["first", "any", "second"]


def test_its_own_failures_count_as_well() -> None:
    """What rests on one of several is ill after three failures in a row, though each of them seems well."""
    models = Models()
    for _ in range(3):
        assert models.ill == []
        models.vitals.note(Need.ANY_MODEL, ok=False)
    assert models.ill == ["any"]
    models.vitals.note(Need.ANY_MODEL, ok=True)
    assert models.ill == []


def test_one_of_nobody_is_ill() -> None:
    """Where there is nobody to rest on, nothing is well."""
    nobody = Vital(name="any", need=Need.MODEL, reason=Reason.LLM_UNAVAILABLE, one_of=())
    assert not nobody.well
