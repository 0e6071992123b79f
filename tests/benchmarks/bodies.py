"""Callback bodies as the platform sends them, each report of another message."""

from __future__ import annotations

import random
from typing import Literal

Kind = Literal["json", "xml"]

CONTENT_TYPES: dict[Kind, str] = {"json": "application/json", "xml": "application/xml"}

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


def body(kind: Kind, reports: int, rng: random.Random) -> bytes:
    """A body of so many reports with random messageIds. All of one kind and size are equally
    long."""
    ids = [rng.getrandbits(128) for _ in range(reports)]
    if kind == "json":
        return b'{"results":[' + b",".join([_JSON_ITEM % number for number in ids]) + b"]}"
    items = b"".join([_XML_ITEM % number for number in ids])
    return b"<reportResponse><results>" + items + b"</results></reportResponse>"
