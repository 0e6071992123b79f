"""The provider's two shapes of errors, by the generation of the path (reference, part 6.2).

    v1, v2, /ct   {"requestError":{"serviceException":{"messageId","text"[,"validationErrors"]}}}
    v3            {"errorCode","description","action","violations":[…],"resources":[…]}

What the provider documents for 400, 401, 403, 404 (not v3), 429 and 500 is told in its words; the
other statuses have its shape and words of ours. How validationErrors look in XML is ours too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec import UNSET, Struct, UnsetType, to_builtins

from dispatcher.sandbox.messages.send import Api
from receiver.dlr.model import Format
from receiver.faults import Misfit

BODY: Final = "body"
"""The place of a misfit that is no field's."""


class ServiceException(Struct, frozen=True, rename="camel"):
    message_id: str
    text: str
    validation_errors: dict[str, list[str]] | UnsetType = UNSET


class RequestError(Struct, frozen=True, rename="camel"):
    service_exception: ServiceException


class ApiException(Struct, frozen=True, rename="camel"):
    """an error of v1 and v2"""

    request_error: RequestError


class Violation(Struct, frozen=True):
    property: str
    violation: str


class Resource(Struct, frozen=True):
    name: str
    url: str


class ApiError(Struct, frozen=True, rename="camel"):
    """an error of v3"""

    error_code: str
    description: str
    action: str
    violations: list[Violation]
    resources: list[Resource]


class Refused(Exception):
    """A request that is answered with an error of the provider's. `text` None: the usual words."""

    def __init__(
        self, status: int, text: str | None = None, *, misfits: Iterable[Misfit] = ()
    ) -> None:
        self.misfits = tuple(misfits)
        self.status = status
        self.text = text
        super().__init__("; ".join(map(str, self.misfits)) or text)


def generation(path: str) -> Api:
    """The generation of a path: v1 is also that of conversions and of the old /1/sms."""
    return {"3": "v3", "2": "v2"}.get(path.removeprefix("/sms/")[:1], "v1")  # type: ignore[return-value]


def document(
    api: Api, form: Format, status: int, text: str | None = None, misfits: Sequence[Misfit] = ()
) -> tuple[str, ApiException | ApiError | dict[str, Any]]:
    """The root of the XML, and what is in an error."""
    if api == "v3":
        return "ApiError", _v3(status, text, misfits)
    made = _v1(status, text, misfits)
    return "ApiException", _in_xml(made, misfits) if form == "xml" and misfits else made


_V1: Final[Mapping[int, tuple[str, str]]] = {
    400: ("BAD_REQUEST", "Bad request"),
    401: ("UNAUTHORIZED", "Unauthorized"),
    403: ("FORBIDDEN", "Forbidden"),
    404: ("NOT_FOUND", "Not found"),
    429: ("TOO_MANY_REQUESTS", "Too many requests"),
    500: ("GENERAL_ERROR", "Something went wrong. Please contact support."),
    405: ("METHOD_NOT_ALLOWED", "Method not allowed"),  # from here on ours
    408: ("REQUEST_TIMEOUT", "Request timeout"),
    413: ("PAYLOAD_TOO_LARGE", "Payload too large"),
    415: ("UNSUPPORTED_MEDIA_TYPE", "Unsupported media type"),
    503: ("SERVICE_UNAVAILABLE", "Service unavailable"),
}


def _v1(status: int, text: str | None, misfits: Sequence[Misfit]) -> ApiException:
    code, usual = _V1.get(status) or _V1[500 if status >= 500 else 400]
    by_place: dict[str, list[str]] = {}
    for misfit in misfits:
        by_place.setdefault(misfit.place, []).append(misfit.reason)
    return ApiException(RequestError(ServiceException(code, text or usual, by_place or UNSET)))


def _in_xml(made: ApiException, misfits: Sequence[Misfit]) -> dict[str, Any]:
    """A path such as `messages[0].from` cannot be the name of an element."""
    fields: dict[str, Any] = to_builtins(made)
    fields["requestError"]["serviceException"]["validationErrors"] = [
        {"property": misfit.place, "message": misfit.reason} for misfit in misfits
    ]
    return fields


_CHECK = "Check the syntax, violations and adjust the request."
_AGAIN = "Repeat the request later."

_V3: Final[Mapping[int, tuple[str, str]]] = {
    400: ("Request cannot be processed.", _CHECK),
    401: (
        "The request lacks valid authentication credentials for the requested resource.",
        "Check the resources and adjust authentication credentials.",
    ),
    403: (
        "Insufficient permissions to access the requested resource.",
        "Repeat the request with new or different credentials.",
    ),
    429: (
        "Too many requests sent.",
        "Check request rate limit specified in the API endpoint documentation resource.",
    ),
    500: ("Something went wrong.", "Contact the support."),
    404: ("The requested resource was not found.", "Check the path."),  # from here on ours
    405: ("The method is not allowed for the requested resource.", "Check the method."),
    408: ("The request took too long.", _AGAIN),
    413: ("The request is too large.", "Send fewer messages at once."),
    415: ("The content type is not supported.", "Send application/json or application/xml."),
    503: ("The service is not available.", _AGAIN),
}

_RESOURCES: Final[Mapping[int, tuple[str, str]]] = {
    401: ("API Authentication", "https://www.infobip.com/docs/api"),
    403: ("API Scopes", "https://www.infobip.com/docs/api"),
    429: ("Throttling handling errors", "https://www.infobip.com/docs/api"),
}
"""The names are documented, the addresses are not."""


def _v3(status: int, text: str | None, misfits: Sequence[Misfit]) -> ApiError:
    usual, action = _V3.get(status) or _V3[500 if status >= 500 else 400]
    resource = _RESOURCES.get(status)
    return ApiError(
        error_code=f"E{status}",
        description=text or usual,
        action=action,
        violations=[Violation(misfit.place, misfit.reason) for misfit in misfits],
        resources=[Resource(*resource)] if resource else [],
    )
