"""infobip-api-python-client 6.0.0 and 5.1.1, which speak v3."""

from __future__ import annotations

from infobip_api_client.api.sms_api import SmsApi
from infobip_api_client.api.tfa_api import TfaApi
from infobip_api_client.api_client import ApiClient
from infobip_api_client.models import (
    SmsBulkRequest,
    SmsDeliveryResult,
    SmsInboundMessageResult,
    SmsPreviewRequest,
    SmsRequest,
    SmsUpdateStatusRequest,
)

from tests.sdk.clients.lines import Calls, method, serve

CALLS: Calls = {
    "send": lambda api, body: api.send_sms_messages(sms_request=SmsRequest.from_dict(body)),
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
    "inbox": method("get_inbound_sms_messages"),
    "received": lambda _, body: SmsInboundMessageResult.from_json(body),
    "applications": lambda api: TfaApi(api.api_client).get_tfa_applications(),
    "webhook": lambda _, body: SmsDeliveryResult.from_json(body),
}

if __name__ == "__main__":
    serve(CALLS, lambda configuration: [SmsApi(ApiClient(configuration))])
