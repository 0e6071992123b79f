"""The right webhook in Django, on the WSGI server of the standard library: HTTP/1.0, one thread.

Prints `listening on URL` and serves until it is ended.
"""

from __future__ import annotations

from wsgiref.simple_server import WSGIRequestHandler, make_server

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.http import require_GET, require_POST

from tests.data.webhooks.inbox import BODY_LIMIT, Inbox, NotReadable, read

settings.configure(
    ALLOWED_HOSTS=["*"],
    DATA_UPLOAD_MAX_MEMORY_SIZE=BODY_LIMIT,
    ROOT_URLCONF=__name__,
    SECRET_KEY="only of this test",
    LOGGING_CONFIG=None,
)
inbox = Inbox()


@require_POST  # type: ignore[untyped-decorator]
def take(request: HttpRequest) -> HttpResponse:
    try:
        items = read(request.body, request.content_type or "")
    except NotReadable:
        return HttpResponse("no reports", status=400)
    inbox.take(items)
    return HttpResponse("ok")


@require_GET  # type: ignore[untyped-decorator]
def message(_: HttpRequest, message_id: str) -> HttpResponse:
    found = inbox.message(message_id)
    return HttpResponse(status=404) if found is None else JsonResponse(found)


urlpatterns = [path("dlr", take), path("messages/<str:message_id>", message)]


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    with make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Quiet) as server:
        print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()
