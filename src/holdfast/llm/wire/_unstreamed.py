"""What endpoints have in common that answer at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from holdfast.errors import ConfigError

if TYPE_CHECKING:
    from holdfast.llm.wire.base import Chunk, Quirks

__all__ = ["Unstreamed"]


class Unstreamed:
    """A wire without streams."""

    name: str

    def reader(self, quirks: Quirks) -> NoReturn:  # noqa: ARG002  part of every wire
        """There is nothing to read.

        Raises:
            ConfigError: always.
        """
        raise self._no_streams()

    def with_text(self, chunk: Chunk, text: str) -> NoReturn:  # noqa: ARG002
        """There is no chunk.

        Raises:
            ConfigError: always.
        """
        raise self._no_streams()

    def _no_streams(self) -> ConfigError:
        return ConfigError("stream", value=True, rule=f"nothing is streamed over {self.name}")
