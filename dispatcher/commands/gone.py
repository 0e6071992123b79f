"""What is said of endpoints that have left the settings file."""

from __future__ import annotations

from dispatcher.endpoints.registry import Registry
from dispatcher.storage import Storage


async def gone_lines(opened: Storage, registry: Registry) -> list[str]:
    """A line for each: what still waits for it, and what can be done."""
    gone = await registry.gone()
    if not gone:
        return []
    counts, unread = await opened.queue.counts(), (await opened.figures.depths()).unread
    return [
        f"gone       {name}: no longer in the settings;"
        f" {counted(counts.get(name, {}).get('waiting', 0), 'waiting dispatch', 'es')},"
        f" {counted(unread.get(name, 0), 'unread report')}."
        f" `dlr endpoints resume {name} --as NAME`, or `dlr endpoints remove {name}`"
        for name in gone
    ]


def counted(number: int, what: str, plural: str = "s") -> str:
    """`1 waiting dispatch`, `2 unread reports`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}{plural}"
