-- Replays keep the order of an endpoint with `ordered`, too: reports of a replay are held like those
-- that come by themselves (replay 0), and a report may be held for several at once. `freed`: nothing
-- of its message is on its way any more.
CREATE TABLE held_report_anew (
    endpoint TEXT NOT NULL,
    report INTEGER NOT NULL,
    replay INTEGER NOT NULL,
    message_key INTEGER NOT NULL,
    freed INTEGER NOT NULL,
    PRIMARY KEY (endpoint, report, replay)
) STRICT, WITHOUT ROWID;
INSERT INTO held_report_anew (endpoint, report, replay, message_key, freed)
    SELECT endpoint, report, 0, message_key, freed FROM held_report;
DROP TABLE held_report;
ALTER TABLE held_report_anew RENAME TO held_report;
CREATE INDEX held_report_message ON held_report (endpoint, message_key);
CREATE INDEX held_report_freed ON held_report (replay, endpoint, report) WHERE freed;

-- Whatever ends a dispatch (an attempt, a hand, a cancelled replay, an erasure) frees its messages.
CREATE TRIGGER dispatch_frees AFTER UPDATE OF state ON dispatch
WHEN new.state NOT IN ('waiting', 'leased')
    AND EXISTS (SELECT 1 FROM message_under_way WHERE dispatch = new.id) BEGIN
    UPDATE held_report SET freed = 1 WHERE (endpoint, message_key) IN
        (SELECT endpoint, message_key FROM message_under_way WHERE dispatch = new.id);
    DELETE FROM message_under_way WHERE dispatch = new.id;
END;

-- What of a replay is held, beside what is in its dispatches.
CREATE TRIGGER replay_held AFTER INSERT ON held_report WHEN new.replay > 0 BEGIN
    INSERT INTO replay_count VALUES (new.replay, 'held', 0, 1)
        ON CONFLICT (replay, state) DO UPDATE SET reports = reports + 1;
END;
CREATE TRIGGER replay_let_go AFTER DELETE ON held_report WHEN old.replay > 0 BEGIN
    UPDATE replay_count SET reports = reports - 1 WHERE replay = old.replay AND state = 'held';
END;

-- The items of a replay, a thousand to a row: a million rows were a transaction of some seconds, for
-- which callbacks had to wait. `items` is JSON: [reports, places, offsets], each as long as the piece;
-- reports and offsets as differences to the item before, places as indexes into replay.endpoints.
ALTER TABLE replay ADD COLUMN endpoints TEXT NOT NULL DEFAULT '[]';
CREATE TABLE replay_piece (
    replay INTEGER NOT NULL,
    position INTEGER NOT NULL, -- of its first item
    items TEXT NOT NULL,
    PRIMARY KEY (replay, position)
) STRICT;
UPDATE replay SET endpoints = (
    SELECT json_group_array(endpoint)
    FROM (SELECT DISTINCT endpoint FROM replay_item WHERE replay = replay.id)
);
INSERT INTO replay_piece (replay, position, items)
    SELECT replay, min(position), json_array(
        json_group_array(report_after), json_group_array(place), json_group_array(offset_after)
    ) FROM (
        SELECT replay, position,
            report - lag(report, 1, 0) OVER piece AS report_after,
            due_offset - lag(due_offset, 1, 0) OVER piece AS offset_after,
            (SELECT json_each.key FROM replay, json_each(replay.endpoints)
                WHERE replay.id = item.replay AND value = item.endpoint) AS place
        FROM replay_item AS item
        WINDOW piece AS (PARTITION BY replay, position / 1000 ORDER BY position)
        ORDER BY replay, position
    )
    GROUP BY replay, position / 1000;
DROP TABLE replay_item;
