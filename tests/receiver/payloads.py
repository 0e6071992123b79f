"""Reports to test with: built ones, and bodies in the shapes of the provider's examples.

The four bodies hold the same report. What differs is what differs at the provider: the names of
four fields and their order.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from receiver.dlr.item import read_item
from receiver.dlr.model import Format, Generation, Report, Status

STATUSES: dict[str, Status] = {
    name: Status(group_id=group, group_name=group_name, id=id, name=name, description=description)
    for group, group_name, id, name, description in (
        (1, "PENDING", 26, "PENDING_ACCEPTED", "Message sent to next instance"),
        (1, "PENDING", 7, "PENDING_ENROUTE", "Message sent to next instance"),
        (1, "PENDING", 3, "PENDING_WAITING_DELIVERY", "Message sent, waiting for delivery report"),
        (3, "DELIVERED", 2, "DELIVERED_TO_OPERATOR", "Message delivered to operator"),
        (3, "DELIVERED", 5, "DELIVERED_TO_HANDSET", "Message delivered to handset"),
        (4, "EXPIRED", 15, "EXPIRED_EXPIRED", "Message expired"),
        (5, "REJECTED", 6, "REJECTED_NETWORK", "Network is forbidden"),
    )
}


def an_item(**changes: Any) -> dict[str, Any]:
    """A v2 item as JSON decodes it, with fields changed by the provider's names; `...` removes."""
    item: dict[str, Any] = {
        "bulkId": "BULK-ID-123-xyz",
        "messageId": "2033247207850523791",
        "to": "41793026727",
        "from": "InfoSMS",
        "sentAt": "2019-11-09T16:00:00.000+0000",
        "doneAt": "2019-11-09T16:00:01.500+0100",
        "smsCount": 1,
        "mccMnc": "04501",
        "callbackData": " cb <&> é \t",
        "price": {"pricePerMessage": Decimal("0.010"), "currency": "EUR"},
        "status": {
            "groupId": 3,
            "groupName": "DELIVERED",
            "id": 5,
            "name": "DELIVERED_TO_HANDSET",
            "description": "Message delivered to handset",
        },
        "error": {
            "groupId": 0,
            "groupName": "Ok",
            "id": 0,
            "name": "NO_ERROR",
            "description": "No Error",
            "permanent": False,
        },
        "entityId": "entity",
        "applicationId": "default",
        "campaignReferenceId": "summer",
    }
    item.update({name.rstrip("_"): value for name, value in changes.items()})
    return {name: value for name, value in item.items() if value is not ...}


def a_v3_item(**changes: Any) -> dict[str, Any]:
    """The same report as `an_item`, with the names of v3."""
    item = an_item()
    item["sender"] = item.pop("from")
    item["messageCount"] = item.pop("smsCount")
    item["platform"] = {name: item.pop(name) for name in ("entityId", "applicationId")}
    item.update(changes)
    return {name: value for name, value in item.items() if value is not ...}


def a_report(status: str | Status | None = "DELIVERED_TO_HANDSET", **changes: Any) -> Report:
    """A full report; `status` by its name, other fields by those of `Report`."""
    report = read_item(an_item(), "report")
    told = STATUSES[status] if isinstance(status, str) else status
    return replace(report, status=told, **changes)


def a_json_body(*items: dict[str, Any]) -> bytes:
    """A body of `items`, decimals as numbers with all their digits."""
    text = json.dumps({"results": list(items)}, default=lambda number: f"<{number}>")
    return text.replace('"<', "").replace('>"', "").encode()


PRICE_ETC_XML = """
      <price>
        <pricePerMessage>0.010</pricePerMessage>
        <currency>EUR</currency>
      </price>
      <status>
        <groupId>3</groupId>
        <groupName>DELIVERED</groupName>
        <id>5</id>
        <name>DELIVERED_TO_HANDSET</name>
        <description>Message delivered to handset</description>
      </status>
      <error>
        <groupId>0</groupId>
        <groupName>Ok</groupName>
        <id>0</id>
        <name>NO_ERROR</name>
        <description>No Error</description>
        <permanent>false</permanent>
      </error>"""

V2_XML = f"""<?xml version="1.0" encoding="UTF-8"?>
<reportResponse>
  <results>
    <result>
      <bulkId>BULK-ID-123-xyz</bulkId>
      <messageId>2033247207850523791</messageId>
      <to>41793026727</to>
      <from>InfoSMS</from>
      <sentAt>2019-11-09T16:00:00.000+0000</sentAt>
      <doneAt>2019-11-09T16:00:01.500+0100</doneAt>
      <smsCount>1</smsCount>
      <mccMnc>04501</mccMnc>
      <callbackData> cb &lt;&amp;> é \t</callbackData>{PRICE_ETC_XML}
      <entityId>entity</entityId>
      <applicationId>default</applicationId>
      <campaignReferenceId>summer</campaignReferenceId>
    </result>
  </results>
</reportResponse>
""".encode()

V3_XML = f"""<?xml version="1.0" encoding="UTF-8"?>
<DeliveryReports>
  <results>
    <result>
      <bulkId>BULK-ID-123-xyz</bulkId>{PRICE_ETC_XML}
      <messageId>2033247207850523791</messageId>
      <to>41793026727</to>
      <sender>InfoSMS</sender>
      <sentAt>2019-11-09T16:00:00.000+0000</sentAt>
      <doneAt>2019-11-09T16:00:01.500+0100</doneAt>
      <messageCount>1</messageCount>
      <mccMnc>04501</mccMnc>
      <callbackData> cb &lt;&amp;> é \t</callbackData>
      <platform>
        <entityId>entity</entityId>
        <applicationId>default</applicationId>
      </platform>
      <campaignReferenceId>summer</campaignReferenceId>
    </result>
  </results>
</DeliveryReports>
""".encode()

V2_JSON = a_json_body(an_item())
V3_JSON = a_json_body(a_v3_item())

BODIES: list[tuple[Generation, Format, bytes]] = [
    ("v2", "json", V2_JSON),
    ("v2", "xml", V2_XML),
    ("v3", "json", V3_JSON),
    ("v3", "xml", V3_XML),
]
