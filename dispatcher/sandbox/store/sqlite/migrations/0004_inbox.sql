-- SMS that came in, as JSON. `waits` is 1 until somebody has pulled it, and 0 from the start where it
-- is pushed.
CREATE TABLE sandbox_inbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    received_at INTEGER NOT NULL,
    waits INTEGER NOT NULL CHECK (waits IN (0, 1)),
    inbound TEXT NOT NULL
) STRICT;
CREATE INDEX sandbox_inbox_waits ON sandbox_inbox (received_at) WHERE waits;
CREATE INDEX sandbox_inbox_received ON sandbox_inbox (received_at);
