"""Objects and lists of values, and how both look in XML."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from dispatcher.sandbox.wire.rules import NOT_NULL, Hex, Inspection, Rule, Text
from receiver.dlr.fields import describe

Values = dict[str, Any]
"""The fields of an object that was read, by the provider's names; None is an absent one."""


@dataclass(frozen=True, slots=True)
class Field:
    """One row of a table: the provider's name, what it must be, and who says so."""

    name: str
    rule: Rule
    source: str
    required: bool = False
    default: Any = None


Check = Callable[[Values, dict[str, Any]], Iterable[tuple[str, str]]]
"""What several fields must be together: the field at fault ("" is the object) and a text. Told by
the values, which are None after a fault, and by the object as it came."""


class Table:
    """An object. Fields that are not in its table are ignored: real clients send such ones.

    `make` makes a value of the fields; it is called only when none of them is at fault.
    """

    def __init__(
        self,
        *fields: Field,
        check: Check | None = None,
        make: Callable[[Values], Any] | None = None,
    ) -> None:
        self.fields = fields
        self._check = check
        self._make = make

    def read(self, value: Any, place: str, inspection: Inspection) -> Any:
        if not isinstance(value, dict):
            inspection.misfit(place, f"must be an object, got {describe(value)}")
            return None
        before = len(inspection.misfits)
        begin = f"{place}." if place else ""
        values: Values = {}
        for field in self.fields:
            values[field.name] = _read(field, value.get(field.name), begin + field.name, inspection)
        if self._check is not None:
            for name, text in self._check(values, value):
                inspection.misfit(begin + name if name else place, text)
        if self._make is None:
            return values
        return self._make(values) if len(inspection.misfits) == before else None

    def words(self) -> str:
        return "object"

    def schema(self) -> dict[str, Any]:
        required = [field.name for field in self.fields if field.required]
        properties = {field.name: field.rule.schema() for field in self.fields}
        return {"type": "object", "properties": properties, "required": required}


def _read(field: Field, came: Any, place: str, inspection: Inspection) -> Any:
    """The value of a field. A blank one, such as an empty element or parameter, is absent, unless
    it is a text."""
    if came is not None and (not _is_blank(came) or isinstance(field.rule, _BLANK_SAYS)):
        before = len(inspection.misfits)
        value = field.rule.read(came, place, inspection)
        if value is not None or len(inspection.misfits) > before:
            return value
    if field.required:
        inspection.misfit(place, NOT_NULL)
    return field.default


def _is_blank(came: Any) -> bool:
    return isinstance(came, str) and not came.strip()


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of at least one. `one`: a value alone is a list of it. `commas`: an item may be
    several, with commas between them.

    In XML the items are children of these `names`, or the list's element is repeated itself
    (reference, part 2.4).
    """

    item: Rule
    names: tuple[str, ...]
    one: bool = False
    commas: bool = False

    def read(self, value: Any, place: str, inspection: Inspection) -> list[Any] | None:
        if not isinstance(value, list):
            if not self.one or isinstance(value, dict):
                inspection.misfit(place, f"must be a list, got {describe(value)}")
                return None
            value = [value]
        if not value:
            inspection.misfit(place, "must not be empty")
        if self.commas:
            value = [part for each in value for part in _parts(each)]
        return [self._item(each, f"{place}[{n}]", inspection) for n, each in enumerate(value)]

    def _item(self, value: Any, place: str, inspection: Inspection) -> Any:
        if value is None:
            inspection.misfit(place, NOT_NULL)
            return None
        return self.item.read(value, place, inspection)

    def words(self) -> str:
        return "list of at least one"

    def schema(self) -> dict[str, Any]:
        item = self.item.schema()
        items = {"type": "array", "items": item, "minItems": 1}
        return {"anyOf": [items, item]} if self.one else items


def _parts(item: Any) -> list[Any]:
    """An item, or those that commas part it into."""
    return item.split(",") if isinstance(item, str) else [item]


_BLANK_SAYS = (Text, Hex, ListOf, Table)
"""The rules to which a blank value says something, even if only that it is blank."""


def from_xml(element: Any, rule: Rule) -> Any:
    """What JSON would have for an element: lists are unwrapped, empty elements empty objects."""
    if isinstance(rule, ListOf):
        return [from_xml(each, rule.item) for each in _items(element, rule)]
    if not isinstance(rule, Table):
        return element
    if isinstance(element, str) and not element.strip():
        return {}
    if not isinstance(element, dict):
        return element
    rules = {field.name: field.rule for field in rule.fields}
    return {
        name: None if child is None else from_xml(child, rules[name])
        for name, child in element.items()
        if name in rules
    }


def _items(element: Any, rule: ListOf) -> Iterator[Any]:
    for each in element if isinstance(element, list) else [element]:
        held = [each[name] for name in rule.names if isinstance(each, dict) and name in each]
        if held:
            for children in held:
                yield from children if isinstance(children, list) else [children]
        elif not (isinstance(rule.item, Table) and isinstance(each, str) and not each.strip()):
            yield each
