"""Typed access to raw Kubernetes objects: what we read is checked, the rest is nobody's business.

Owns the one exception, `ObjectRefused`, which names object, field and reason. Leaves what a name or an address may look
like to `text`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

from vpn_directory.text import canonical_address, is_label, is_plain, is_subdomain, shown

ApiObject = Mapping[str, Any]


class ObjectRefused(ValueError):
    """An object that cannot be read: `which` (`Service shop/web`), `field` and `why`."""

    def __init__(self, which: str, field: str, why: str) -> None:
        super().__init__(f"{which}: {field}: {why}")
        self.which = which
        self.field = field
        self.why = why


class Fields:
    """One JSON object inside an API object, with the path that led to it."""

    def __init__(self, value: object, which: str, path: str = "") -> None:
        if not isinstance(value, Mapping):
            raise ObjectRefused(which, path or "object", "expected an object")
        self._value = value
        self._which = which
        self._path = path

    @classmethod
    def of(cls, obj: object) -> Self:
        """The top of an API object, named by kind, namespace and name as far as they can be read."""
        which = "object"
        if isinstance(obj, Mapping):
            meta = obj.get("metadata")
            meta = meta if isinstance(meta, Mapping) else {}
            place = "/".join(_said(meta[key]) for key in ("namespace", "name") if meta.get(key))
            which = f"{_said(obj.get('kind') or 'object')} {place or '(without a name)'}"
        return cls(obj, which)

    @property
    def which(self) -> str:
        """The object, in words: `Service shop/web`."""
        return self._which

    def refuse(self, name: str, why: str) -> ObjectRefused:
        """The error for a field."""
        return ObjectRefused(self._which, f"{self._path}.{name}".lstrip("."), why)

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self._value.get(name) is not None

    def at(self, name: str) -> Fields:
        """An object field; missing or null reads as an empty object."""
        value = self._value.get(name)
        return Fields({} if value is None else value, self._which, f"{self._path}.{name}".lstrip("."))

    def text(self, name: str, default: str | None = "") -> str:
        """A text field; `default=None` makes it required."""
        value = self._value.get(name)
        value = default if value is None else value
        if not isinstance(value, str) or (default is None and not value):
            raise self.refuse(name, "expected text" if value is not None else "is missing")
        return value

    def label(self, name: str, default: str | None = "") -> str:
        """A text that is a DNS label; `default=None` makes it required."""
        return self._matching(name, self.text(name, default), is_label, "a lower-case DNS label (RFC 1123)")

    def folded_label(self, name: str) -> str:
        """A DNS label in whatever case; names are compared without regard to it."""
        return self._matching(name, self.text(name).lower(), is_label, "a DNS label (RFC 1123)")

    def subdomain(self, name: str, default: str | None = "") -> str:
        """A text that is a DNS name; `default=None` makes it required."""
        return self._matching(name, self.text(name, default), is_subdomain, "a lower-case DNS name (RFC 1123)")

    def plain(self, name: str) -> str:
        """A text of printable ASCII that has no further form."""
        return self._matching(name, self.text(name), is_plain, "printable ASCII of at most 253 characters")

    def _matching(self, name: str, text: str, fits: Callable[[str], bool], what: str) -> str:
        if text and not fits(text):
            raise self.refuse(name, f"{shown(text)} is not {what}")
        return text

    def number(self, name: str, low: int, high: int) -> int:
        """A whole number; missing or null reads as 0."""
        value = self._value.get(name)
        if value is None:
            return 0
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.refuse(name, f"expected a whole number from {low} to {high}")
        return value

    def flag(self, name: str, default: bool) -> bool:
        """A truth value; missing or null is the default."""
        value = self._value.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.refuse(name, "expected true or false")
        return value

    def each(self, name: str, most: int = 1 << 20) -> list[Fields]:
        """A list of at most `most` objects; missing or null is empty."""
        return [Fields(value, self._which, f"{self._path}.{name}[{i}]".lstrip("."))
                for i, value in enumerate(self._list(name, most))]

    def texts(self, name: str, most: int = 1 << 20) -> list[str]:
        """A list of at most `most` texts; missing or null is empty."""
        values = self._list(name, most)
        if not all(isinstance(value, str) for value in values):
            raise self.refuse(name, "expected a list of texts")
        return values

    def addresses(self, name: str, most: int = 1 << 20) -> tuple[str, ...]:
        """A list of at most `most` IP addresses, in canonical form."""
        return tuple(self._address(name, text) for text in self.texts(name, most))

    def address(self, name: str) -> tuple[str, ...]:
        """A text field that is an IP address; missing, null or empty is none."""
        text = self.text(name)
        return (self._address(name, text),) if text else ()

    def _address(self, name: str, text: str) -> str:
        try:
            return canonical_address(text)
        except ValueError as error:
            raise self.refuse(name, str(error)) from error

    def _list(self, name: str, most: int) -> list[Any]:
        value = self._value.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.refuse(name, "expected a list")
        if len(value) > most:
            raise self.refuse(name, f"{len(value)} entries; at most {most} are taken")
        return value


def _said(value: object) -> str:
    """A name inside an error: as it is when it is harmless, quoted otherwise."""
    return value if isinstance(value, str) and is_plain(value) else shown(value)
