"""The names at the top of the package."""

import subprocess
import sys

import pytest

import holdfast as hf


def test_every_name_is_there() -> None:
    """Each public name can be had from the package, is listed, and is the class of its home."""
    assert set(hf.__all__) == {"__version__", *hf._HOMES}
    assert dir(hf) == sorted(hf.__all__)
    for name, home in hf._HOMES.items():
        vars(hf).pop(name, None)
        value = getattr(hf, name)
        assert vars(hf)[name] is value
        assert value is getattr(sys.modules[f"holdfast.{home}" if "." in home else f"holdfast.core.{home}"], name)


def test_an_unknown_name() -> None:
    """A name that is not there is an AttributeError, as for any module."""
    with pytest.raises(AttributeError, match="no attribute 'Nope'"):
        getattr(hf, "Nope")  # noqa: B009  a type checker refuses the plain form, as it should


def test_importing_the_package_imports_nothing_heavy() -> None:
    """``import holdfast`` loads neither asyncio nor any of its own modules."""
    code = "import sys, holdfast; print([m for m in sys.modules if m.startswith('holdfast.') or m == 'asyncio'])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
