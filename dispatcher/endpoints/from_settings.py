"""From settings to the objects that the worker works with."""

from __future__ import annotations

from dispatcher.endpoints.endpoint import Endpoint, Rules, credentials_to_header
from dispatcher.expressions import Expression
from dispatcher.retrying.outcome import OutcomeRules, statuses
from dispatcher.retrying.presets import PRESETS
from dispatcher.retrying.retry_after import RetryAfter
from dispatcher.retrying.schedule import RetrySchedule, formula
from dispatcher.security.signing import overruled
from dispatcher.settings.security import security_of, tls_of
from dispatcher.settings.settings import DispatchSettings, EndpointSettings, OutcomeSettings
from receiver.dlr.number import comparable, comparable_prefix
from receiver.dlr.statuses import GROUP_NUMBERS


def endpoint_of(settings: EndpointSettings, *, from_outside: bool = False) -> Endpoint:
    """An endpoint from its settings. Credentials in the URL become a header. `from_outside` when
    they do not come from the settings file: then its addresses are checked."""
    url, credentials = credentials_to_header(settings.url)
    return Endpoint(
        name=settings.name,
        url=url,
        content_type=settings.content_type,
        generation=None if settings.generation == "as-received" else settings.generation,
        bucket_size=settings.bucket_size,
        window=settings.window,
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.read_timeout,
        headers=overruled(
            credentials, {name: value.reveal() for name, value in settings.headers.items()}
        ),
        rules=Rules(
            sources=frozenset(settings.sources),
            nothing=settings.reports == "none",
            final={"final": True, "intermediate": False}.get(settings.reports),
            status_groups=frozenset(GROUP_NUMBERS[name] for name in settings.status_groups),
            senders=frozenset(map(comparable, settings.senders)),
            to_prefixes=tuple(map(comparable_prefix, settings.to_prefixes)),
            bulk_ids=frozenset(settings.bulk_ids),
            application_ids=frozenset(settings.application_ids),
            entity_ids=frozenset(settings.entity_ids),
            callback_data_prefix=settings.callback_data_prefix,
            callback_data_fields=settings.callback_data_fields,
        ),
        rate_limit=settings.rate_limit or None,
        breaker_failures=settings.breaker_failures,
        breaker_probe=settings.breaker_probe,
        ordered=settings.ordered,
        schedule=None if settings.schedule == "default" else PRESETS[settings.schedule],
        outcome=None if settings.outcome is None else rules_of(settings.outcome),
        security=security_of(settings.security),
        tls=tls_of(settings.tls),
        checked=from_outside,
    )


def rules_of(settings: OutcomeSettings) -> OutcomeRules:
    """Outcome rules from their settings."""
    # 429 says "later"; Sinch, Vonage and Brevo, which do not repeat 4xx, repeat it too.
    refusals = frozenset() if settings.retry_4xx else statuses("4xx") - {429}
    return OutcomeRules(
        acknowledge=statuses(*settings.acknowledge),
        body_matches=Expression(settings.body_matches) if settings.body_matches else None,
        stop_on=statuses(*settings.stop_on) | refusals,
        retry_after=(
            RetryAfter(most=settings.retry_after_max) if settings.honour_retry_after else None
        ),
    )


def schedule_of(settings: DispatchSettings) -> RetrySchedule:
    """The preset that is chosen, or the custom schedule that the settings describe."""
    if settings.preset != "custom":
        return PRESETS[settings.preset]
    waits = settings.waits or formula(
        first=settings.first,
        step=settings.step,
        factor=settings.factor,
        retries=settings.retries,
        cap=settings.cap,
    )
    if settings.repeat_last:
        waits += waits[-1:] * (settings.retries - len(waits))
    return RetrySchedule("custom", waits, "[schedule] in the settings", jitter=settings.jitter)
