"""What a sandbox forgets: what is old, and what somebody has the right to have erased."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from receiver.store.recipient import Recipient
from tests.end_to_end.processes import eventually
from tests.sandbox.playing import START, playing


async def test_old_messages_go(tmp_path: Path) -> None:
    """Messages are kept for as long as reports; those that still wait stay, however old."""
    text = '[retention]\nreports = "10d"\n'
    async with playing(tmp_path, text) as sandbox:
        await sandbox.send("41790000001")
        await sandbox.send("41790000002", sendAt="2026-06-01T12:00:00.000+0000")
        await sandbox.advance("20d")

        async def gone() -> bool:
            return [each["to"] for each in await sandbox.messages()] == ["41790000002"]

        assert await eventually(gone, "the old message has gone")


async def test_a_scheduled_message_is_kept_from_its_end_on(tmp_path: Path) -> None:
    """What was sent long ago for today is not old when it ends: it went from the lists within
    minutes, for its age was counted from its acceptance."""
    async with playing(tmp_path) as sandbox:
        await sandbox.send("41790000001")
        await sandbox.send("41790000002", sendAt="2026-03-22T12:00:00.000+0000")
        await sandbox.advance("20d1h")
        ten_days_ago = START + timedelta(days=10)

        removed = await sandbox.running.storage.sandbox.purge(ten_days_ago, 500)
        assert removed == 1
        assert [each["to"] for each in await sandbox.messages()] == ["41790000002"]


async def test_erasure(tmp_path: Path) -> None:
    """One recipient's messages are erased with the reports of them; the others' stay."""
    async with playing(tmp_path) as sandbox:
        await sandbox.send("41790000001", "41790000002")
        await sandbox.advance("1m")
        erasure = sandbox.running.storage.erasure
        recipient = Recipient(to="+41790000001")
        told = await erasure.count(recipient)
        done = await erasure.erase(recipient)

        assert told["sandbox_message"] == done["sandbox_message"] == 1
        assert [each["to"] for each in await sandbox.messages()] == ["41790000002"]
        assert [each["to"] for each in await sandbox.pull()] == ["41790000002"]
