"""Each migration of the sandbox's store, on a database of the schema before it with data in it."""

from __future__ import annotations

from dispatcher.sandbox.store.sqlite.store import MIGRATIONS as SANDBOX_MIGRATIONS
from dispatcher.sandbox.store.sqlite.store import SqliteSandboxStore
from dispatcher.storage import MIGRATIONS, insert_new_event
from receiver.store.instants import micros
from receiver.store.sqlite.database import Database
from tests.contracts.sandbox_events import an_inbound, logged, pulled, with_links
from tests.contracts.sandbox_store import NOON, Provider, an_arrival

SMS = (
    '{"message_id":"m1","to":"41790000001","sender":"InfoSMS","parts":1,"delivery":{},'
    '"content":{"type":"text","text":"hello","sent":"hello"}}'
)
FATE = '{"status":[3,5],"error":"NO_ERROR","after":"PT2S"}'


async def before(number: int) -> Database:
    """A database of the schema before this migration of the sandbox, with a message in it that was
    delivered."""
    later = [step for step in SANDBOX_MIGRATIONS if step.number >= number]
    database = await Database.open(":memory:")
    await database.migrate([step for step in MIGRATIONS if step not in later])
    at = micros(NOON)
    for statement in (
        "INSERT INTO sandbox_bulk (bulk_id, gap, state) VALUES ('B', 0, 'open')",
        "INSERT INTO sandbox_message (message_id, bulk, api, state, accepted_at, start_at,"
        " leaves_at, done, due_at, done_at, status_group, status_id, error, process_key, sms, fate)"
        f" VALUES ('m1', 1, 'v2', 'ended', {at}, {at}, {at}, 3, NULL, {at}, 3, 5, 'NO_ERROR',"
        f" 'KEY', '{SMS}', '{FATE}')",
    ):
        await database.write(lambda c, sql=statement: c.execute(sql).close())  # type: ignore[misc]
    return database


async def test_0004_received_sms() -> None:
    """What was sent before is there as it was, and SMS can come in from then on."""
    database = await before(4)
    await database.migrate(MIGRATIONS)
    store = SqliteSandboxStore(database, insert_new_event)
    await store.receive(an_inbound(), None, NOON)

    (message,) = await Provider(store).messages()
    assert (message.message_id, message.status, message.sms.to) == ("m1", (3, 5), "41790000001")
    assert (await logged(store), await pulled(store)) == (["hello"], (["hello"], 0))
    await database.close()


async def test_0005_links() -> None:
    """A message of before has no link and no click; it can be confirmed. New ones have links."""
    database = await before(5)
    await database.migrate(MIGRATIONS)
    store = SqliteSandboxStore(database, insert_new_event)
    provider = Provider(store)
    await provider.accept(an_arrival(with_links("a")))
    await store.convert(1, NOON)

    old, new = await provider.messages()
    assert (old.message_id, old.sms.links, old.clicks, old.converted_at) == ("m1", None, 0, NOON)
    assert await store.linked("a") == new
    await database.close()
