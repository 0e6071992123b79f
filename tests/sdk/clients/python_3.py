"""infobip-api-python-client 3.0.3, which sends by v2 and pulls by v1, with three classes."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from typing import Any

from infobip_api_client.api.receive_sms_api import ReceiveSmsApi
from infobip_api_client.api.scheduled_sms_api import ScheduledSmsApi
from infobip_api_client.api.send_sms_api import SendSmsApi
from infobip_api_client.api_client import ApiClient, Configuration
from infobip_api_client.model_utils import validate_and_convert_types

from tests.sdk.clients.lines import Calls, serve


def model(name: str, value: Any) -> Any:
    """A value of the wire in the client's strict model `name`, such as `sms_bulk_request`."""
    of = import_module(f"infobip_api_client.model.{name}")
    kind = getattr(of, "".join(word.title() for word in name.split("_")))
    return validate_and_convert_types(
        value, (kind,), ["value"], True, True, configuration=Configuration()
    )


def wire(value: Any) -> Any:
    """A model by its names on the wire."""
    return ApiClient.sanitize_for_serialization(value)


def method(name: str) -> Callable[..., Any]:
    """A call that goes to a method of this name."""
    return lambda api, **named: wire(getattr(api, name)(**named))


CALLS: Calls = {
    "send": lambda api, body: wire(
        api.send_sms_message(
            sms_advanced_textual_request=model("sms_advanced_textual_request", body)
        )
    ),
    "send_binary": lambda api, body: wire(
        api.send_binary_sms_message(
            sms_advanced_binary_request=model("sms_advanced_binary_request", body)
        )
    ),
    "inbox": method("get_inbound_sms_messages"),
    "reports": method("get_outbound_sms_message_delivery_reports"),
    "logs": method("get_outbound_sms_message_logs"),
    "bulk": method("get_scheduled_sms_messages"),
    "move": lambda api, bulk_id, send_at: wire(
        api.reschedule_sms_messages(
            bulk_id=bulk_id, sms_bulk_request=model("sms_bulk_request", {"sendAt": send_at})
        )
    ),
    "status": method("get_scheduled_sms_messages_status"),
    "set_status": lambda api, bulk_id, status: wire(
        api.update_scheduled_sms_messages_status(
            bulk_id=bulk_id,
            sms_update_status_request=model("sms_update_status_request", {"status": status}),
        )
    ),
    "preview": lambda api, text: wire(
        api.preview_sms_message(sms_preview_request=model("sms_preview_request", {"text": text}))
    ),
    "webhook": lambda _, body: wire(model("sms_delivery_result", json.loads(body))),
}

if __name__ == "__main__":
    serve(
        CALLS,
        lambda configuration: [
            each(ApiClient(configuration)) for each in (SendSmsApi, ReceiveSmsApi, ScheduledSmsApi)
        ],
    )
