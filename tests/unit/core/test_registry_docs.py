"""The page about the registry: its example runs, and it names every method."""

import inspect
import re
from pathlib import Path

from holdfast.core.registry import Registry

PAGE = (Path(__file__).parents[3] / "docs/policies/registry.md").read_text()


def test_the_example_runs() -> None:
    """The example runs as it is printed."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "registry.md", "exec"), {"__name__": "example"})


def test_every_method_and_parameter_is_named() -> None:
    """Each public method has a row, with each of its parameters."""
    rows = {name: row for row in PAGE.splitlines() for name in re.findall(r"`(\w+)`", row[:30].partition("|")[2])}
    methods = {name: each for name, each in vars(Registry).items() if not name.startswith("_")}
    assert rows.keys() >= methods.keys()
    for name, method in methods.items():
        for parameter in inspect.signature(method).parameters:
            assert parameter == "self" or f"`{parameter}`" in rows[name]
