-- What was changed by hand. A row is there before its change begins, without an outcome; `details` is
-- a JSON object.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    who TEXT,
    origin TEXT NOT NULL,
    what TEXT NOT NULL,
    subject TEXT,
    outcome TEXT,
    details TEXT NOT NULL DEFAULT '{}'
) STRICT;
