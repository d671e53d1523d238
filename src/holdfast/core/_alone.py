"""Policies that need no pipeline: each is a decorator and a call by itself."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.core.pipeline import Pipeline

__all__ = ["Alone"]

P = ParamSpec("P")
R = TypeVar("R")


class Alone:
    """Makes a policy a decorator, and gives it ``call``: both are those of a pipeline that has this one policy."""

    def __call__(self, fn: Callable[P, R]) -> Callable[P, R]:
        """Decorate ``fn``: a function or a generator function, sync or async. Its type stays.

        Raises:
            ConfigError: ``fn`` cannot be guarded; the sentence says what to do instead.
        """
        return _pipeline(self, name=getattr(fn, "__qualname__", "call"))(fn)

    def call(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``fn(*args, **kwargs)`` under this policy; gives what the decorated ``fn`` would."""
        return self._guard.call(fn, *args, **kwargs)

    @cached_property
    def _guard(self) -> Pipeline:
        return _pipeline(self, name="call")


def _pipeline(policy: Any, *, name: str) -> Pipeline:  # noqa: ANN401
    from holdfast.core.pipeline import Pipeline  # noqa: PLC0415  a pipeline knows every policy

    return Pipeline(policy, name=name)
