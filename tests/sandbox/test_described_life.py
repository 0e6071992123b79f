"""GET /api/openapi.json of a sandbox has each of its routes, and real answers fit it."""

from __future__ import annotations

import re
from pathlib import Path

from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.docs.test_openapi import closed, fits, operations
from tests.docs.test_readme import routes
from tests.sandbox.playing import Played, playing


async def described(sandbox: Played) -> dict[str, object]:
    document: dict[str, object] = await sandbox.get("/api/openapi.json")
    return document


async def test_it_is_openapi_and_has_each_route(tmp_path: Path) -> None:
    """The description is valid, with each route of the process and none that is not there."""
    async with playing(tmp_path) as sandbox:
        document = await described(sandbox)

        OpenAPIV31SpecValidator(document).validate()
        named = {f"{method.upper()} {path}" for method, path, _ in operations(document)}
        assert named == routes(sandbox.running.app)
        names = [each["operationId"] for _, _, each in operations(document)]
        assert len(names) == len(set(names))


async def test_real_answers_fit(tmp_path: Path) -> None:
    """What the routes answer is what is described, with nothing more."""
    async with playing(tmp_path) as sandbox:
        document = await described(sandbox)
        await sandbox.send(bulk={"bulkId": "B"})
        await sandbox.send("no number")
        answered = {
            "post /sandbox/advance": await sandbox.advance("1m"),
            "get /sandbox/messages": await sandbox.get("/sandbox/messages"),
            "get /sms/1/bulks": await sandbox.get("/sms/1/bulks?bulkId=B"),
            "get /sms/1/bulks/status/": await sandbox.get("/sms/1/bulks/status/?bulkId=B"),
            "get /sms/1/logs": await sandbox.get("/sms/1/logs"),
            "get /sms/3/logs": await sandbox.get("/sms/3/logs?useCursor=true"),
            "get /sms/3/reports": await sandbox.get("/sms/3/reports"),
            "post /sandbox/reset": (await sandbox.ask("POST", "/sandbox/reset"))[1],
        }

    for method, path, operation in operations(document):
        if (value := answered.pop(f"{method} {path}", None)) is not None:
            content = operation["responses"]["200"]["content"]["application/json"]
            schema = content["schema"]
            strict = {**document, "components": closed(document["components"])}
            fits(strict if path.startswith("/sandbox") else document, schema).validate(value)
    assert answered == {}


async def test_it_has_each_parameter(tmp_path: Path) -> None:
    """The parameters that the routes for test suites take are those that are described."""
    async with playing(tmp_path) as sandbox:
        document = await described(sandbox)
        for method, path, operation in operations(document):
            if path.startswith("/sandbox/") and path != "/sandbox/outcomes":
                _, fields = await sandbox.ask(method.upper(), path, params={"nonsense": "1"})
                words = fields["error"]["message"]
                known = re.search(r"no such parameter; expected ([\w, ]+)", words)
                taken = known[1].split(", ") if known else []
                assert taken == [each["name"] for each in operation.get("parameters", ())], path
