"""Links that are followed: each click is counted, and told to where the request wanted it told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from msgspec import Struct

from dispatcher.endpoints.own_urls import target_of_url
from dispatcher.sandbox.messages.message import Message
from dispatcher.sandbox.messages.send import ShortLink, ShortLinks
from dispatcher.sandbox.store.base import ClickStore, Push
from dispatcher.sandbox.wire.click import click_event
from receiver.store.callback import NotifyTo


class NoLink(Exception):
    """A message has no such link, or none whose clicks are counted; the text says which."""


class Clicked(Struct, frozen=True):
    """What was clicked on, when, and where that is told; `None`: nowhere."""

    message_id: str
    link: ShortLink
    at: datetime
    told_to: str | None


class Clicks:
    """Counts and tells them. `on_stored` is called when one is to be pushed."""

    def __init__(
        self, store: ClickStore, *, now: Callable[[], datetime], on_stored: Callable[[], None]
    ) -> None:
        self._store = store
        self._now = now
        self._on_stored = on_stored

    async def linked(self, code: str) -> tuple[Message, ShortLink] | None:
        """The message and the link that have this code. Raises StoreUnavailable."""
        message = await self._store.linked(code)
        links = () if message is None or message.sms.links is None else message.sms.links.links
        link = next((link for link in links if link.code == code), None)
        return None if message is None or link is None else (message, link)

    async def follow(self, message: Message, link: ShortLink) -> None:
        """Somebody follows a link: that is a click, if clicks are tracked. Raises
        StoreUnavailable."""
        links = message.sms.links
        if links is not None and links.tracked:
            await self._click(message, links, link)

    async def click(self, message_id: str, url: str | None) -> Clicked | None:
        """A click on a link of a message: the one that leads to `url`, or is it; otherwise on the
        first. `None`: there is no such message. Raises NoLink, StoreUnavailable."""
        message = await self._store.sent(message_id)
        if message is None:
            return None
        links = _tracked(message)
        return await self._click(message, links, _chosen(links, url))

    async def _click(self, message: Message, links: ShortLinks, link: ShortLink) -> Clicked:
        now = self._now()
        push = None
        if links.told_to is not None:
            body = click_event(message, link.url, now)
            target = target_of_url(NotifyTo(links.told_to, "json"))
            push = Push(target, body, message.message_id)
        await self._store.click(message.id, now, push, converts=links.converts)
        self._on_stored()
        return Clicked(message.message_id, link, now, links.told_to)


def _tracked(message: Message) -> ShortLinks:
    links = message.sms.links
    if links is None:
        raise NoLink(
            "the message has no short link; request them with urlOptions, or with"
            " tracking.track = URL"
        )
    if not links.tracked:
        raise NoLink("clicks of the message are not tracked: trackClicks is false")
    return links


def _chosen(links: ShortLinks, url: str | None) -> ShortLink:
    for link in links.links:
        if url in (None, link.url, link.short):
            return link
    known = ", ".join(link.url for link in links.links)
    raise NoLink(f"url: expected a link of the message ({known}), got {url}")
