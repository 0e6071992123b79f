-- What is oldest is decided by instants and not by ids: a quarantine entry that was read again has an
-- old instant and a new id, and a clock that was wrong gives any. Both indexes grow at their end, so
-- that they cost the transaction that stores reports 1 to 2 us a report (measured).
CREATE INDEX report_received ON report (received_at);
CREATE INDEX quarantine_received ON quarantine (received_at);

-- How many reports there are up to `followed.report`: counting ten million would take a second of
-- each minute. The follower adds, and whoever removes a report subtracts.
ALTER TABLE followed ADD COLUMN reports INTEGER NOT NULL DEFAULT 0;
UPDATE followed SET reports = (SELECT count(*) FROM report WHERE id <= followed.report);
CREATE TRIGGER report_uncounted AFTER DELETE ON report
WHEN old.id <= (SELECT report FROM followed) BEGIN
    UPDATE followed SET reports = reports - 1;
END;

-- Empty, but for the moment in which is tried whether there is room again after a write has failed.
CREATE TABLE room (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    filler BLOB NOT NULL
) STRICT;
