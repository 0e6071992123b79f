-- Sources are tenants: a message is of a source, and the messages of two sources with one messageId do
-- not wait for each other. So the source stands beside the message's key.
DROP TRIGGER formed_is_counted;
DROP TRIGGER formed_is_counted_for_its_replay;
DROP TRIGGER moved_is_counted;
DROP TRIGGER moved_is_counted_for_its_replay;
DROP TRIGGER ended_frees_its_messages;
DROP TRIGGER returned_unwanted_is_cancelled;
DROP TRIGGER tried_is_counted_for_its_replay;
DROP TRIGGER deleted_is_uncounted;
DROP TRIGGER deleted_forgets_what_was_taken;
DROP TRIGGER held_is_counted_for_its_replay;
DROP TRIGGER let_go_is_uncounted_for_its_replay;

-- What is under way already counts for each source that its dispatch has reports of, until it ends.
CREATE TABLE message_under_way_anew (
    endpoint TEXT NOT NULL,
    source TEXT NOT NULL,
    message_key INTEGER NOT NULL,
    dispatch INTEGER NOT NULL,
    PRIMARY KEY (endpoint, source, message_key)
) STRICT, WITHOUT ROWID;
INSERT INTO message_under_way_anew (endpoint, source, message_key, dispatch)
    WITH told (dispatch, source) AS MATERIALIZED (
        SELECT DISTINCT dispatch.id, report.source
        FROM (SELECT DISTINCT dispatch AS id FROM message_under_way) AS open
        CROSS JOIN dispatch ON dispatch.id = open.id
        CROSS JOIN dispatch_report AS member
            ON member.report BETWEEN first_report AND last_report AND member.dispatch = open.id
        CROSS JOIN report ON report.id = member.report
    )
    SELECT way.endpoint, told.source, way.message_key, way.dispatch
    FROM told CROSS JOIN message_under_way AS way ON way.dispatch = told.dispatch;
DROP TABLE message_under_way;
ALTER TABLE message_under_way_anew RENAME TO message_under_way;
CREATE INDEX message_under_way_dispatch ON message_under_way (dispatch);

-- What was held for another source's report is free now. A report that was erased meanwhile has no
-- source; it is free too, and whoever takes it finds that it is no more.
CREATE TABLE held_report_anew (
    endpoint TEXT NOT NULL,
    report INTEGER NOT NULL,
    replay INTEGER NOT NULL,
    source TEXT NOT NULL,
    message_key INTEGER NOT NULL,
    freed INTEGER NOT NULL,
    PRIMARY KEY (endpoint, report, replay)
) STRICT, WITHOUT ROWID;
INSERT INTO held_report_anew (endpoint, report, replay, source, message_key, freed)
    SELECT held.endpoint, held.report, held.replay, coalesce(report.source, ''), held.message_key,
        NOT EXISTS (
            SELECT 1 FROM message_under_way AS way
            WHERE way.endpoint = held.endpoint
                AND way.source = report.source AND way.message_key = held.message_key
        )
    FROM held_report AS held LEFT JOIN report ON report.id = held.report;
DROP TABLE held_report;
ALTER TABLE held_report_anew RENAME TO held_report;
CREATE INDEX held_report_message ON held_report (endpoint, source, message_key);
CREATE INDEX held_report_freed ON held_report (replay, endpoint, report) WHERE freed;
CREATE INDEX held_report_replay ON held_report (replay) WHERE replay > 0;

-- What follows from a change of a dispatch: all of it, in this file alone. A trigger for each line of
-- CONSEQUENCES (dispatcher/retrying/consequences.py), under the name that it has there. Whoever
-- changes one drops all and makes all anew in a later migration, so that they are read in one place.
--
-- SQLite leaves open in which order the triggers of one change run, and runs none inside of itself.
-- So each of them adds and subtracts, and none reads what another one writes: whether
-- `returned_unwanted_is_cancelled` comes first or last, its own change is counted by the others.

-- formed

