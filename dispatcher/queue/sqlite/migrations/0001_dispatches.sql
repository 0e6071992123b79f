-- Instants are microseconds since 1970 UTC. Every key ascends or is small.
CREATE TABLE queue_name (name TEXT NOT NULL) STRICT;

-- How far each endpoint has read in the store of reports.
CREATE TABLE endpoint (
    name TEXT PRIMARY KEY,
    read_to INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE dispatch (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    endpoint TEXT NOT NULL,
    url TEXT NOT NULL,
    content_type TEXT NOT NULL,
    state TEXT NOT NULL
        CHECK (state IN ('waiting', 'leased', 'acknowledged', 'exhausted', 'cancelled')),
    attempts INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    due_at INTEGER,
    lease TEXT,
    lease_until INTEGER,
    first_report INTEGER NOT NULL,
    last_report INTEGER NOT NULL,
    reports INTEGER NOT NULL
) STRICT;

-- The cost of a claim must not grow with what has been acknowledged, nor with what is not yet due.
CREATE INDEX dispatch_due ON dispatch (endpoint, due_at, id) WHERE state = 'waiting';
CREATE INDEX dispatch_lease ON dispatch (lease_until) WHERE state = 'leased';

-- Apart from its dispatch, because a change of state rewrites the whole row.
CREATE TABLE dispatch_body (
    dispatch INTEGER PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;

CREATE TABLE dispatch_report (
    report INTEGER NOT NULL,
    dispatch INTEGER NOT NULL,
    PRIMARY KEY (report, dispatch)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempt (
    dispatch INTEGER NOT NULL,
    number INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    duration_ms REAL NOT NULL,
    status INTEGER,
    outcome TEXT NOT NULL,
    error TEXT,
    answer BLOB NOT NULL,
    PRIMARY KEY (dispatch, number)
) STRICT, WITHOUT ROWID;
