"""Dataclasses as bytes: JSON by position, made from the type hints, with a version that follows from them.

A field that is added, removed, renamed or given another type changes the version, and with it the keys: values of the
old shape are not found any more, and nobody has to think of it.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import types
import zlib
from collections.abc import Mapping, Sequence
from enum import Enum
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from holdfast.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    _Plain: TypeAlias = "Callable[[Any], Any]"

__all__ = ["DataclassCodec"]

T = TypeVar("T")

_SCALARS = (str, bool, int, float)
_as_json: Callable[[object], str] = json.JSONEncoder(separators=(",", ":")).encode  # ``json.dumps`` makes one each time


class DataclassCodec(Generic[T]):
    """Turns objects of one dataclass into bytes and back.

    Fields may be text, numbers, enumerations, dataclasses, float32 arrays; mappings from text, sequences and tuples of
    these; and any of them or None. What is read back is equal, except that sequences become tuples and mappings dicts.

    Args:
        cls: the dataclass.
        names: what its hints mean, where they name something that its module imports for type checkers only.

    Raises:
        ConfigError: a field has a type that is none of these.
    """

    def __init__(self, cls: type[T], *, names: Mapping[str, object] | None = None) -> None:
        scheme = _Scheme({**_NAMES, **(names or {})})
        self._encode, self._decode = scheme.dataclass(cls)
        self.version = f"{zlib.crc32(' '.join(scheme.said).encode()):08x}"

    def encode(self, value: T, /) -> bytes:
        """The bytes to keep."""
        return _as_json(self._encode(value)).encode()

    def decode(self, data: bytes, /) -> T:
        """The object.

        Raises:
            ValueError: the bytes are not such an object.
        """
        value: T = self._decode(json.loads(data))
        return value


_NAMES: dict[str, object] = {"Mapping": Mapping, "Sequence": Sequence, "Vectors": np.ndarray}


class _Scheme:
    """Makes a pair of functions for each type: to what JSON knows, and back; and notes what it saw."""

    def __init__(self, names: Mapping[str, object]) -> None:
        self._names = dict(names)
        self.said: list[str] = []

    def dataclass(self, cls: Any) -> tuple[_Plain, _Plain]:  # noqa: ANN401
        hints = get_type_hints(cls, localns=self._names)
        fields = [field.name for field in dataclasses.fields(cls)]
        self.said.append(f"{cls.__name__}({' '.join(fields)})")
        pairs = [(name, *self.pair(hints[name])) for name in fields]

        values = _all_of(fields)
        written = [(place, to_plain) for place, (_, to_plain, _) in enumerate(pairs) if to_plain is not _same]
        read = [(name, from_plain) for name, _, from_plain in pairs]

        def encode(value: Any) -> list[Any]:  # noqa: ANN401
            plain = list(values(value))
            for place, to_plain in written:
                plain[place] = to_plain(plain[place])
            return plain

        def decode(plain: Any) -> Any:  # noqa: ANN401
            items = zip(read, _checked(plain, list), strict=True)
            return cls(**{name: from_plain(item) for (name, from_plain), item in items})

        return encode, decode

    def pair(self, hint: Any) -> tuple[_Plain, _Plain]:  # noqa: ANN401, PLR0911  a list of kinds
        origin, arguments = get_origin(hint), get_args(hint)
        if origin in {Union, types.UnionType}:
            return self._union(arguments)
        if np.ndarray in (hint, origin):
            self.said.append("f32")
            return _array_to_plain, _array_from_plain
        if dataclasses.is_dataclass(hint):
            return self.dataclass(hint)
        if isinstance(hint, type) and issubclass(hint, Enum):
            self.said.append(f"{hint.__name__}{sorted(str(each.value) for each in hint)}")
            return attrgetter("_value_"), hint  # what ``value`` gives, without the call of a property
        if hint in _SCALARS:
            self.said.append(hint.__name__)
            return _same, _reader(hint)
        if origin is Mapping or origin is dict:
            return self._mapping(arguments)
        if origin in {Sequence, tuple, list} and (origin is not tuple or arguments[1:] == (...,)):
            self.said.append("many")
            to_plain, from_plain = self.pair(arguments[0])
            return (
                list if to_plain is _same else lambda value: [to_plain(each) for each in value],
                lambda plain: tuple([from_plain(each) for each in _checked(plain, list)]),
            )
        raise ConfigError("cls", hint, "is no type that can be cached")

    def _union(self, arguments: tuple[Any, ...]) -> tuple[_Plain, _Plain]:
        kinds = [each for each in arguments if each is not types.NoneType]
        self.said.append("or None" if len(kinds) < len(arguments) else "any of")
        if all(each in _SCALARS for each in kinds):
            self.said += [each.__name__ for each in kinds]
            return _same, (lambda plain: plain if plain is None else _checked(plain, tuple(kinds)))
        if len(kinds) > 1:
            raise ConfigError("cls", kinds, "cannot be told apart when they are read")
        to_plain, from_plain = self.pair(kinds[0])
        return (
            lambda value: None if value is None else to_plain(value),
            lambda plain: None if plain is None else from_plain(plain),
        )

    def _mapping(self, arguments: tuple[Any, ...]) -> tuple[_Plain, _Plain]:
        if arguments[0] is not str:
            raise ConfigError("cls", arguments[0], "must be str as the key of a mapping")
        self.said.append("by name")
        to_plain, from_plain = self.pair(arguments[1])
        return (
            dict if to_plain is _same else lambda value: {name: to_plain(each) for name, each in value.items()},
            lambda plain: {name: from_plain(each) for name, each in _checked(plain, dict).items()},
        )


def _all_of(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Gives all these attributes of an object at once."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda value: tuple([getattr(value, name) for name in names])


def _same(value: object) -> object:
    return value


def _reader(kind: Any) -> _Plain:  # noqa: ANN401
    """What takes a value of a scalar type as it is, and refuses any other."""

    def read(plain: Any) -> Any:  # noqa: ANN401
        return plain if plain.__class__ is kind else _checked(plain, (int, float) if kind is float else kind)

    return read


def _checked(plain: Any, kinds: Any) -> Any:  # noqa: ANN401
    wanted = kinds if isinstance(kinds, tuple) else (kinds,)
    if isinstance(plain, wanted) and (bool in wanted or not isinstance(plain, bool)):
        return plain
    raise ValueError(f"a {type(plain).__name__}, where {' or '.join(each.__name__ for each in wanted)} is expected")


def _array_to_plain(value: Any) -> list[Any]:  # noqa: ANN401
    return [value.shape, base64.b64encode(value.astype("<f4", copy=False).tobytes()).decode()]


def _array_from_plain(plain: Any) -> Any:  # noqa: ANN401
    shape, text = _checked(plain, list)
    return np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float32).reshape(shape)
