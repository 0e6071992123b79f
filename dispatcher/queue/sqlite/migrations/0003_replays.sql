-- Replays: stored reports that somebody asked to be dispatched again. Instants and offsets are in
-- microseconds. What is to be replayed is decided once, when the replay is made, and lies in
-- replay_item; `fed` says how far it has become dispatches.
CREATE TABLE replay (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('running', 'done', 'stopped', 'cancelled')),
    created_at INTEGER NOT NULL,
    selection TEXT NOT NULL, -- JSON, for showing
    endpoint TEXT, -- the target; NULL: where each report went before
    url TEXT, -- of a target that was given as a URL; its endpoint is made for this replay alone
    rate TEXT, -- 50/s
    speed REAL, -- NULL: not at the original pace
    stop_on_errors REAL,
    total INTEGER NOT NULL,
    fed INTEGER NOT NULL DEFAULT 0,
    dropped INTEGER NOT NULL DEFAULT 0, -- of those fed: the report or its endpoint is no more
    tried INTEGER NOT NULL DEFAULT 0, -- its dispatches with at least one attempt
    attempts INTEGER NOT NULL DEFAULT 0, -- at all of its dispatches
    started_at INTEGER,
    last_fed_at INTEGER,
    anchor_at INTEGER, -- what its pace counts from (replay/pace.py)
    ended_at INTEGER,
    tidy INTEGER NOT NULL DEFAULT 0 -- ended, and nothing is left to be cleared away
) STRICT;
CREATE INDEX replay_open ON replay (id) WHERE tidy = 0;

-- In the order of arrival. `due_offset` is how long after the first report it was received.
CREATE TABLE replay_item (
    replay INTEGER NOT NULL,
    position INTEGER NOT NULL,
    report INTEGER NOT NULL,
    endpoint TEXT NOT NULL,
    due_offset INTEGER NOT NULL,
    PRIMARY KEY (replay, position)
) STRICT, WITHOUT ROWID;

ALTER TABLE dispatch ADD COLUMN replay INTEGER;

-- What was fed and not tried yet: a short list, for the feeder holds back when it grows.
CREATE INDEX dispatch_replay_untried ON dispatch (replay, endpoint)
    WHERE replay IS NOT NULL AND state = 'waiting' AND attempts = 0;
-- What a cancel has to find, and whether a replay has ended.
CREATE INDEX dispatch_replay_open ON dispatch (replay, state)
    WHERE replay IS NOT NULL AND state IN ('waiting', 'leased');

-- How far each replay has come, kept by the triggers below: so that it stays true when retention
-- takes its dispatches, and is read ten times a second.
CREATE TABLE replay_count (
    replay INTEGER NOT NULL,
    state TEXT NOT NULL,
    dispatches INTEGER NOT NULL,
    reports INTEGER NOT NULL,
    PRIMARY KEY (replay, state)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER replay_fed AFTER INSERT ON dispatch WHEN new.replay IS NOT NULL BEGIN
    INSERT INTO replay_count VALUES (new.replay, new.state, 1, new.reports)
        ON CONFLICT (replay, state) DO UPDATE
        SET dispatches = dispatches + 1, reports = reports + excluded.reports;
END;
CREATE TRIGGER replay_moved AFTER UPDATE OF state ON dispatch
WHEN new.replay IS NOT NULL AND old.state <> new.state BEGIN
    UPDATE replay_count SET dispatches = dispatches - 1, reports = reports - old.reports
        WHERE replay = new.replay AND state = old.state;
    INSERT INTO replay_count VALUES (new.replay, new.state, 1, new.reports)
        ON CONFLICT (replay, state) DO UPDATE
        SET dispatches = dispatches + 1, reports = reports + excluded.reports;
END;
CREATE TRIGGER replay_tried AFTER UPDATE OF attempts ON dispatch
WHEN new.replay IS NOT NULL AND new.attempts > old.attempts BEGIN
    UPDATE replay SET
        tried = tried + (old.attempts = 0),
        attempts = attempts + new.attempts - old.attempts
        WHERE id = new.replay;
END;
-- A dispatch that was leased when its replay was cancelled comes back from a failed attempt, or from
-- a worker that died: it must not be sent once more.
CREATE TRIGGER replay_over AFTER UPDATE OF state ON dispatch
WHEN new.replay IS NOT NULL AND old.state = 'leased' AND new.state = 'waiting'
    AND (SELECT state FROM replay WHERE id = new.replay) IN ('stopped', 'cancelled') BEGIN
    UPDATE dispatch SET state = 'cancelled', due_at = NULL WHERE id = new.id;
END;
