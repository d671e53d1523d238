"""The locked sets of packages: complete, in step with each other, and without the address of any registry."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))


def pins(name: str) -> dict[str, str]:
    """Every pinned requirement with its marker, and its hashes as one text."""
    text = (ROOT / "requirements" / f"{name}.lock").read_text(encoding="utf-8")
    entries = re.findall(r"^(\S+==[^\\\n]*?) \\\n((?: {4}--hash=\S+(?: \\)?\n)+)", text, re.MULTILINE)
    return {requirement: hashes.strip() for requirement, hashes in entries}


def names_of(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=!~; ]", each, maxsplit=1)[0].lower().replace("_", "-") for each in requirements}


def test_every_lock_is_there() -> None:
    """run, test, the benchmarks, the older SDKs and the installer each have their lock."""
    assert [lock.stem for lock in LOCKS] == ["dev", "peers", "sdk2", "service", "tools"]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_names_versions_and_hashes_only(lock: Path) -> None:
    """A lock pins each package with SHA-256 hashes, and holds no address and no option."""
    lines = lock.read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if "://" in line or line.startswith("-")]
    unhashed = [line for line in lines if re.match(r"\S+==", line) and not line.endswith("\\")]
    assert not unhashed
    assert len(pins(lock.stem)) == sum(bool(re.match(r"\S+==", line)) for line in lines)


def test_dev_holds_service() -> None:
    """What the service runs with is what the tests run with: the same versions, and more."""
    assert pins("service").items() <= pins("dev").items()


@pytest.mark.parametrize(("lock", "extra"), [("service", "service"), ("dev", "dev")])
def test_locks_hold_what_the_project_asks_for(lock: str, extra: str) -> None:
    """Every package that pyproject.toml names for an extra, and for building, is in the lock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    wanted, queue = set(project["build-system"]["requires"]), [extra]
    while queue:
        for requirement in extras[queue.pop()]:
            nested = re.fullmatch(r"holdfast\[(.*)\]", requirement)
            if nested:
                queue.extend(nested[1].split(","))
            else:
                wanted.add(requirement)
    assert names_of(sorted(wanted)) <= names_of(list(pins(lock)))


def test_build_requirements_are_those_of_the_project() -> None:
    """requirements/build.in repeats [build-system], because the lock's maker does not read it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    text = (ROOT / "requirements" / "build.in").read_text(encoding="utf-8")
    assert sorted(text.splitlines()[1:]) == sorted(project["build-system"]["requires"])
