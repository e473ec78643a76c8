"""Typed access to raw Kubernetes objects: what we read is checked, the rest is nobody's business.

Owns the one exception, `ObjectRefused`, which names object, field and reason.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, Self

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
            place = "/".join(str(meta[key]) for key in ("namespace", "name") if meta.get(key))
            which = f"{obj.get('kind') or 'object'} {place or '(without a name)'}"
        return cls(obj, which)

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

    def each(self, name: str) -> list[Fields]:
        """A list of objects; missing or null is empty."""
        return [Fields(value, self._which, f"{self._path}.{name}[{i}]".lstrip("."))
                for i, value in enumerate(self._list(name))]

    def texts(self, name: str) -> list[str]:
        """A list of texts; missing or null is empty."""
        values = self._list(name)
        if not all(isinstance(value, str) for value in values):
            raise self.refuse(name, "expected a list of texts")
        return values

    def addresses(self, name: str) -> tuple[str, ...]:
        """A list of IP addresses in canonical form."""
        try:
            return tuple(str(ipaddress.ip_address(text)) for text in self.texts(name))
        except ValueError as error:
            raise self.refuse(name, str(error)) from error

    def labels(self) -> dict[str, str]:
        """metadata.labels."""
        found = self.at("metadata").at("labels")._value
        return {str(key): str(value) for key, value in found.items()}

    def _list(self, name: str) -> list[Any]:
        value = self._value.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.refuse(name, "expected a list")
        return value
