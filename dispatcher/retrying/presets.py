"""How well-documented platforms retry, as presets.

Read in November 2026. Confidence: A, the platform's own page or code gives all numbers of the
waits; B, its own page gives some; C, unsure. B and C are experimental. What a source leaves open is
said under `unknown`, with the reading that is played; what a platform does and dlr does not, under
`not_played`.

Left out, because there are no waits to play: bandwidth (24 h), bird (8 h), 46elks (at least 4
retries in 6 h), clickatell, telnyx, stripe (3 days), shopify (8 retries in 4 h).
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
_DEAD = "4xx and 410: here repeated like other failures"

_BELOW_400 = statuses("200-399")
_4XX_BUT_429 = statuses("4xx") - {429}


def _list(text: str) -> tuple[timedelta, ...]:
    return tuple(duration(each) for each in text.split())


def _doubling(first: str, retries: int) -> tuple[timedelta, ...]:
    return tuple(duration(first) * 2**n for n in range(retries))


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
        source="developers.sinch.com, SMS webhooks",
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
        source="Vonage support, article 360028543292",
        rules=OutcomeRules(acknowledge=statuses("200"), stop_on=_4XX_BUT_429 | statuses("3xx")),
        read=_READ,
        confidence="A",
        unknown=("2xx other than 200: here repeated", _RETRY_AFTER, _COUNTED),
        not_played=("its timeouts: connect 3 s, answer 15 s (connect_timeout, read_timeout)",),
    ),
    RetrySchedule(
        name="vonage-legacy",
        waits=(duration("1m"),) * (72 * 60),
        source="Vonage support, article 226572227, an older one that contradicts vonage-sms",
        rules=OutcomeRules(acknowledge=statuses("200")),
        read=_READ,
        confidence="C",
        unknown=("whether it is still so", _DEAD, _TIMEOUT, _RETRY_AFTER, _COUNTED),
    ),
    RetrySchedule(
        name="twilio-status",
        waits=(timedelta(0),),
        source="Twilio, webhook connection overrides; VA notification-api#1498",
        # Its default policy repeats only when there is no connection; any status is an answer.
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
        source="Plivo support, article 360041344652",
        read=_READ,
        confidence="A",
        unknown=(_COUNTED,),
        not_played=("its timeout of 8 s (read_timeout)",),
    ),
    RetrySchedule(
        name="8x8-sms",
        waits=_list("1s 10s 30s 90s"),
        source="developer.8x8.com, delivery receipts",
        rules=OutcomeRules(acknowledge=_BELOW_400),
        read=_READ,
        confidence="A",
        unknown=(_TIMEOUT, _RETRY_AFTER, _COUNTED),
    ),
    RetrySchedule(
        name="dialpad-sms",
        waits=_list("30s 1m 2m 4m 8m 16m 32m 60m 60m 60m"),
        source="Dialpad, SMS events; approximate by its own words",
        rules=OutcomeRules(stop_on=statuses("4xx")),
        read=_READ,
        confidence="A",
        unknown=("how far approximate goes", _COUNTED),
        not_played=("after a timeout (5 s) up to 2 quick tries instead of the list",),
    ),
    RetrySchedule(
        name="govuk-notify",
        waits=(duration("5m"),) * 5,
        source="GOV.UK Notify, callbacks",
        read=_READ,
        confidence="B",
        unknown=(
            "the number of retries: 5 is from memory",
            _DEAD,
            _TIMEOUT,
            _RETRY_AFTER,
            _COUNTED,
        ),
    ),
    RetrySchedule(
        name="didww-ps",
        waits=_list("1s 2s 5s 10s 30s 1m 2m 5m 5m"),
        source="doc.didww.com, phone.systems",
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
        source="Kannel smsbox, http-request-retry and http-queue-delay, and measured",
        rules=OutcomeRules(acknowledge=statuses("200")),
        read=_READ,
        confidence="A",
        unknown=(_TIMEOUT,),
        not_played=(
            "N retries after http-queue-delay each, when its operator sets them",
            "redirects are followed",
        ),
    ),
    RetrySchedule(
        name="aws-sns-sms-push",
        waits=(duration("10s"),) * 2 + _SNS_BACKOFF + (duration("10m"),) * 38,
        source="Amazon SNS, delivery retries, table for SMS and mobile push",
        read=_READ,
        confidence="A",
        unknown=(
            "the 10 steps of the exponential phase: here in equal ratio from 10 s to 600 s",
            "all about answers: the other side is no web server",
            _COUNTED,
        ),
    ),
    # Others that push webhooks
    RetrySchedule(
        name="aws-sns-http",
        waits=(duration("20s"),) * 3,
        source="Amazon SNS, HTTP/S delivery policies",
        rules=OutcomeRules(stop_on=statuses("4xx")),
        read=_READ,
        confidence="A",
        unknown=(
            "success and 3xx: unsure",
            "4xx: that they are not repeated is unsure",
            "timeout: 15 s from memory",
            _RETRY_AFTER,
            _COUNTED,
        ),
        not_played=("a policy of one's own, of up to 3,600 s in all", "the dead-letter queue"),
    ),
    RetrySchedule(
        name="mailgun",
        waits=_list("5m 10m 15m 1h 2h 4h"),
        source="Mailgun, webhooks (they say 8 h)",
        rules=OutcomeRules(acknowledge=statuses("200"), stop_on=statuses("406")),
        read=_READ,
        confidence="A",
        unknown=(_TIMEOUT, _RETRY_AFTER, _COUNTED),
    ),
    RetrySchedule(
        name="brevo",
        waits=_list("10m 1h 2h 8h"),
        source="Brevo, webhooks",
        rules=OutcomeRules(stop_on=_4XX_BUT_429),
        read=_READ,
        confidence="A",
        unknown=("5xx: its text is odd, here repeated", _TIMEOUT, _RETRY_AFTER, _COUNTED),
    ),
    RetrySchedule(
        name="kit",
        waits=_list("30s 2m 15m 1h 4h 12h 24h"),
        source="developers.kit.com, webhooks",
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
        unknown=(_TIMEOUT, "redirects: here repeated", _COUNTED),
    ),
    RetrySchedule(
        name="strike",
        waits=tuple(timedelta(seconds=3**n) for n in range(1, 13)),
        source="Strike, webhooks: 3^n s for about 9 days",
        rules=OutcomeRules(stop_on=statuses("410", "501")),
        read=_READ,
        confidence="A",
        unknown=("whether there are 11 or 12 retries: 12 give 9 days", _RETRY_AFTER, _COUNTED),
        not_played=("its timeout of 5 s (read_timeout)",),
    ),
    RetrySchedule(
        name="github",
        waits=(),
        source="docs.github.com, webhooks: no retries",
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
        rules=OutcomeRules(retry_after=RetryAfter(most=None, least_of_wait=1, most_of_wait=2)),
        read=_READ,
        confidence="A",
        unknown=("on which statuses a Retry-After is read: here 429 and 503",),
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
        unknown=(
            "the size of the jitter, which its operator sets: here none",
            "whether a Retry-After shortens a wait: here never",
        ),
    ),
)
"""By name; the first is the default."""
