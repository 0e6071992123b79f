"""Help: the guides, and the reference of the HTTP API."""

from __future__ import annotations

import json

from aiohttp import web

from dispatcher.web.guides import GUIDES, guide
from dispatcher.web.reference import (
    Operation,
    Schema,
    curl,
    grouped,
    operations,
    rows,
    type_words,
)
from dispatcher.web.site import Site, page


class HelpPages:
    def __init__(self, site: Site) -> None:
        self._site = site

    @page("/docs", "showHelp")
    async def all(self, request: web.Request) -> web.Response:
        return self._site.show(request, "help.html.jinja", guides=GUIDES)

    # --- the HTTP reference, whose paths come before those of guides ------------------------------

    @page("/docs/api", "showReference")
    async def reference(self, request: web.Request) -> web.Response:
        document = self._document(request)
        return self._site.show(
            request,
            "reference.html.jinja",
            groups=grouped(operations(document)),
            info=document["info"],
        )

    @page("/docs/api/{name}", "showReferenceOperation")
    async def operation(self, request: web.Request) -> web.Response:
        document = self._document(request)
        found = operations(document).get(request.match_info["name"])
        if found is None:
            raise web.HTTPNotFound(text="The reference has no such request.")
        return self._site.show(
            request,
            "reference_operation.html.jinja",
            operation=found,
            parameters=found.said.get("parameters", ()),
            body=found.said.get("requestBody"),
            examples=_examples(found),
            replies=_replies(found, document),
            command=curl(found, document, str(request.url.origin())),
            type_words=type_words,
            rows=rows,
        )

    @page("/docs/api/schemas/{name}", "showReferenceSchema")
    async def schema(self, request: web.Request) -> web.Response:
        document = self._document(request)
        name = request.match_info["name"]
        found = document["components"]["schemas"].get(name)
        if found is None:
            raise web.HTTPNotFound(text="The reference has no such schema.")
        return self._site.show(
            request,
            "reference_schema.html.jinja",
            name=name,
            schema=found,
            fields=list(rows(found)),
            words=type_words(found),
            used_by=[each for each in operations(document).values() if _names(each.said, name)],
        )

    def _document(self, request: web.Request) -> Schema:
        return self._site.inside.openapi.of(request.app)

    @page("/docs/{guide}", "showGuide")
    async def guide(self, request: web.Request) -> web.Response:
        found = guide(request.match_info["guide"])
        if found is None:
            raise web.HTTPNotFound(text="There is no such guide. The help lists them all.")
        shown, rendered = found
        return self._site.show(request, "guide.html.jinja", guide=shown, rendered=rendered)


def _examples(operation: Operation) -> list[tuple[str, str]]:
    """The examples of a body, by their names."""
    content = operation.said.get("requestBody", {}).get("content", {})
    return [
        (name, json.dumps(each["value"], indent=2, ensure_ascii=False))
        for said in content.values()
        for name, each in said.get("examples", {}).items()
    ]


def _replies(operation: Operation, document: Schema) -> list[tuple[str, Schema]]:
    """The answers by status, those that others share filled in."""
    shared = document["components"]["responses"]
    return sorted(
        (status, shared[said["$ref"].rpartition("/")[2]] if "$ref" in said else said)
        for status, said in operation.said["responses"].items()
    )


def _names(part: object, name: str) -> bool:
    """Whether a part of the document refers to a schema, without what lies behind a reference."""
    if isinstance(part, dict):
        is_it = part.get("$ref") == f"#/components/schemas/{name}"
        return is_it or any(_names(each, name) for each in part.values())
    return isinstance(part, list) and any(_names(each, name) for each in part)
