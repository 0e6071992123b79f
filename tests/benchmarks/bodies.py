"""Bodies of callbacks as the platform sends them, each report of another message; and of requests
that send, each to other numbers."""

from __future__ import annotations

import random
from typing import Literal

Kind = Literal["json", "xml", "send"]

SEND_PATH = "/sms/2/binary/advanced"

HEADS: dict[Kind, tuple[str, str]] = {
    "json": ("/notify", "Content-Type: application/json"),
    "xml": ("/notify", "Content-Type: application/xml"),
    "send": (SEND_PATH, "Content-Type: application/json\r\nAuthorization: App a-key"),
}
"""Path and headers of each."""

_JSON_ITEM = (
    b'{"bulkId":"2034072219640523072","messageId":"%032x","to":"41793026727","from":"InfoSMS",'
    b'"sentAt":"2026-05-09T16:00:00.000+0000","doneAt":"2026-05-09T16:00:01.500+0000",'
    b'"smsCount":1,"mccMnc":"22801","callbackData":"order 4711",'
    b'"price":{"pricePerMessage":0.0100,"currency":"EUR"},'
    b'"status":{"groupId":3,"groupName":"DELIVERED","id":5,"name":"DELIVERED_TO_HANDSET",'
    b'"description":"Message delivered to handset"},'
    b'"error":{"groupId":0,"groupName":"Ok","id":0,"name":"NO_ERROR","description":"No Error",'
    b'"permanent":false}}'
)
_XML_ITEM = (
    b"<result><bulkId>2034072219640523072</bulkId><messageId>%032x</messageId>"
    b"<to>41793026727</to><from>InfoSMS</from>"
    b"<sentAt>2026-05-09T16:00:00.000+0000</sentAt><doneAt>2026-05-09T16:00:01.500+0000</doneAt>"
    b"<smsCount>1</smsCount><mccMnc>22801</mccMnc><callbackData>order 4711</callbackData>"
    b"<price><pricePerMessage>0.0100</pricePerMessage><currency>EUR</currency></price>"
    b"<status><groupId>3</groupId><groupName>DELIVERED</groupName><id>5</id>"
    b"<name>DELIVERED_TO_HANDSET</name><description>Message delivered to handset</description>"
    b"</status><error><groupId>0</groupId><groupName>Ok</groupName><id>0</id>"
    b"<name>NO_ERROR</name><description>No Error</description><permanent>false</permanent></error>"
    b"</result>"
)

_SENT = (
    b'"from":"InfoSMS","binary":{"hex":"54 65 73 74 20 6d 65 73 73 61 67 65 2e","dataCoding":0,'
    b'"esmClass":0},"callbackData":"order 4711","intermediateReport":true,'
    b'"notifyContentType":"application/json","validityPeriod":720'
)


def body(kind: Kind, reports: int, rng: random.Random) -> bytes:
    """A body of so many reports with random messageIds, or to so many numbers. All of one kind and
    size are equally long."""
    if kind == "send":
        numbers = [rng.randrange(10**9, 10**10) for _ in range(reports)]
        destinations = b",".join([b'{"to":"4%d"}' % number for number in numbers])
        return b'{"messages":[{"destinations":[' + destinations + b"]," + _SENT + b"}]}"
    ids = [rng.getrandbits(128) for _ in range(reports)]
    if kind == "json":
        return b'{"results":[' + b",".join([_JSON_ITEM % number for number in ids]) + b"]}"
    items = b"".join([_XML_ITEM % number for number in ids])
    return b"<reportResponse><results>" + items + b"</results></reportResponse>"
