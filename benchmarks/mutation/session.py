"""How pytest runs here: quietly, repeatably, and without leaving anything in the working tree."""

from __future__ import annotations

import pytest

from benchmarks.mutation import layout

__all__ = ["Quick", "arguments", "environment"]


class Quick:
    """A pytest plugin: properties get the same examples each time, those of CI, and a failing one is not shrunk."""

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Load the profile, after the one of the project."""
        import hypothesis  # noqa: PLC0415  pytest has to see it imported, to rewrite its assertions

        hypothesis.settings.register_profile(
            "mutation",
            parent=hypothesis.settings.get_profile("ci"),
            database=None,
            phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
        )
        hypothesis.settings.load_profile("mutation")
        config.option.tbstyle = "native"


def arguments() -> list[str]:
    """For ``pytest.main``, before the files."""
    unused = ("cacheprovider", "pytest_cov", "xdist")
    return ["-q", "-s", *(f"-pno:{name}" for name in unused), "-oaddopts=", "--import-mode=importlib"]


def environment(store: str) -> dict[str, str]:
    """Variables for a process that runs tests; ``store`` is where it may write."""
    return {
        "CI": "",
        "HYPOTHESIS_STORAGE_DIRECTORY": f"{store}/hypothesis",
        "MALLOC_ARENA_MAX": "2",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": str(layout.ROOT / "src"),  # what stands beside this, wherever the package is installed from
    }
