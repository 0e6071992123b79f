"""The HTTP reference: what the process's own OpenAPI document says, as pages show it. Pure."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

from markupsafe import Markup
from msgspec import Struct

Schema = Mapping[str, Any]

GROUPS: Final = (
    ("Callbacks", r"/notify"),
    ("Reports and messages", r"/api/(reports|messages|totals|callbacks|unrouted)"),
    ("Quarantine", r"/api/quarantine"),
    ("Pushes", r"/api/dispatches"),
    ("Endpoints", r"/api/endpoints"),
    ("Replays", r"/api/replays"),
    ("Other questions", r"/api/"),
    ("Health and metrics", r"/(healthz|readyz|metrics)$"),
    ("Sandbox: for test suites", r"/(sandbox/|l/)"),
    ("Sandbox: the send API", r""),
)
"""The title of each group and how its paths begin. The first that fits is the one."""


class Operation(Struct, frozen=True):
    """A method of a path. `name` is its own among all."""

    name: str
    method: str
    path: str
    summary: str
    said: Schema


def operations(document: Schema) -> Mapping[str, Operation]:
    """All of them, by name."""
    return {
        said["operationId"]: Operation(
            said["operationId"], method.upper(), path, said["summary"], said
        )
        for path, methods in document["paths"].items()
        for method, said in methods.items()
    }


def grouped(all_of_them: Mapping[str, Operation]) -> Mapping[str, Sequence[Operation]]:
    """The operations of each group that has any, by path."""
    found: dict[str, list[Operation]] = {title: [] for title, _ in GROUPS}
    for each in all_of_them.values():
        found[next(title for title, begin in GROUPS if re.match(begin, each.path))].append(each)
    return {title: sorted(each, key=lambda one: one.path) for title, each in found.items() if each}


# --- types ---------------------------------------------------------------------------------------


def type_words(schema: Schema) -> Markup:
    """What a value must be: `list of Report`, with links to schemas that have a name."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return Markup('<a href="/docs/api/schemas/{}">{}</a>').format(quote(name), name)
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return Markup(" or ").join(type_words(each) for each in schema[several])
    if "const" in schema:
        return Markup("<code>{}</code>").format(json.dumps(schema["const"]))
    if "enum" in schema:
        named = (Markup("<code>{}</code>").format(each) for each in schema["enum"])
        return Markup(", ").join(named)
    kinds = schema.get("type", "any value")
    names = kinds if isinstance(kinds, list) else [kinds]
    return Markup(" or ").join(_kind(name, schema) for name in names) + _bounds(schema)


def _kind(name: str, schema: Schema) -> Markup:
    match name:
        case "array" if "items" in schema:
            return Markup("list of ") + type_words(schema["items"])
        case "array":
            return Markup("list")
        case "object" if isinstance(schema.get("additionalProperties"), dict):
            return Markup("object, each field ") + type_words(schema["additionalProperties"])
        case "string" if "format" in schema:
            return Markup("string ({})").format(schema["format"])
    return Markup("{}").format(name)


ENDLESS: Final = 10**15
"""A bound that nobody meets by counting is not told."""


def _bounds(schema: Schema) -> str:
    """`, 1 to 1000`, `, at most 64 characters`."""
    for least, most, unit in (
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
    ):
        low, high = schema.get(least), schema.get(most)
        if high is not None and high >= ENDLESS:
            high = None
        if low and high is not None:
            return f", {low} to {high}{unit}"
        if high is not None:
            return f", at most {high}{unit}"
        if low:
            return f", at least {low}{unit}"
    return ""


class Row(Struct, frozen=True):
    """A field: `messages[].to`."""

    name: str
    type: Markup
    required: bool
    words: str
    default: str | None


def rows(schema: Schema, prefix: str = "") -> Iterator[Row]:
    """The fields of an object, and those of objects in it that have no name of their own."""
    needed = schema.get("required", ())
    for name, inner in schema.get("properties", {}).items():
        yield Row(
            name=prefix + name,
            type=type_words(inner),
            required=name in needed,
            words=_described(inner),
            default=json.dumps(inner["default"]) if inner.get("default") is not None else None,
        )
        yield from rows(inner, f"{prefix}{name}.")
        if isinstance(inner.get("items"), dict):
            yield from rows(inner["items"], f"{prefix}{name}[].")


