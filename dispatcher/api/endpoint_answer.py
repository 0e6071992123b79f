"""An endpoint as the API takes it and as the API and the command line show it.

Settings have the keys of [[endpoint]] in the settings file, written in camelCase as everywhere in
the API. Secrets go in and never come out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Annotated, Any, get_args, get_type_hints

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from dispatcher.api.settings_types import SettingsTypes, told_type
from dispatcher.endpoints.from_outside import FILES
from dispatcher.endpoints.registry import Origin, Registered
from dispatcher.retrying.dispatch import DispatchState
from dispatcher.settings.security import SecuritySettings, TlsSettings
from dispatcher.settings.settings import EndpointSettings, OutcomeSettings
from receiver.answers import Count
from receiver.faults import without_credentials
from receiver.routes import Schema
from receiver.settings.settings import Name
from receiver.settings.writing import as_table

# --- names -------------------------------------------------------------------------------------


def _camel(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda found: found[1].upper(), name)


CAMEL = {
    each.name: _camel(each.name)
    for kind in (EndpointSettings, OutcomeSettings, SecuritySettings, TlsSettings)
    for each in fields(kind)
}
"""A table and not a rule: `retry4xx` does not tell where its underscore was."""

SNAKE = {camel: name for name, camel in CAMEL.items()}

TABLES = frozenset({"outcome", "security", "tls"})
"""Those whose keys are settings. In the others the keys are the user's, and stay as they are."""

_LONG_NAMES = re.compile(
    r"\b(" + "|".join(sorted((n for n in CAMEL if "_" in n), key=len, reverse=True)) + r")\b"
)


def in_camel_case(text: str) -> str:
    """The text of a fault with the settings' names as the API has them."""
    return _LONG_NAMES.sub(lambda found: CAMEL[found[1]], text)


# --- answers and bodies ------------------------------------------------------------------------

_types = SettingsTypes(CAMEL)

NewEndpoint = _types.said("NewEndpoint", EndpointSettings, without=FILES)
EndpointChange = _types.said("EndpointChange", EndpointSettings, without=FILES, required=False)
EndpointChange.__doc__ = "A merge patch (RFC 7396): null resets a setting to its default."

DispatchesByState = msgspec.defstruct(
    "DispatchesByState", [(state, Count) for state in get_args(DispatchState)], frozen=True
)

_SECURITY: Schema = {
    "description": "Of secrets, only whether they are set",
    "properties": {
        "type": {"type": "string", "enum": list(get_args(get_type_hints(SecuritySettings)["type"]))}
    },
    "required": ["type"],
    "additionalProperties": {"const": "set"},
}


def _shown_fields() -> list[tuple[str, Any, Any]]:
    """Every setting; of those that hold secrets only what may be told."""
    told = {
        "url": Annotated[str, Meta(description="Without user name, password and query")],
        "security": Annotated[dict[str, Any], Meta(extra_json_schema=_SECURITY)],
    }
    shown = [each for each in _types.shown(EndpointSettings) if each[0] != "name"]
    return [
        (name, told[name] | UnsetType if name in told else kind, UNSET) for name, kind, _ in shown
    ]


EndpointAnswer = msgspec.defstruct(
    "EndpointAnswer",
    [
        ("name", told_type(Name)),
        *_shown_fields(),
        ("origin", Origin),
        ("changed", Sequence[str]),
        ("paused", bool),
        ("faults", Sequence[str]),
        ("gone", bool),
        ("unread", Count),
        ("dispatches", DispatchesByState),
        (
            "warnings",
            Annotated[
                Sequence[str],
                Meta(
                    description="Only in the answer to adding or changing an endpoint, and only if"
                    " no push to its URL would be made now: why"
                ),
            ]
            | UnsetType,
            UNSET,
        ),
    ],
    rename=CAMEL.get,
    kw_only=True,
    frozen=True,
)
EndpointAnswer.__doc__ = """An endpoint has no settings here if its stored settings can no longer
be read. Then `faults` says why, and nothing is pushed to it. `gone`: it has left the settings file;
you can remove it, or give its waiting reports to another endpoint. `unread`: stored reports that it
has not read yet, including those that its rules will refuse."""


def endpoint_answer(
    registered: Registered,
    counts: Mapping[DispatchState, int],
    unread: int,
    warnings: Sequence[str] = (),
) -> Struct:
    """An endpoint as the API and the command line show it, with every setting. Of what holds
    secrets it says only what is set."""
    return EndpointAnswer(
        name=registered.name,
        **({} if registered.settings is None else _shown_settings(registered.settings)),
        origin=registered.origin,
        changed=[CAMEL.get(name, name) for name in registered.changed],
        paused=registered.paused,
        faults=[in_camel_case(text) for text in registered.faults],
        gone=registered.gone,
        unread=unread,
        dispatches=DispatchesByState(*(counts.get(state, 0) for state in get_args(DispatchState))),
        warnings=list(warnings) or UNSET,
    )


def _shown_settings(settings: EndpointSettings) -> dict[str, Any]:
    shown = {each.name: _types.value(getattr(settings, each.name)) for each in fields(settings)}
    del shown["name"]
    return shown | {
        "url": without_credentials(settings.url),
        "security": {
            CAMEL[name]: value if name == "type" else "set"
            for name, value in {"type": "none", **as_table(settings.security)}.items()
        },
    }
