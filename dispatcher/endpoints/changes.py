"""What a change at run time makes of an endpoint's settings. Pure.

A table has the settings under the keys of [[endpoint]] in the settings file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from dispatcher.endpoints.base import StoredEndpoint
from dispatcher.endpoints.from_outside import moves_away
from dispatcher.settings.settings import EndpointSettings, fault_of_name
from receiver.settings.configuration import ConfigurationError
from receiver.settings.reader import read_table
from receiver.settings.writing import as_table

_SETTINGS = frozenset(each.name for each in fields(EndpointSettings))
_BOUND_TO_HOST = frozenset({"headers", "security"})
"""They hold what was agreed with one host, and do not go along to another unasked."""


def table_of(row: StoredEndpoint, starting: EndpointSettings | None) -> dict[str, Any]:
    """The settings in force as a table, even if they cannot be used."""
    said = row.said
    of_file = {} if "name" in said or starting is None else as_table(starting)
    return {key: value for key, value in {**of_file, **said}.items() if value is not None}


def said_after(
    row: StoredEndpoint, table: Mapping[str, Any], changes: Mapping[str, Any], from_outside: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What has been said at run time after these changes, and the whole table in force then.

    An endpoint that moves away over the API keeps what is said of its headers and its security
    now: what the file says of them later is for the file's host.
    """
    moved = from_outside and moves_away(table, changes)
    bound = _BOUND_TO_HOST if moved else frozenset()
    after = merged({key: value for key, value in table.items() if key not in bound}, changes)
    said = {**row.said, **{key: after.get(key) for key in (*changes, *bound)}}
    return {k: v for k, v in said.items() if v is not None or k in _SETTINGS}, after


def settings_of(table: Mapping[str, Any], faults: Sequence[str]) -> EndpointSettings:
    """Raises ConfigurationError with these faults and its own; a place is told once."""
    told = {_place(fault) for fault in faults}
    try:
        settings = read_table(EndpointSettings, table)
    except ConfigurationError as error:
        more = [fault for fault in error.faults if _place(fault) not in told]
        raise ConfigurationError([*faults, *more]) from error
    if faults:
        raise ConfigurationError(faults)
    return settings


def _place(fault: str) -> str:
    return fault.partition(": ")[0]


def merged(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    after = dict(table)
    for key, value in changes.items():
        if value is None:
            after.pop(key, None)
        elif isinstance(value, Mapping):
            after[key] = merged(_to_merge_into(key, after.get(key), value), value)
        else:
            after[key] = value
    return after


def _to_merge_into(key: str, before: Any, changes: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(before, Mapping):
        return {}
    another = "type" in changes and changes["type"] != before.get("type")
    return {} if key == "security" and another else before


def unknown_nulls(changes: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, None]:
    """What is set to its default and is no setting, nor was taken for one before."""
    nulls = (key for key, value in changes.items() if value is None)
    return {key: None for key in nulls if key not in said and key not in _SETTINGS}


def faults_of_name(name: Any) -> list[str]:
    fault = fault_of_name(name) if isinstance(name, str) else None
    return [] if fault is None else [f"name: {fault}"]