CREATE TRIGGER formed_is_counted AFTER INSERT ON dispatch BEGIN
    INSERT INTO dispatch_count VALUES (new.endpoint, new.state, 1)
        ON CONFLICT (endpoint, state) DO UPDATE SET count = count + 1;
END;

CREATE TRIGGER formed_is_counted_for_its_replay AFTER INSERT ON dispatch
WHEN new.replay IS NOT NULL BEGIN
    INSERT INTO replay_count VALUES (new.replay, new.state, 1, new.reports)
        ON CONFLICT (replay, state) DO UPDATE
        SET dispatches = dispatches + 1, reports = reports + excluded.reports;
END;

-- moved

CREATE TRIGGER moved_is_counted AFTER UPDATE OF state ON dispatch
WHEN old.state <> new.state BEGIN
    INSERT INTO dispatch_count
        VALUES (old.endpoint, old.state, -1), (new.endpoint, new.state, 1)
        ON CONFLICT (endpoint, state) DO UPDATE SET count = count + excluded.count;
END;

CREATE TRIGGER moved_is_counted_for_its_replay AFTER UPDATE OF state ON dispatch
WHEN new.replay IS NOT NULL AND old.state <> new.state BEGIN
    INSERT INTO replay_count
        VALUES (old.replay, old.state, -1, -old.reports), (new.replay, new.state, 1, new.reports)
        ON CONFLICT (replay, state) DO UPDATE
        SET dispatches = dispatches + excluded.dispatches, reports = reports + excluded.reports;
END;

CREATE TRIGGER ended_frees_its_messages AFTER UPDATE OF state ON dispatch
WHEN new.state NOT IN ('waiting', 'leased')
    AND EXISTS (SELECT 1 FROM message_under_way WHERE dispatch = new.id) BEGIN
    UPDATE held_report SET freed = 1 WHERE (endpoint, source, message_key) IN
        (SELECT endpoint, source, message_key FROM message_under_way WHERE dispatch = new.id);
    DELETE FROM message_under_way WHERE dispatch = new.id;
END;

CREATE TRIGGER returned_unwanted_is_cancelled AFTER UPDATE OF state ON dispatch
WHEN old.state = 'leased' AND new.state = 'waiting' AND (
    (SELECT removed FROM endpoint WHERE name = new.endpoint)
    OR (SELECT state FROM replay WHERE id = new.replay) IN ('stopped', 'cancelled')
) BEGIN
    UPDATE dispatch SET state = 'cancelled', due_at = NULL WHERE id = new.id;
END;

-- tried

CREATE TRIGGER tried_is_counted_for_its_replay AFTER UPDATE OF attempts ON dispatch
WHEN new.replay IS NOT NULL AND new.attempts > old.attempts BEGIN
    UPDATE replay SET
        tried = tried + (old.attempts = 0),
        attempts = attempts + new.attempts - old.attempts
        WHERE id = new.replay;
END;

-- deleted

CREATE TRIGGER deleted_is_uncounted AFTER DELETE ON dispatch BEGIN
    UPDATE dispatch_count SET count = count - 1
        WHERE endpoint = old.endpoint AND state = old.state;
END;

CREATE TRIGGER deleted_forgets_what_was_taken AFTER DELETE ON dispatch
WHEN old.last_report > (SELECT report FROM taken_forgotten) BEGIN
    UPDATE taken_forgotten SET report = old.last_report;
END;

-- held, let go

CREATE TRIGGER held_is_counted_for_its_replay AFTER INSERT ON held_report
WHEN new.replay > 0 BEGIN
    INSERT INTO replay_count VALUES (new.replay, 'held', 0, 1)
        ON CONFLICT (replay, state) DO UPDATE SET reports = reports + 1;
END;

CREATE TRIGGER let_go_is_uncounted_for_its_replay AFTER DELETE ON held_report
WHEN old.replay > 0 BEGIN
    UPDATE replay_count SET reports = reports - 1 WHERE replay = old.replay AND state = 'held';
END;
