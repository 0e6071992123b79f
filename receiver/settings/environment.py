"""Settings from environment variables, put into the table that the file gave.

A variable is `DLR_`, section and key: `DLR_SERVER_PORT`. In an array of tables that have names it
is the entry's name (`DLR_ENDPOINT_ACME_URL`), for entries that the file has or that a list of names
adds (`DLR_ENDPOINT_NAMES=acme,globex`). The list is explicit because a mistyped name must be a
fault: if each variable made its entry, `DLR_SOURCE_INFOBPI_…` would leave the source infobip
without its credentials.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from receiver.faults import joined
from receiver.settings.configuration import hints_of

NOT_SETTINGS = frozenset({"DLR_CONFIG", "DLR_DATABASE", "DLR_DEBUG"})
"""Variables of the command line, which are no settings of the file."""

Steps = tuple[str | int, ...]


class FromEnvironment(str):
    """A value from the environment, where everything is a text."""

    __slots__ = ()


def split(raw: Any) -> Any:
    """A text of the environment at its commas; anything else as it is."""
    if not isinstance(raw, FromEnvironment):
        return raw
    return [FromEnvironment(each.strip()) for each in raw.split(",") if each.strip()]


class Variables:
    """Puts the variables into the table that the file gave.

    `used` has the variable by the place that it sets, `faults` those that set nothing.
    """

    def __init__(self, kind: Any, table: dict[str, Any], environment: Mapping[str, str]) -> None:
        self.used: dict[str, str] = {}
        self.faults: list[str] = []
        self._arrays: list[str] = []
        self._lists: set[str] = set()  # the variables that list names
        self._added: list[Steps] = []  # the entries that they have added
        self._steps: dict[str, list[Steps]] = {}
        self._add_entries(kind, table, environment, "DLR", ())
        self._collect(kind, table, "DLR", ())
        self._tell_added()
        for variable, text in sorted(environment.items()):
            if variable.startswith("DLR_") and variable not in NOT_SETTINGS | self._lists:
                self._apply(variable, text, table)

    def _add_entries(
        self,
        kind: Any,
        table: dict[str, Any],
        environment: Mapping[str, str],
        prefix: str,
        steps: Steps,
    ) -> None:
        """An entry for each name that a variable lists and that the file does not have."""
        for name, hint in hints_of(kind).items():
            variable, inner = f"{prefix}_{_upper(name)}", (*steps, name)
            if hint.section:
                self._add_entries(hint.base, table, environment, variable, inner)
            elif hint.entry and "name" in hints_of(hint.entry):
                self._lists.add(names := f"{variable}_NAMES")
                for each in split(FromEnvironment(environment.get(names, ""))):
                    self._add_entry(table, inner, each, names)

    def _add_entry(self, table: dict[str, Any], steps: Steps, name: str, names: str) -> None:
        """Where the file has something else than an array on the way, nothing: that is told."""
        node: Any = table
        for step in steps[:-1]:
            node = node.setdefault(step, {}) if isinstance(node, dict) else None
        entries = node.setdefault(steps[-1], []) if isinstance(node, dict) else None
        if isinstance(entries, list) and name not in [_step_into(each, "name") for each in entries]:
            self._added.append((*steps, len(entries)))
            self.used[joined("", *steps, len(entries), "name")] = names
            entries.append({"name": name})

    def _tell_added(self) -> None:
        """What an added entry lacks is told by the variable that would set it."""
        for variable, places in self._steps.items():
            for steps in places:
                if any(steps[: len(added)] == added for added in self._added):
                    self.used[joined("", *steps)] = variable

    def _collect(self, kind: Any, table: object, prefix: str, steps: Steps) -> None:
        for name, hint in hints_of(kind).items():
            variable, inner = f"{prefix}_{_upper(name)}", _step_into(table, name)
            if hint.section:
                self._collect(hint.base, inner, variable, (*steps, name))
            elif hint.entry:
                self._arrays.append(variable)
                self._collect_entries(hint.entry, inner, variable, (*steps, name))
            elif not (name == "name" and steps and isinstance(steps[-1], int)):
                self._steps.setdefault(variable, []).append((*steps, name))

    def _collect_entries(self, kind: Any, entries: object, prefix: str, steps: Steps) -> None:
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(name := _step_into(entry, "name"), str):
                self._collect(kind, entry, f"{prefix}_{_upper(name)}", (*steps, index))

    def _apply(self, variable: str, text: str, table: dict[str, Any]) -> None:
        meant = self._steps.get(variable, [])
        if len(meant) == 1:
            self.used[joined("", *meant[0])] = variable
            _put(table, meant[0], FromEnvironment(text))
        elif meant:
            places = " and ".join(joined("", *steps) for steps in meant)
            self.faults.append(f"{variable}: cannot be told apart, it names {places}")
        else:
            self.faults.append(f"{variable}: there is no such setting{self._guess(variable)}")

    def _guess(self, variable: str) -> str:
        """Compared without the beginning that all have, which would make strangers look alike."""
        array = next((each for each in self._arrays if variable.startswith(f"{each}_")), "")
        begin = len(array or "DLR") + 1
        ends = [each[begin:] for each in self._steps if each.startswith(variable[:begin])]
        if close := get_close_matches(variable[begin:], ends, 1, 0.7):
            return f"; did you mean {variable[:begin]}{close[0]}?"
        if not array:
            return ""
        if f"{array}_NAMES" not in self._lists:
            return "; such entries come from the file only"
        return f"; a variable sets only entries that the file has or {array}_NAMES lists"


def _upper(name: str) -> str:
    return re.sub("[^A-Z0-9]", "_", name.upper())


def _step_into(table: object, key: str) -> object:
    return table.get(key) if isinstance(table, dict) else None


def _put(table: dict[str, Any], steps: Steps, value: str) -> None:
    """Where the file has something else than a table on the way, nothing: that is told anyway."""
    node: Any = table
    for step in steps[:-1]:
        node = node.setdefault(step, {}) if isinstance(node, dict) else node[step]
        if not isinstance(node, dict | list):
            return
    node[steps[-1]] = value
