"""The right webhook in FastAPI with a model, on uvicorn.

Prints `listening on URL` and serves until it is ended.
"""

from __future__ import annotations

import socket

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel, ConfigDict, ValidationError

from tests.data.webhooks.inbox import BODY_LIMIT, Inbox, Item, NotReadable, read

app = FastAPI()
inbox = Inbox()


class Status(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True)

    id: str | None = None
    groupName: str | None = None
    name: str | None = None


class Report(BaseModel):
    messageId: str | None = None
    doneAt: str | None = None
    callbackData: str | None = None
    status: Status | None = None


class Callback(BaseModel):
    results: list[Report]


@app.post("/dlr")
async def take(request: Request) -> dict[str, int]:
    if int(request.headers.get("content-length", 0)) > BODY_LIMIT:
        raise HTTPException(413)
    kind = request.headers.get("content-type", "").split(";")[0].strip()
    try:
        items = reports(await request.body(), kind)
    except (NotReadable, ValidationError) as error:
        raise HTTPException(400, "no reports") from error
    inbox.take(items)
    return {"taken": len(items)}


def reports(body: bytes, kind: str) -> list[Item]:
    if kind.lower().endswith("xml"):
        return read(body, kind)
    return [each.model_dump() for each in Callback.model_validate_json(body).results]


@app.get("/messages/{message_id}")
async def message(message_id: str) -> Item:
    found = inbox.message(message_id)
    if found is None:
        raise HTTPException(404)
    return found


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        config = uvicorn.Config(app, log_level="error")
        uvicorn.Server(config).run(sockets=[listener])
