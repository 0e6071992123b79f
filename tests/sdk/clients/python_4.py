"""infobip-api-python-client 4.0.0, which speaks v2 and pulls by v1."""

from __future__ import annotations

from infobip_api_client.api.sms_api import SmsApi
from infobip_api_client.api_client import ApiClient
from infobip_api_client.models import (
    SmsAdvancedBinaryRequest,
    SmsAdvancedTextualRequest,
    SmsBulkRequest,
    SmsDeliveryResult,
    SmsPreviewRequest,
    SmsUpdateStatusRequest,
)

from tests.sdk.clients.lines import Calls, method, serve

CALLS: Calls = {
    "send": lambda api, body: api.send_sms_message(
        sms_advanced_textual_request=SmsAdvancedTextualRequest.from_dict(body)
    ),
    "send_binary": lambda api, body: api.send_binary_sms_message(
        sms_advanced_binary_request=SmsAdvancedBinaryRequest.from_dict(body)
    ),
    "inbox": method("get_inbound_sms_messages"),
    "reports": method("get_outbound_sms_message_delivery_reports"),
    "logs": method("get_outbound_sms_message_logs"),
    "bulk": method("get_scheduled_sms_messages"),
    "move": lambda api, bulk_id, send_at: api.reschedule_sms_messages(
        bulk_id=bulk_id, sms_bulk_request=SmsBulkRequest(send_at=send_at)
    ),
    "status": method("get_scheduled_sms_messages_status"),
    "set_status": lambda api, bulk_id, status: api.update_scheduled_sms_messages_status(
        bulk_id=bulk_id, sms_update_status_request=SmsUpdateStatusRequest(status=status)
    ),
    "preview": lambda api, text, **options: api.preview_sms_message(
        sms_preview_request=SmsPreviewRequest(text=text, **options)
    ),
    "webhook": lambda _, body: SmsDeliveryResult.from_json(body),
}

if __name__ == "__main__":
    serve(CALLS, lambda configuration: [SmsApi(ApiClient(configuration))])
