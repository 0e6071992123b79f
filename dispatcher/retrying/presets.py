"""How well-documented platforms retry, as presets.

Read in November 2026, each by two readers. Confidence: A, the platform's own page or code gives all
numbers of the waits; B, its own page gives some; C, unsure. B and C are experimental. What a source
leaves open is said under `unknown`, with the reading that is played; what a platform does and dlr
does not, under `not_played`.

Where a source gives a span and no waits, the waits are doubled from a minute on and the last one
fills up the span: then the span, which is what an outage is held against, is the platform's.

Left out, because there is not even a span to play: 46elks (at least 4 retries in 6 h), clickatell.
"""

from __future__ import annotations

from datetime import timedelta

from dispatcher.expressions import Expression
from dispatcher.retrying.outcome import OutcomeRules, statuses
from dispatcher.retrying.retry_after import RetryAfter
from dispatcher.retrying.schedule import INFOBIP, RetrySchedule
from receiver.settings.durations import duration

_READ = "2026-11"

_COUNTED = "whether waits count from the start or the end of an attempt: here from the start"
_TIMEOUT = "timeout"
_RETRY_AFTER = "Retry-After: here ignored"

_WAITS = "the waits, only the span is known: here doubled from 1 min, and the last fills it up"

_BELOW_400 = statuses("200-399")
_4XX_BUT_429 = statuses("4xx") - {429}


def _list(text: str) -> tuple[timedelta, ...]:
    return tuple(duration(each) for each in text.split())


def _doubling(first: str, retries: int) -> tuple[timedelta, ...]:
    return tuple(duration(first) * 2**n for n in range(retries))


def _within(span: str, first: str = "1m") -> tuple[timedelta, ...]:
    """Doubled from the first on, and the last such that all together are the span."""
    left, waits = duration(span), [duration(first)]
    while sum(waits, timedelta()) + 2 * waits[-1] < left:
        waits.append(2 * waits[-1])
    return (*waits, left - sum(waits, timedelta()))


# The page says "exponential": equal ratios are the reading.
_SNS_BACKOFF = tuple(timedelta(seconds=round(10 * 60 ** (n / 9))) for n in range(10))


def _by_name(*presets: RetrySchedule) -> dict[str, RetrySchedule]:
    return {preset.name: preset for preset in presets}