def _described(schema: Schema) -> str:
    """What is said of a value: of one of its alternatives where nothing is said of all."""
    said = schema.get("description") or next(
        (each["description"] for each in schema.get("anyOf", ()) if "description" in each), ""
    )
    return str(said)


# --- examples ------------------------------------------------------------------------------------


def example_of(schema: Schema, schemas: Mapping[str, Schema], depth: int = 0) -> Any:
    """A value that fits: of objects the fields that must be there."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    if schema.get("examples"):
        return schema["examples"][0]
    for name in ("const", "default"):
        if schema.get(name) is not None:
            return schema[name]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return example_of(schema["anyOf"][0], schemas, depth)
    kinds = schema.get("type")
    match kinds[0] if isinstance(kinds, list) else kinds:
        case "object":
            needed = schema.get("required", ()) if depth < 4 else ()
            fields = schema.get("properties", {})
            return {name: example_of(fields[name], schemas, depth + 1) for name in needed}
        case "array":
            few = schema.get("minItems", 0) and depth < 4
            return [example_of(schema["items"], schemas, depth + 1)] if few else []
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
    return "text"


def curl(operation: Operation, document: Schema, origin: str) -> str:
    """A command to copy. Secrets are variables of the shell."""
    said = operation.said
    words = ["curl"]
    if operation.method not in ("GET", "POST"):
        words += ["-X", operation.method]
    words += _credentials(said, document)
    body = said.get("requestBody")
    if body is not None:
        words += _data(body["content"], document["components"]["schemas"])
    elif operation.method == "POST":
        words += ["-X", "POST"]
    return " ".join([*words, shlex.quote(origin + _filled(operation))])


def _filled(operation: Operation) -> str:
    """The path with examples in it, and the parameters without which it does not go."""
    path, query = operation.path, {}
    for each in operation.said.get("parameters", ()):
        value = _of_parameter(each["name"], each["schema"])
        if each["in"] == "path":
            path = path.replace(f"{{{each['name']}}}", quote(value, safe=""))
        elif each["in"] == "query" and each.get("required"):
            query[each["name"]] = value
    return f"{path}?{urlencode(query)}" if query else path


def _of_parameter(name: str, schema: Schema) -> str:
    """An example of it; of a number that counts from 0 the one that something may have."""
    example = example_of(schema, {})
    if example == "text":
        return "acme" if name == "name" else "1"
    return str(example or 1)


def _data(content: Mapping[str, Any], schemas: Mapping[str, Schema]) -> list[str]:
    media = "application/json" if "application/json" in content else next(iter(content))
    said = content[media]
    examples = [each["value"] for each in said.get("examples", {}).values()]
    example = examples[0] if examples else example_of(said.get("schema", {}), schemas)
    if media == "application/json":
        return ["--json", shlex.quote(json.dumps(example, ensure_ascii=False))]
    if media == "application/x-www-form-urlencoded" and isinstance(example, dict):
        return ["-d", shlex.quote(urlencode(example))]
    return ["-H", shlex.quote(f"Content-Type: {media}"), "--data-binary", "@body"]


def _credentials(said: Schema, document: Schema) -> list[str]:
    """The options of the first way to show who asks; none where it goes without."""
    ways = said.get("security", [])
    if not ways or {} in ways:
        return []
    schemes = document["components"]["securitySchemes"]
    words = []
    for name in ways[0]:
        scheme = schemes[name]
        match scheme["type"], scheme.get("scheme"), scheme.get("in"):
            case "http", "bearer", _:
                words += ["-H", '"Authorization: Bearer $TOKEN"']
            case "http", _, _:
                words += ["-u", '"$USERNAME:$PASSWORD"']
            case "apiKey", _, "header":
                words += ["-H", f'"{scheme["name"]}: $SECRET"']
    return words
