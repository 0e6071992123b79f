-- What was said of an endpoint at run time. `settings` is JSON with the keys of [[endpoint]] in the
-- settings file; NULL leaves it to the file. A removed one stays removed though the file names it.
ALTER TABLE endpoint ADD COLUMN settings TEXT;
ALTER TABLE endpoint ADD COLUMN from_outside INTEGER NOT NULL DEFAULT 0;
ALTER TABLE endpoint ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
ALTER TABLE endpoint ADD COLUMN removed INTEGER NOT NULL DEFAULT 0;

-- Goes up with each such change, so that every process notices those of the others.
CREATE TABLE endpoint_version (number INTEGER NOT NULL) STRICT;
INSERT INTO endpoint_version VALUES (0);

-- Endpoints with `ordered`: messages that have a report on its way, and the reports held for it.
CREATE TABLE message_under_way (
    endpoint TEXT NOT NULL,
    message_key INTEGER NOT NULL,
    dispatch INTEGER NOT NULL,
    PRIMARY KEY (endpoint, message_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX message_under_way_dispatch ON message_under_way (dispatch);

CREATE TABLE held_report (
    endpoint TEXT NOT NULL,
    report INTEGER NOT NULL,
    message_key INTEGER NOT NULL,
    freed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (endpoint, report)
) STRICT, WITHOUT ROWID;
CREATE INDEX held_report_message ON held_report (endpoint, message_key);
CREATE INDEX held_report_freed ON held_report (endpoint, report) WHERE freed;
