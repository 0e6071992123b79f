-- What the webhook-id of a dispatch ends with, after the queue's name and the dispatch's number:
-- random, so that a database that was restored or copied, and counts from the same number once more,
-- never gives one push the webhook-id of another. NULL: it was formed before there was such an end,
-- and keeps the webhook-id that its customer may have seen.
ALTER TABLE dispatch ADD COLUMN webhook_id_end TEXT;

-- Attempts that were begun, or may have been, and of which nothing is recorded: the process died, or
-- was stopped, between the push and its record. The attempt with this number was made once more.
-- `until`: when its lease ended.
CREATE TABLE unrecorded_attempt (
    dispatch INTEGER NOT NULL,
    number INTEGER NOT NULL,
    until INTEGER NOT NULL
) STRICT;
CREATE INDEX unrecorded_attempt_dispatch ON unrecorded_attempt (dispatch);
