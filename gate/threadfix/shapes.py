"""Parses JSON strictly, and converts it to named tuples."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import UnionType
from typing import Any, Final, NamedTuple, NoReturn, TypeVar, cast, get_args, get_origin

T = TypeVar("T")
Shape = TypeVar("Shape")
Read = Callable[[Any, str], Any]
"""Converts a JSON value; the second argument is its place in the response, such as `$.object.appId`."""
MOST_OPENINGS: Final = 1_000_000  # bytes `{` and `[` that are too many: parsing 16 MiB of `{"a":{}}` takes 480 MB
WINDOW: Final = 1024 * 1024  # bytes of a response that are decoded together
DROPPED: Final = ("scans", "findings")  # never read: an application has all its scans, and a scan all its findings
MOST_DIGITS: Final = 19  # of the largest whole number of a Java server
_BLANKS: Final = re.compile("[ \t\n\r]*")
_WORDS: Final = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a fraction or a very large number",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


class NotThreadFixError(ValueError):
    """The body is not a response of ThreadFix. The message contains no text from the server."""


def parse_json(body: bytes | bytearray, digits: Sequence[str] = (), window: int = WINDOW) -> object:
    """Return the JSON value in `body`; in a body longer than `window` without the entries of `DROPPED`.

    Dropped entries are parsed too. Lone surrogates are kept: Java servers send them. `digits` are secrets made of
    digits; a number that contains a secret counts as unknown and is never shown.

    Raises:
        NotThreadFixError: the body is not JSON, has a name twice, or would take too much memory.
    """
    if body.count(b"{") + body.count(b"[") >= MOST_OPENINGS:
        raise NotThreadFixError(f"it has {MOST_OPENINGS:,} or more objects and lists")
    try:
        return _Parser(body, partial(_whole, hidden=digits) if digits else _whole, window).parse()
    except (ValueError, RecursionError) as error:
        raise NotThreadFixError(str(error) if isinstance(error, NotThreadFixError) else "it is not JSON") from error


class _Parser:
    """Parses a body in windows, so that it is never decoded as a whole. A value longer than a window is taken apart."""

    def __init__(self, body: bytes | bytearray, whole: Callable[[str], int | float], size: int) -> None:
        decoder = json.JSONDecoder(object_pairs_hook=_object, parse_int=whole, parse_constant=_no_number)
        self._parse = decoder.raw_decode
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._left = memoryview(body)
        self._size, self._window, self._at = size, "", 0

    def parse(self) -> object:
        value = self._value()
        if self._next():
            raise ValueError("there is more after the value")
        return value

    def _extend(self) -> None:
        """Drop the parsed part of the window, and decode more: at least as much again, or long texts take too long."""
        size = max(self._size, len(self._window) - self._at)
        piece, self._left = self._left[:size], self._left[size:]
        self._window = self._window[self._at :] + self._decode(bytes(piece), not self._left)
        self._at = 0

    def _next(self) -> str:
        """Return the next character that is not a blank; empty at the end."""
        while True:
            self._at = _BLANKS.match(self._window, self._at).end()  # type: ignore[union-attr]  # it always matches
            if self._at < len(self._window) or not self._left:
                return self._window[self._at : self._at + 1]
            self._extend()

    def _value(self) -> object:
        while True:
            first = self._next()
            try:
                value, end = self._parse(self._window, self._at)
            except json.JSONDecodeError:
                # The end of the value may not be decoded yet.
                if not self._left:
                    raise
            else:
                if not self._left or end + len("e+1") <= len(self._window):
                    self._at = end
                    return value
            if first == '"' or len(self._window) - self._at < self._size:
                self._extend()
            elif first == "[":
                return list(self._items("]", self._value))
            elif first == "{":
                return _object(list(self._items("}", self._member)))
            else:
                raise ValueError("this is not a value")

    def _member(self) -> tuple[str, object]:
        if self._next() != '"':
            raise ValueError("this is not a name")
        name = cast("str", self._value())
        self._skip(":")
        if name in DROPPED and self._next() == "[":
            for _ in self._items("]", self._value):
                pass
            return name, []
        return name, self._value()

    def _items(self, closing: str, item: Callable[[], T]) -> Iterator[T]:
        """Parse the items of a list or an object, with both brackets."""
        self._at += 1
        if self._next() == closing:
            self._at += 1
            return
        while True:
            yield item()
            if self._skip(f",{closing}") == closing:
                return

    def _skip(self, expected: str) -> str:
        character = self._next()
        if not character or character not in expected:
            raise ValueError("this is not punctuation")
        self._at += 1
        return character


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) < len(pairs):
        # Parsers disagree about which of the two counts, so a proxy may have read another response than the gate.
        raise NotThreadFixError("it is JSON, but an object in it has the same name twice")
    return entries


def _whole(digits: str, hidden: Sequence[str] = ()) -> int | float:
    """Return a number that is too long or contains a secret as a float, because no field has this type."""
    if len(digits) > MOST_DIGITS or any(secret in digits for secret in hidden):
        return float(digits)
    return int(digits)


def _no_number(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def to_shape(value: object, shape: type[Shape], place: str) -> Shape:
    """Convert parsed JSON to a shape: a named tuple, or a list of one kind of them.

    The type of its fields is `str`, `bool`, `int`, `Any`, or a shape. A field with a default may be absent, but only a
    field of type `Any` may be null. `place` is the path of the value in the response, such as `$.object`.

    Raises:
        NotThreadFixError: a field is missing or has another type.
    """
    try:
        return cast("Shape", _reader(shape)(value, place))
    except NotThreadFixError as error:
        raise NotThreadFixError(f"it is JSON, but not of ThreadFix's shape: {error}") from error


def _reader(kind: object) -> Read:
    """Return a function that reads values of a type; all items of a list share it."""
    if isinstance(kind, UnionType):  # With None, if the field is missing.
        kind = get_args(kind)[0]
    if kind is Any:
        return lambda value, _: value
    if get_origin(kind) is list:
        item = _reader(get_args(kind)[0])
        return lambda value, place: [item(entry, f"{place}[{i}]") for i, entry in enumerate(_exact(value, list, place))]
    assert isinstance(kind, type)  # noqa: S101 - shapes have no other types
    if issubclass(kind, tuple):
        return _shape_reader(cast("type[NamedTuple]", kind))
    return lambda value, place: _exact(value, kind, place)


def _shape_reader(shape: type[NamedTuple]) -> Read:
    plan = [(name, _camel(name), _reader(shape.__annotations__[name])) for name in shape._fields]

    def read(value: object, place: str) -> object:
        entries, values = _exact(value, dict, place), dict(shape._field_defaults)
        for name, key, reader in plan:
            if key in entries:
                values[name] = reader(entries[key], f"{place}.{key}")
            elif name not in values:
                raise NotThreadFixError(f"`{place}.{key}` is missing")
        return shape._make(values[name] for name in shape._fields)

    return read


def _exact(value: object, kind: type[Shape], place: str) -> Shape:
    """Return the value if it has exactly this type: True is no number, and 1.0 is not whole."""
    if type(value) is not kind:
        raise NotThreadFixError(f"`{place}` must be {_WORDS[kind]}, but is {_WORDS[type(value)]}")
    return value


def _camel(name: str) -> str:
    """Return ThreadFix's name of a field: `appId` of `app_id`."""
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))
