"""The set of endpoints: those of the settings file, and the changes made at run time.

The file is the starting set, and holds for whatever nobody has changed at run time. A setting that
was changed through the API or the command line is kept in the database and wins over the file,
until `reset` undoes the changes. Every process that works on the database notices them.

    file has it   at run time        in force
    ---------------------------------------------------------------
    yes           nothing            as the file says
    yes           some settings      the file's, those replaced
    yes or no     added, as a whole  as it was added
    yes or no     removed            nothing, until it is added or reset
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
from msgspec import Struct, structs

from dispatcher.clocks.clock import wall_time
from dispatcher.endpoints.base import EndpointStore, Readers, Stored, StoredEndpoint, TakenOver
from dispatcher.endpoints.changes import (
    faults_of_name,
    merged,
    said_after,
    settings_of,
    table_of,
    unknown_nulls,
)
from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.endpoints.from_outside import faults_from_outside, urls_in
from dispatcher.endpoints.from_settings import endpoint_of
from dispatcher.endpoints.own_urls import OF_OWN_URLS, own_urls_of, taking_own_urls
from dispatcher.settings.settings import (
    OWN_URLS,
    PATHS_TAKEN,
    EndpointSettings,
    Settings,
    sources_of,
    unknown_sources,
)
from receiver.settings.configuration import ConfigurationError
from receiver.settings.reader import read_table

log = logging.getLogger("dlr.dispatcher")

Origin = Literal["file", "run-time", "built-in"]


class Registered(Struct, frozen=True):
    """An endpoint in force. `from_outside`: its URL came over the API and is checked as such.

    `settings` is `None` when what is stored can no longer be read; `faults` says why, and nothing
    is pushed there. `changed` are the settings of a file's endpoint that were set at run time.
    `gone`: it has left the file, and no process works for it; it has no settings then either.
    """

    name: str
    settings: EndpointSettings | None
    origin: Origin
    from_outside: bool = False
    paused: bool = False
    changed: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    gone: bool = False


class UnknownEndpoint(Exception):
    """There is no endpoint of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f'there is no endpoint "{name}"')
        self.name = name


class EndpointGone(UnknownEndpoint):
    """It has left the settings file, and can only be removed or resumed under a new name."""

    def __init__(self, name: str) -> None:
        Exception.__init__(
            self,
            f'the endpoint "{name}" is no longer in the settings file. Give its waiting'
            f" reports to another endpoint (`dlr endpoints resume {name} --as NAME`) or remove"
            " it",
        )
        self.name = name


class EndpointInForce(Exception):
    """An endpoint that is in force keeps what is its own."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f'the endpoint "{name}" is in use; another one can take over only from an'
            " endpoint that has left the settings file"
        )


class EndpointWorkedFor(EndpointInForce):
    """It is in no settings here, but another process works for it."""

    def __init__(self, name: str) -> None:
        Exception.__init__(
            self,
            f'another process pushes to the endpoint "{name}", or was killed less than three'
            " minutes ago; try again after it has stopped",
        )


class EndpointExists(Exception):
    """An endpoint of this name is there already."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f'there is already an endpoint "{name}"; change that one or choose another name'
        )


