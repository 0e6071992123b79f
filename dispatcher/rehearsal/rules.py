"""What the provider documents, and where: each check names the rule that it is there for."""

from __future__ import annotations

from msgspec import Struct


class Rule(Struct, frozen=True):
    """A rule in our words, and the document that it stands in."""

    text: str
    document: str


_REPORTS = "Infobip OpenAPI of SMS 3.210.0, delivery-report webhooks"
_RECEIVE = "Infobip docs, Receive outbound SMS message report"
_COMPATIBILITY = "Infobip docs, API lifecycle: Backwards compatibility"
_CYCLE = "Infobip docs, SMS over API: Push retry cycle"
_PROFILES = "Infobip Subscriptions API, notification profiles"
_STATUSES = "Infobip docs, Message status codes"
_WEBHOOKS = "Infobip docs, API fundamentals: Webhooks"
_HTTP = "RFC 9110 and 9112; the provider does not document it"
_SILENT = "our reading; no document of the provider contradicts it"

TYPES = Rule(
    "the content type is chosen for each message (notifyContentType): application/json or"
    " application/xml",
    _REPORTS,
)
GENERATIONS = Rule(
    "v2 and v3 name fields differently: from/sender, smsCount/messageCount, flat ids/platform;"
    " XML has the roots reportResponse and DeliveryReports",
    _REPORTS,
)
BUCKET = Rule(
    "one request holds up to 100 reports; a notification profile may set 1 to 2,000",
    f"{_RECEIVE}; {_PROFILES}",
)
NOTHING_REQUIRED = Rule("no field of a report is required", _REPORTS)
NEW_THINGS = Rule(
    "unknown fields must be ignored, new values of enums may appear at any time, the order of"
    " fields is not guaranteed; types never change within a major version",
    _COMPATIBILITY,
)
CALLBACK_DATA = Rule(
    "callbackData comes back as it was sent, with up to 4,000 characters", _REPORTS
)
DATES = Rule(
    "times are yyyy-MM-dd'T'HH:mm:ss.SSSZ, with the zone without a colon; the examples have"
    " zones other than UTC",
    _REPORTS,
)
TEXTS = Rule("ids, phone numbers and network codes are strings", _REPORTS)
UNDOCUMENTED = Rule("charset, compression and headers of a push are not documented", _SILENT)
OTHER_EVENTS = Rule(
    "inbound messages and clicks go to a URL of the customer's choice, often the same one",
    f"{_REPORTS}; {_WEBHOOKS}",
)
REPEATED = Rule(
    "a push that is not answered with success is repeated up to 20 times over 41:30 hours;"
    " reports carry no event id, so the same report may come again in any bucket",
    _CYCLE,
)
NO_ORDER = Rule(
    "each push is retried on its own schedule, and no document promises an order: an intermediate"
    " report can come hours after the final one",
    _CYCLE,
)
INTERMEDIATE = Rule(
    "every PENDING status and DELIVERED_TO_OPERATOR (group DELIVERED, id 2) are intermediate",
    _STATUSES,
)
ON_DEMAND = Rule(
    "intermediate reports come only when intermediateReport was set; the default is false", _REPORTS
)
SUCCESS = Rule(
    "200 means accepted; nothing else is documented as success (2xx is our reading)", _REPORTS
)
KEPT_NOWHERE = Rule("pushed events are not kept by the platform for later", _WEBHOOKS)
TIMEOUTS = Rule(
    "the default timeout is not published; a profile sets a read timeout of 1 to 90 s, 10 s in its"
    " sample",
    _PROFILES,
)
WINDOW = Rule(
    "a profile sets 20 to 10,000 requests at once and 1 to 5,000 requests a second", _PROFILES
)
SECURITY = Rule("a profile's security is BASIC, HMAC, OAUTH or CUSTOM headers", _PROFILES)
TLS = Rule("pushes use TLS 1.2 or 1.3 (enabledSSLProtocols of a profile)", _PROFILES)
HTTP = Rule(
    (
        "an HTTP/1.1 server accepts every framing of a body and announces when it closes"
        " the connection"
    ),
    _HTTP,
)
ANYONE = Rule("no list of source addresses is published, so anyone can post to the URL", _SILENT)
