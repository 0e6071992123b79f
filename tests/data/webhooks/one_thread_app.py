"""The right webhook on the HTTP server of the standard library: HTTP/1.0, one thread, no framework.

Prints `listening on URL` and serves until it is ended.
"""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import unquote

from tests.data.webhooks.inbox import BODY_LIMIT, Inbox, NotReadable, read

inbox = Inbox()


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        length = self.headers.get("Content-Length")
        if length is None:
            return self.answer(411)
        if int(length) > BODY_LIMIT:
            return self.answer(413)
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            return self.answer(400)
        try:
            items = read(body, self.headers.get_content_type())
        except NotReadable:
            return self.answer(400)
        inbox.take(items)
        return self.answer(200)

    def do_GET(self) -> None:
        found = inbox.message(unquote(self.path.removeprefix("/messages/")))
        if found is None:
            return self.answer(404)
        return self.answer(200, json.dumps(found).encode())

    def answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()