class Registry:
    """Reads and changes the set of endpoints. Each change is one transaction.

    `sources` are the sources that an endpoint can name; `None`: any. `own_urls`: whether there is
    an endpoint for reports that came with a URL of their own (own_urls.py) from the start. Without
    it, there is one only if there was one before. `of_own_urls` are its settings. `now` is the time
    of the world.
    """

    def __init__(
        self,
        store: EndpointStore,
        of_file: Sequence[EndpointSettings],
        sources: Collection[str] | None = None,
        *,
        own_urls: bool = False,
        of_own_urls: EndpointSettings = OF_OWN_URLS,
        now: Callable[[], datetime] = wall_time,
    ) -> None:
        self._store = store
        self._of_own_urls = of_own_urls
        self._now = now
        self._of_file = {endpoint.name: endpoint for endpoint in of_file}
        if own_urls:
            self._of_file[OWN_URLS] = of_own_urls
        self._sources = sources
        self._read: dict[str, tuple[str, EndpointSettings]] = {}  # by name: stored text, as read
        self._told: dict[str, tuple[str, ...]] = {}  # faults that were logged

    @property
    def has_file(self) -> bool:
        """Whether the settings file names an endpoint."""
        return any(name != OWN_URLS for name in self._of_file)

    async def version(self) -> int:
        """A number that goes up with each change at run time, by whatever process."""
        return await self._store.version()

    async def all(self) -> dict[str, Registered]:
        """The endpoints in force, by name: the file's first."""
        return self._all(await self._store.stored())

    async def gone(self) -> dict[str, Registered]:
        """The endpoints that have left the settings file and that no process works for."""
        stored = await self._store.stored()
        in_force = self._all(stored).keys() | await self._store.worked_for(self._now())
        return {
            name: Registered(name, None, "file", paused=row.paused, gone=True)
            for name, row in stored.items()
            if not row.removed and name not in in_force
        }

    async def listed(self) -> dict[str, Registered]:
        """The endpoints in force, and after them those that are gone."""
        return {**await self.all(), **await self.gone()}

    async def one(self, name: str) -> Registered:
        """The listed endpoint of this name. Raises UnknownEndpoint."""
        found = (await self.listed()).get(name)
        if found is None:
            raise UnknownEndpoint(name)
        return found

    async def readers(self) -> Readers:
        """The endpoints in force with their rules, and the names of those that are gone."""
        endpoints = await self.endpoints()
        rules = {endpoint.name: endpoint.rules for endpoint in endpoints}
        return Readers(rules, frozenset(await self.gone()))

    async def work(self, until: timedelta) -> None:
        """Tell other processes that this one works for the endpoints in force, from now on until
        `until` has passed. It repeats the call while it works, and calls with 0 when it stops."""
        await self._store.work_for(list(await self.all()), self._now() + until)

    async def worked_for(self) -> frozenset[str]:
        """The endpoints that some process works for now."""
        return await self._store.worked_for(self._now())

    async def endpoints(self) -> list[Endpoint]:
        """The endpoints in force, as the worker takes them. An endpoint whose settings cannot be
        read is left out: its dispatches wait, and use up no retries."""
        endpoints = []
        for each in (await self.all()).values():
            self._tell(each)
            if each.settings is not None:
                endpoints.append(endpoint_in_force(each, each.settings))
        return endpoints

    async def add(self, table: Mapping[str, Any], *, from_outside: bool) -> Registered:
        """Add an endpoint. `table` has the keys of [[endpoint]] in the settings file; null is the
        default.

        Raises ConfigurationError with all faults, EndpointExists.
        """
        whole, settings = self._new(table, from_outside)

        def added(stored: Stored) -> StoredEndpoint:
            if settings.name in self._all(stored):
                raise EndpointExists(settings.name)
            return StoredEndpoint(_json(whole), from_outside)

        await self._store.put(settings.name, added, known=self._known())
        return Registered(settings.name, settings, "run-time", from_outside)

    def endpoint_of(self, table: Mapping[str, Any], *, from_outside: bool) -> Endpoint:
        """What `add` would make of these settings, which are not stored; the name may be taken.
        Raises ConfigurationError with all faults."""
        return endpoint_of(self._new(table, from_outside)[1], from_outside=from_outside)

    def _new(
        self, table: Mapping[str, Any], from_outside: bool
    ) -> tuple[dict[str, Any], EndpointSettings]:
        """The table without what is null, and its settings. Raises ConfigurationError."""
        whole = merged({}, table)
        faults = [*self._faults(table, {}, from_outside), *faults_of_name(whole.get("name"))]
        return whole, settings_of(whole, faults)

    async def change(
        self, name: str, changes: Mapping[str, Any], *, from_outside: bool
    ) -> Registered:
        """Change some settings of an endpoint by a merge patch (RFC 7396): null sets a key to its
        default, tables are merged. A `security` of another type replaces the old one.

        Raises ConfigurationError with all faults, UnknownEndpoint.
        """

        if changes.get("name", name) != name:
            text = (
                "name: the name of an endpoint cannot change; add a new endpoint and remove"
                " this one"
            )
            raise ConfigurationError([text])
        if name == OWN_URLS and "url" in changes:
            raise ConfigurationError(["url: each report brings its own"])
        changes = {key: value for key, value in changes.items() if key != "name"}

        def changed(stored: Stored) -> StoredEndpoint:
            before = self._one(stored, name)
            row = stored.get(name, StoredEndpoint())
            table = table_of(row, self._starting(name, stored))
            faults = self._faults(changes, table, from_outside)
            said, after = said_after(row, table, changes, from_outside)
            settings_of({**after, **unknown_nulls(changes, row.said), "name": name}, faults)
            outside = _is_outside(before, after, changes, from_outside)
            return structs.replace(row, settings=_json(said), from_outside=outside)

        await self._store.put(name, changed, known=self._known())
        return await self.one(name)

    async def pause(self, name: str, paused: bool) -> None:
        """Pause the pushes of an endpoint, or resume them. Raises UnknownEndpoint."""

        def held(stored: Stored) -> StoredEndpoint:
            self._one(stored, name)
            return structs.replace(stored.get(name, StoredEndpoint()), paused=paused)

        await self._store.put(name, held, known=self._known())

    async def remove(self, name: str) -> int:
        """Remove an endpoint, which may be gone. Its waiting dispatches are cancelled; returns how
        many.

        Raises UnknownEndpoint.
        """

        def check(stored: Stored) -> None:
            row = stored.get(name)
            if row is None or row.removed:
                self._one(stored, name)

        return await self._store.remove(name, check, known=self._known())

    async def resume_as(self, name: str, other: str) -> TakenOver:
        """Give what waits for an endpoint that is gone to another one, and remove it.

        Raises UnknownEndpoint of either, EndpointInForce.
        """
        if name not in await self.gone():
            if name in await self.all():
                raise EndpointInForce(name)
            if name in await self._store.worked_for(self._now()):
                raise EndpointWorkedFor(name)
            raise UnknownEndpoint(name)
        by = next((each for each in await self.endpoints() if each.name == other), None)
        if by is None or by.own_urls:
            raise UnknownEndpoint(other)

        def check(stored: Stored) -> None:
            if name in self._all(stored):
                raise EndpointInForce(name)

        return await self._store.take_over(name, by, check, known=self._known())

    async def reset(self, name: str) -> None:
        """Undo all changes made at run time: the file alone holds. Raises UnknownEndpoint."""

        def as_in_file(stored: Stored) -> StoredEndpoint:
            if self._starting(name, stored) is None:
                raise UnknownEndpoint(name)
            return StoredEndpoint()

        await self._store.put(name, as_in_file, known=self._known())

    def _known(self) -> Collection[str]:
        """The file's too: after a change they would not be the first of the database any more."""
        return self._of_file.keys()

    # --- what is in force ----------------------------------------------------------------------

    def _all(self, stored: Stored) -> dict[str, Registered]:
        names = dict.fromkeys([*self._of_file, *stored])
        found = {name: self._registered(name, stored) for name in names}
        return {name: endpoint for name, endpoint in found.items() if endpoint is not None}

    def _one(self, stored: Stored, name: str) -> Registered:
        found = self._registered(name, stored)
        if found is not None:
            return found
        row = stored.get(name)
        raise UnknownEndpoint(name) if row is None or row.removed else EndpointGone(name)

    def _starting(self, name: str, stored: Stored) -> EndpointSettings | None:
        """What an endpoint starts with: the file's settings, or those that are built in."""
        if name == OWN_URLS and name in stored:
            return self._of_own_urls
        return self._of_file.get(name)

    def _registered(self, name: str, stored: Stored) -> Registered | None:
        row = stored.get(name, StoredEndpoint())
        if row.removed:
            return None
        of_file, said = self._starting(name, stored), row.said
        if "name" not in said and of_file is None:
            return None
        endpoint = Registered(
            name=name,
            settings=of_file,
            origin=_origin(name, said),
            from_outside=row.from_outside,
            paused=row.paused,
            changed=() if "name" in said else tuple(said),
        )
        if not said:
            return endpoint
        try:
            return structs.replace(endpoint, settings=self._settings_of(name, row, of_file))
        except ConfigurationError as error:
            return structs.replace(endpoint, settings=None, paused=True, faults=error.faults)

    def _settings_of(
        self, name: str, row: StoredEndpoint, starting: EndpointSettings | None
    ) -> EndpointSettings:
        """Read once for each text: reading costs a millisecond. Raises ConfigurationError."""
        text = row.settings or ""
        known = self._read.get(name)
        if known is None or known[0] != text:
            known = self._read[name] = (
                text,
                read_table(EndpointSettings, table_of(row, starting)),
            )
        return known[1]

    def _tell(self, endpoint: Registered) -> None:
        if endpoint.faults and self._told.get(endpoint.name) != endpoint.faults:
            faults = "; ".join(endpoint.faults)
            log.error(
                "endpoint %s gets no pushes, because its settings cannot be used: %s",
                endpoint.name,
                faults,
            )
        if endpoint.name in PATHS_TAKEN and endpoint.name not in self._told:
            log.warning(
                "endpoint %s has a name that is now reserved, because %s. It still works, and"
                " GET /api/endpoints and `dlr endpoints` show it. Add it under another name,"
                " and remove this one when nothing waits for it",
                endpoint.name,
                PATHS_TAKEN[endpoint.name],
            )
        self._told[endpoint.name] = endpoint.faults

    # --- what is said --------------------------------------------------------------------------

    def _faults(
        self, changes: Mapping[str, Any], before: Mapping[str, Any], from_outside: bool
    ) -> list[str]:
        """The faults that reading the settings alone does not find. Only the changes are looked at,
        because a source that is removed later must not stop an endpoint."""
        faults = list(faults_from_outside(changes, before)) if from_outside else []
        named = changes.get("sources")
        if self._sources is not None and isinstance(named, list):
            faults += [f"{at}: {text}" for at, text in unknown_sources(named, self._sources)]
        return faults


