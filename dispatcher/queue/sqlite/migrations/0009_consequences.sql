-- What follows from a change of a dispatch: all of it, in this file alone. A trigger for each line of
-- CONSEQUENCES (dispatcher/retrying/consequences.py), under the name that it has there. Whoever
-- changes one drops all and makes all anew in a later migration, so that they are read in one place.
--
-- SQLite leaves open in which order the triggers of one change run, and runs none inside of itself.
-- So each of them adds and subtracts, and none reads what another one writes: whether
-- `returned_unwanted_is_cancelled` comes first or last, its own change is counted by the others.
DROP TRIGGER replay_fed;
DROP TRIGGER replay_moved;
DROP TRIGGER replay_tried;
DROP TRIGGER replay_over;
DROP TRIGGER dispatch_counted;
DROP TRIGGER dispatch_moved;
DROP TRIGGER dispatch_uncounted;
DROP TRIGGER endpoint_over;
DROP TRIGGER dispatch_forgotten;
DROP TRIGGER dispatch_frees;
DROP TRIGGER replay_held;
DROP TRIGGER replay_let_go;

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
    UPDATE held_report SET freed = 1 WHERE (endpoint, message_key) IN
        (SELECT endpoint, message_key FROM message_under_way WHERE dispatch = new.id);
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

-- What a replay holds, for its end: otherwise all that is held for anybody is gone through.
CREATE INDEX held_report_replay ON held_report (replay) WHERE replay > 0;
