-- The sandbox: what was sent to it, and how far that has come. Instants are microseconds since 1970
-- UTC.

-- How far its clock is ahead of the machine's, and the latest instant that anything here has: the
-- clock never goes back before it. `rules` are the outcome rules that came by the API, as JSON.
CREATE TABLE sandbox (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    ahead INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    rules TEXT NOT NULL
) STRICT;
INSERT INTO sandbox VALUES (1, 0, 0, '[]');

-- `gap` is the time between two messages of a bulk that has a sendingSpeedLimit.
CREATE TABLE sandbox_bulk (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    bulk_id TEXT NOT NULL UNIQUE,
    gap INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'paused', 'cancelled'))
) STRICT;

-- `done` is how many steps of its life cycle (lifecycle.py) a message has taken, `due_at` when the next
-- one is; NULL: none by itself. A refused one has none. `sms` and `fate` are JSON.
CREATE TABLE sandbox_message (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id TEXT NOT NULL,
    bulk INTEGER NOT NULL,
    api TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'enroute', 'ended', 'refused')),
    accepted_at INTEGER NOT NULL,
    start_at INTEGER NOT NULL,
    leaves_at INTEGER NOT NULL,
    cancelled_at INTEGER,
    done INTEGER NOT NULL,
    due_at INTEGER,
    done_at INTEGER,
    status_group INTEGER NOT NULL,
    status_id INTEGER NOT NULL,
    error TEXT NOT NULL,
    process_key TEXT,
    sms TEXT NOT NULL,
    fate TEXT
) STRICT;
CREATE INDEX sandbox_message_due ON sandbox_message (due_at, id) WHERE due_at IS NOT NULL;
CREATE INDEX sandbox_message_bulk ON sandbox_message (bulk);
-- Ids that we make ascend, so that this grows at its end.
CREATE INDEX sandbox_message_name ON sandbox_message (message_id);

-- Reports that nobody gets by a push; handed out, they go from here.
CREATE TABLE sandbox_pull (
    report INTEGER PRIMARY KEY,
    message INTEGER NOT NULL,
    made_at INTEGER NOT NULL
) STRICT;