def endpoint_in_force(registered: Registered, settings: EndpointSettings) -> Endpoint:
    """An endpoint with these settings, which are its own, as the worker takes it."""
    endpoint = endpoint_of(settings, from_outside=registered.from_outside)
    if registered.name == OWN_URLS:
        endpoint = taking_own_urls(endpoint)
    return structs.replace(endpoint, paused=registered.paused)


def registry_of(store: EndpointStore, settings: Settings, *, own_urls: bool = False) -> Registry:
    """The endpoints of a database and a settings file. If there were reports with a URL of their
    own, the endpoint for them is among these."""
    return Registry(
        store,
        settings.endpoint,
        sources_of(settings),
        own_urls=own_urls,
        of_own_urls=own_urls_of(settings.sandbox),
    )


def _origin(name: str, said: Mapping[str, Any]) -> Origin:
    if "name" in said:
        return "run-time"
    return "built-in" if name == OWN_URLS else "file"


def _json(table: Mapping[str, Any]) -> str:
    return msgspec.json.encode(table).decode()


def _is_outside(
    before: Registered,
    after: Mapping[str, Any],
    changes: Mapping[str, Any],
    from_outside: bool,
) -> bool:
    """Whether a URL of the endpoint came over the API and not from the operator."""
    if from_outside:
        return before.from_outside or bool(urls_in(changes))
    return before.from_outside and set(urls_in(after)) != set(urls_in(changes))
