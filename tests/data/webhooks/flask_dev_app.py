"""The right webhook in Flask, on the server that comes with it, as on a developer's machine.

Prints `listening on URL` and serves until it is ended.
"""

from __future__ import annotations

from flask import Flask, Response, abort, jsonify, request
from werkzeug.serving import make_server

from tests.data.webhooks.inbox import BODY_LIMIT, Inbox, NotReadable, read

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = BODY_LIMIT
inbox = Inbox()


@app.post("/dlr")
def take() -> tuple[str, int]:
    try:
        items = read(request.get_data(), request.mimetype)
    except NotReadable:
        abort(400)
    inbox.take(items)
    return "", 204


@app.get("/messages/<message_id>")
def message(message_id: str) -> Response:
    found = inbox.message(message_id)
    if found is None:
        abort(404)
    return jsonify(found)


if __name__ == "__main__":
    server = make_server("127.0.0.1", 0, app, threaded=True)
    print(f"listening on http://127.0.0.1:{server.port}", flush=True)
    server.serve_forever()
