"""What happened in a run, as one hash: two runs with the same hash did the same things at the same times."""

from __future__ import annotations

import hashlib
from array import array

__all__ = ["Trace"]

_KEPT = 8_192


class Trace:
    """Hashes numbers and notes in the order in which they come.

    Attributes:
        add: ``add(number)`` takes a whole number of 64 bits. It is the ``append`` of an array, because it is called for
            each callback; :meth:`settle` hashes what came together.
    """

    __slots__ = ("_hash", "_numbers", "add")

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self._numbers = array("q")
        self.add = self._numbers.append

    def note(self, *parts: object) -> None:
        """Take strings, numbers and tuples of them: what ``repr`` writes the same way in every process."""
        self._hash_numbers()
        self._hash.update(repr(parts).encode("utf-8", "backslashreplace"))

    def settle(self) -> None:
        """Keep memory flat; call it now and then."""
        if len(self._numbers) > _KEPT:
            self._hash_numbers()

    def digest(self) -> str:
        """The hash so far: 32 hexadecimal digits."""
        self._hash_numbers()
        return self._hash.hexdigest()

    def _hash_numbers(self) -> None:
        if self._numbers:
            self._hash.update(self._numbers.tobytes())
            del self._numbers[:]