PRESETS = _by_name(
    INFOBIP,
    # SMS platforms
    RetrySchedule(
        name="sinch-sms",
        # 5, 10, 20 … 81,920 s after the first attempt.
        waits=(duration("5s"), *_doubling("5s", 14)),
        source="developers.sinch.com/docs/sms/api-reference/sms/tag/Webhooks",
        rules=OutcomeRules(stop_on=_4XX_BUT_429),
        read=_READ,
        confidence="A",
        unknown=(
            "whether the doubling figures are instants or waits: here instants, the last retry"
            " 81,920 s after the first attempt, as the page says; as waits they would be 45.5 h",
            _TIMEOUT,
            _RETRY_AFTER,
            _COUNTED,
        ),
        not_played=("a lower rate after 429",),
    ),
    RetrySchedule(
        name="vonage-sms",
        # 5 s doubled while below 15 min, then every 15 min while within 24 h.
        waits=_doubling("5s", 8) + (duration("15m"),) * 94,
        source="api.support.vonage.com, article 360028543292; timeouts: article 226572227",
        rules=OutcomeRules(acknowledge=statuses("200"), stop_on=_4XX_BUT_429 | statuses("3xx")),
        read=_READ,
        confidence="A",
        unknown=(
            "whether it holds for reports: the page speaks of inbound messages",
            "2xx other than 200: here repeated",
            "3xx: here not repeated, as the page names 429 and 5xx alone",
            _RETRY_AFTER,
            _COUNTED,
        ),
        not_played=("its timeouts: connect 3 s, answer 15 s (connect_timeout, read_timeout)",),
    ),
    RetrySchedule(
        name="vonage-legacy",
        waits=(duration("1m"),) * (72 * 60),
        source="api.support.vonage.com, article 226572227; it contradicts vonage-sms",
        counted_from="end",
        rules=OutcomeRules(acknowledge=statuses("200")),
        read=_READ,
        confidence="C",
        unknown=(
            "whether it is still so",
            "4xx: here repeated, as the page wants a 200",
            _RETRY_AFTER,
        ),
        not_played=("its timeouts: connect 3 s, answer 15 s (connect_timeout, read_timeout)",),
    ),
    RetrySchedule(
        name="twilio-status",
        waits=(timedelta(0),),
        source="twilio.com/docs/usage/webhooks/webhooks-connection-overrides",
        # Its default policy repeats only when there is no connection (VA notification-api#1498 saw
        # the same); any status is an answer.
        rules=OutcomeRules(acknowledge=_BELOW_400, stop_on=statuses("4xx", "5xx")),
        read=_READ,
        confidence="A",
        unknown=("success: below 400 is unsure", _COUNTED),
        not_played=(
            "the overrides in a URL (#rc= and others)",
            "its timeouts: connect 5 s, answer 15 s, 15 s in all",
            "that an answer which does not come in time is not repeated",
        ),
    ),
    RetrySchedule(
        name="plivo-sms",
        waits=_list("60s 120s 240s"),
        source="support.plivo.com, article 360041344652",
        read=_READ,
        confidence="A",
        unknown=(_RETRY_AFTER, _COUNTED),
        not_played=("its timeout of 8 s (read_timeout)",),
    ),
    RetrySchedule(
        name="8x8-sms",
        waits=_list("1s 10s 30s 90s"),
        source="developer.8x8.com/connect/docs/delivery-receipts-for-outbound-sms",
        # It repeats after 4xx, 5xx and no answer.
        rules=OutcomeRules(acknowledge=_BELOW_400),
        read=_READ,
        confidence="A",
        unknown=(_TIMEOUT, _RETRY_AFTER, _COUNTED),
    ),
    RetrySchedule(
        name="dialpad-sms",
        waits=_list("30s 1m 2m 4m 8m 16m 32m 60m 60m 60m"),
        source="developers.dialpad.com/docs/webhook-delivery-failures; approximate, it says",
        rules=OutcomeRules(stop_on=statuses("4xx")),
        read=_READ,
        confidence="A",
        unknown=("how far approximate goes", "3xx: here repeated", _RETRY_AFTER, _COUNTED),
        not_played=(
            "without an answer (timeout 5 s, or no connection) up to 2 quick tries instead of the"
            " list",
        ),
    ),
    RetrySchedule(
        name="govuk-notify",
        waits=(duration("5m"),) * 5,
        source="alphagov/notifications-api app/celery/service_callback_tasks.py",
        counted_from="end",
        rules=OutcomeRules(acknowledge=_BELOW_400, stop_on=_4XX_BUT_429),
        read=_READ,
        confidence="A",
        not_played=(
            "its timeout of 5 s (connect_timeout, read_timeout)",
            "redirects are followed: here a 3xx acknowledges",
        ),
    ),
    RetrySchedule(
        name="didww-ps",
        waits=_list("1s 2s 5s 10s 30s 1m 2m 5m 5m"),
        source="doc.didww.com/phone-systems, webhook delivery and troubleshooting",
        jitter=0.5,
        jitter_goes="down",
        read=_READ,
        confidence="A",
        unknown=(_RETRY_AFTER, _COUNTED),
        not_played=("its timeouts: connect 3 s, answer 10 s (connect_timeout, read_timeout)",),
    ),
    RetrySchedule(
        name="jasmin-default",
        waits=(duration("30s"),) * 3,
        source="jookies/jasmin jasmin/routing/throwers.py, and measured",
        counted_from="end",
        # Below 400 it follows or fails redirects, so that 2xx is what can acknowledge a POST.
        rules=OutcomeRules(body_matches=Expression(r"\A\s*ACK/Jasmin\s*\Z")),
        read=_READ,
        confidence="A",
    ),
    RetrySchedule(
        name="kannel-smsbox",
        waits=(),
        source="Kannel gw/smsbox.c and gwlib/http.c, and measured",
        rules=OutcomeRules(acknowledge=statuses("200", "202")),
        read=_READ,
        confidence="A",
        not_played=(
            "N retries after http-queue-delay each, when its operator sets them",
            "redirects are followed, at most 5",
            "its timeout of 240 s (http-timeout; here read_timeout)",
        ),
    ),
    RetrySchedule(
        name="aws-sns-sms-push",
        waits=(duration("10s"),) * 2 + _SNS_BACKOFF + (duration("10m"),) * 38,
        source="docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html",
        read=_READ,
        confidence="A",
        unknown=(
            "the 10 steps of the exponential phase: here in equal ratio from 10 s to 600 s",
            "whether the first attempt is one of its 50: here it is not",
            "the size of its jitter: here none",
            "all about answers: the other side is not a web server",
            _COUNTED,
        ),
    ),
    # Others that push webhooks
    RetrySchedule(
        name="aws-sns-http",
        waits=(duration("20s"),) * 3,
        source="docs.aws.amazon.com/sns/latest/dg: SendMessageToHttp.prepare, dead-letter queues",
        # After a timeout of 15 s the next attempt comes about 35 s after the one before.
        counted_from="end",
        rules=OutcomeRules(acknowledge=_BELOW_400, stop_on=statuses("4xx")),
        read=_READ,
        confidence="A",
        unknown=(
            "whether a 4xx is a success: one page takes 200 to 4xx for no failure, another says"
            " that client errors are not repeated; here it ends the dispatch",
            "the size of its jitter: here none",
            _RETRY_AFTER,
        ),
        not_played=(
            "its timeout of 15 s (read_timeout)",
            "a policy of one's own, of up to 3,600 s in all",
            "the dead-letter queue",
        ),
    ),
    RetrySchedule(
        name="mailgun",
        # 7.5 h in all; the page calls it 8 h.
        waits=_list("5m 10m 15m 1h 2h 4h"),
        source="documentation.mailgun.com/docs/mailgun/user-manual/webhooks/webhook-retries",
        rules=OutcomeRules(acknowledge=statuses("200"), stop_on=statuses("406")),
        read=_READ,
        confidence="A",
        unknown=(_TIMEOUT, _RETRY_AFTER, _COUNTED),
        not_played=("the notification of a delivery, which has none of these retries",),
    ),
    RetrySchedule(
        name="brevo",
        waits=_list("10m 1h 2h 8h"),
        source="developers.brevo.com/docs/retry-mechanism",
        # Whatever the server answers but 429 ends it; what brings no answer is repeated.
        rules=OutcomeRules(stop_on=_4XX_BUT_429 | statuses("5xx")),
        read=_READ,
        confidence="A",
        unknown=("redirects: here repeated", _TIMEOUT, _RETRY_AFTER, _COUNTED),
        not_played=("all pushes pause for 10 minutes while the server does not respond",),
    ),
    RetrySchedule(
        name="kit",
        waits=_list("30s 2m 15m 1h 4h 12h 24h"),
        source="developers.kit.com/webhooks/retries",
        # The header decides: it may be sooner than the list.
        rules=OutcomeRules(
            stop_on=statuses("410"),
            retry_after=RetryAfter(
                least=duration("1s"),
                most=duration("24h"),
                least_of_wait=0,
            ),
        ),
        read=_READ,
        confidence="A",
        unknown=(_TIMEOUT, _COUNTED),
    ),
    RetrySchedule(
        name="strike",
        waits=tuple(timedelta(seconds=3**n) for n in range(1, 13)),
        source="docs.strike.me/webhooks/failure-recovery: 3^n s, up to 12 times in about 9 days",
        counted_from="end",
        rules=OutcomeRules(stop_on=statuses("410", "501")),
        read=_READ,
        confidence="A",
        unknown=(_RETRY_AFTER,),
        not_played=("its timeout of 5 s (read_timeout)",),
    ),
    RetrySchedule(
        name="azure-event-grid",
        waits=_list("10s 30s 1m 5m 10m 30m 1h 3h 6h 12h"),
        source="learn.microsoft.com/azure/event-grid/delivery-and-retry; best effort, it says",
        rules=OutcomeRules(
            acknowledge=statuses("200-204"), stop_on=statuses("400", "401", "403", "413")
        ),
        read=_READ,
        confidence="A",
        unknown=(
            "the size of its small randomisation: here none",
            "whether there is a retry at 24 h: here the last one is after 22 h 47 min",
            _RETRY_AFTER,
            _COUNTED,
        ),
        not_played=(
            "its timeout of 30 s (read_timeout)",
            "a wait of at least 2 min after 408 and of at least 30 s after 503",
            "policies of one's own: fewer than 30 attempts or 24 h; the dead-letter place",
            "retries that are left out or put off while an endpoint keeps failing",
        ),
    ),
    RetrySchedule(
        name="adyen",
        # Retries at 9, 18 and 27 s, the list, and its last wait until 30 days are over.
        waits=_list("9s 9s 9s 2m 5m 10m 15m 30m 1h 2h 4h") + (duration("8h"),) * 88,
        source="docs.adyen.com/development-resources/webhooks/troubleshoot, of May 2026",
        read=_READ,
        confidence="B",
        unknown=(
            "whether 9, 18 and 27 s are instants or waits: here instants; an older form of the page"
            " says that the first three retries come at once",
            "what comes after the 8 h at the end of its list: here 8 h each until 30 days are over",
            _RETRY_AFTER,
            _COUNTED,
        ),
        not_played=(
            "one queue for each endpoint: what fails holds up what came after it",
            "its timeout of 10 s (read_timeout)",
        ),
    ),
    RetrySchedule(
        name="google-pubsub-push",
        # With a policy of retries and its defaults, 10 and 600 s, for as long as a message is kept.
        waits=_doubling("10s", 6) + (duration("10m"),) * 1006,
        source="docs.cloud.google.com/pubsub/docs: push, subscription-retry-policy and -properties",
        rules=OutcomeRules(acknowledge=statuses("200", "201", "202", "204")),
        read=_READ,
        confidence="B",
        unknown=(
            "the factor of its exponential backoff between 10 s and 600 s: here 2",
            "the jitter: here none",
            "the statuses, which were read in quotations of its page alone",
            _RETRY_AFTER,
            _COUNTED,
        ),
        not_played=(
            "without a policy of retries a message is pushed again at once",
            "102, which acknowledges too, although it is not a final answer",
            "its timeout: the acknowledgement deadline, 10 s unless it is set (read_timeout)",
            "fewer pushes to all of an endpoint that fails (its push backoff)",
            "a message that is kept for other than 7 days; the dead-letter topic",
        ),
    ),
    RetrySchedule(
        name="shopify",
        # 8 retries, exponential, since 2024-09-10.
        waits=_within("4h", "57s"),
        source="shopify.dev/changelog/updates-to-webhook-retry-mechanism: 8 retries in 4 h",
        read=_READ,
        confidence="B",
        unknown=(
            "the waits: here doubled from 57 s, 4 h in all",
            "timeout, statuses and deletion, see community.shopify.dev/t/24625",
            _RETRY_AFTER,
            _COUNTED,
        ),
        not_played=(
            "its timeout of 5 s in all",
            "a subscription made with its Admin API is deleted after 8 failures in a row",
        ),
    ),
    RetrySchedule(
        name="stripe",
        waits=_within("3d"),
        source="docs.stripe.com/webhooks/process-undelivered-events: up to 3 days",
        read=_READ,
        confidence="B",
        unknown=(
            _WAITS,
            "4xx and 410: here repeated like other failures",
            _TIMEOUT,
            _RETRY_AFTER,
            _COUNTED,
        ),
        not_played=("3 retries over a few hours in a sandbox",),
    ),
    RetrySchedule(
        name="bandwidth",
        waits=_within("24h"),
        source="dev.bandwidth.com/docs/messaging/webhooks: for 24 h, until a 2xx",
        read=_READ,
        confidence="B",
        unknown=(_WAITS, _RETRY_AFTER, _COUNTED),
        not_played=("its timeout of 10 s (read_timeout)",),
    ),
    RetrySchedule(
        name="bird",
        waits=_within("8h"),
        source="docs.bird.com/api/notifications-api/retries: at increasing intervals for 8 h",
        read=_READ,
        confidence="B",
        unknown=(_WAITS, _TIMEOUT, _RETRY_AFTER, _COUNTED),
    ),
    RetrySchedule(
        name="telnyx",
        waits=_list("1m 2m"),
        source="developers.telnyx.com/docs/messaging/messages/receiving-webhooks",
        read=_READ,
        confidence="B",
        unknown=("the waits, exponential by its words: here 1 and 2 min", _RETRY_AFTER, _COUNTED),
        not_played=(
            "the failover URL, which gets as many attempts",
            "its timeout of 2 s (read_timeout)",
        ),
    ),
    RetrySchedule(
        name="paypal",
        waits=(timedelta(days=3) / 25,) * 25,
        source="developer.paypal.com/api/rest/webhooks/rest: up to 25 retries over 3 days",
        read=_READ,
        confidence="B",
        unknown=("the waits: here 25 equal ones", _TIMEOUT, _RETRY_AFTER, _COUNTED),
    ),
    RetrySchedule(
        name="sendgrid",
        waits=_within("24h"),
        source="docs.sendgrid.com/for-developers/tracking-events/troubleshooting: for up to 24 h",
        read=_READ,
        confidence="B",
        unknown=(_WAITS, _TIMEOUT, _RETRY_AFTER, _COUNTED),
        not_played=("the Inbound Parse Webhook, which is repeated for 72 h and for 5xx alone",),
    ),
    RetrySchedule(
        name="meta-whatsapp",
        waits=_within("7d"),
        source="developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/overview",
        rules=OutcomeRules(acknowledge=statuses("200")),
        read=_READ,
        confidence="B",
        unknown=(_WAITS, _TIMEOUT, _RETRY_AFTER, _COUNTED),
        not_played=("a retry goes to every app that has subscribed",),
    ),
    RetrySchedule(
        name="github",
        waits=(),
        source="docs.github.com/webhooks/using-webhooks/handling-failed-webhook-deliveries",
        read=_READ,
        confidence="A",
        not_played=("its timeout of 10 s",),
    ),
    RetrySchedule(
        name="svix",
        waits=_list("5s 5m 30m 2h 5h 10h 10h"),
        source="svix/svix-webhooks server/svix-server/src/worker.rs; docs.svix.com",
        jitter=0.2,
        counted_from="end",
        # It reads the header of every answer that is not a success.
        rules=OutcomeRules(
            retry_after=RetryAfter(
                statuses=statuses("3xx", "4xx", "5xx"), most=None, least_of_wait=1, most_of_wait=2
            )
        ),
        read=_READ,
        confidence="A",
        not_played=(
            "at least 60 s after 429 and timeouts",
            "endpoints that fail for days are disabled",
        ),
    ),
    RetrySchedule(
        name="standard-webhooks",
        waits=_list("5s 5m 30m 2h 5h 10h 14h 20h 24h"),
        source="standard-webhooks/standard-webhooks spec/standard-webhooks.md",
        rules=OutcomeRules(stop_on=statuses("410")),
        read=_READ,
        confidence="A",
        unknown=(
            "Retry-After: left to the sender, here ignored",
            "the size of the jitter: here none",
            _COUNTED,
        ),
        not_played=("after 410 the endpoint is disabled; here only the dispatch ends",),
    ),
    RetrySchedule(
        name="convoy-default",
        waits=(duration("100s"),) * 9,
        source="frain-dev/convoy worker/task/process_event_delivery.go, datastore/models.go",
        counted_from="end",
        read=_READ,
        confidence="A",
        not_played=("redirects are followed",),
    ),
    RetrySchedule(
        name="outpost-default",
        waits=_doubling("30s", 10),
        source="hookdeck/outpost internal/config/config.go, internal/destregistry/",
        counted_from="end",
        rules=OutcomeRules(acknowledge=_BELOW_400),
        read=_READ,
        confidence="A",
        not_played=("redirects are followed, at most 10: here a 3xx acknowledges",),
    ),
    RetrySchedule(
        name="hook0-default",
        waits=_list("3s 10s 3m 30m 1h 3h 5h") + (duration("10h"),) * 17,
        source="hook0/hook0 output-worker/src/",
        counted_from="end",
        rules=OutcomeRules(
            retry_after=RetryAfter(statuses=frozenset({429}), most=duration("10h")),
        ),
        read=_READ,
        confidence="A",
        not_played=(
            "jitter, which only lengthens: a tenth of the wait, at least 2 s and at most 15 min",
        ),
    ),
)
"""By name; the first is the default."""
