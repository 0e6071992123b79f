"""The right webhook in Flask, served by waitress with several threads.

Prints `listening on URL` and serves until it is ended.
"""

from __future__ import annotations

import json
import threading
from typing import Any
from xml.parsers.expat import ExpatError

import xmltodict
from flask import Flask, Response, jsonify, request
from waitress.server import create_server

BODY_LIMIT = 10 * 1024 * 1024

app = Flask(__name__)
lock = threading.Lock()
messages: dict[str, dict[str, Any]] = {}


@app.post("/dlr")
def take() -> tuple[Response, int]:
    if request.headers.get("Content-Encoding", "identity") != "identity":
        return jsonify(error="not packed, please"), 415
    try:
        reports = read(request.get_data(), request.mimetype)
    except (ValueError, ExpatError, LookupError, TypeError, RecursionError):
        return jsonify(error="no reports"), 400
    with lock:  # in a database: a unique key, and one transaction for the bucket
        for report in reports:
            store(report)
    return jsonify(taken=len(reports)), 200


@app.get("/messages/<message_id>")
def message(message_id: str) -> tuple[Response, int]:
    with lock:
        found = messages.get(message_id)
        if found is None:
            return jsonify(error="unknown"), 404
        return jsonify({**found, "reports": len(found["reports"])}), 200


def read(body: bytes, mimetype: str) -> list[dict[str, Any]]:
    """The items of a body. Raises for what holds none."""
    if mimetype.endswith("xml"):
        (root,) = xmltodict.parse(body, force_list=("result",), strip_whitespace=False).values()
        items = root["results"]["result"]
    else:
        root = json.loads(body.decode("utf-8-sig"))
        if "notificationType" in root:
            return []
        items = root["results"]
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ValueError("results: expected a list of objects")
    return items


def store(report: dict[str, Any]) -> None:
    status = report.get("status")
    if not isinstance(status, dict) or not report.get("messageId"):
        return
    new: dict[str, Any] = {"state": None, "final": False, "reports": []}
    known = messages.setdefault(report["messageId"], new)
    key = f"{status.get('groupName')}/{status.get('id')}"
    if key in known["reports"]:
        return
    known["reports"].append(key)
    known["callbackData"] = report.get("callbackData")
    if not known["final"] or is_final(status):
        known["state"] = status.get("name") or status.get("groupName")
        known["final"] = is_final(status)


def is_final(status: dict[str, Any]) -> bool:
    group = str(status.get("groupName"))
    with_operator = group == "DELIVERED" and str(status.get("id")) == "2"
    return group in ("DELIVERED", "UNDELIVERABLE", "EXPIRED", "REJECTED") and not with_operator


if __name__ == "__main__":
    server = create_server(
        app, host="127.0.0.1", port=0, threads=8, max_request_body_size=BODY_LIMIT
    )
    port = server.socket.getsockname()[1]  # type: ignore[union-attr]
    print(f"listening on http://127.0.0.1:{port}", flush=True)
    server.run()
