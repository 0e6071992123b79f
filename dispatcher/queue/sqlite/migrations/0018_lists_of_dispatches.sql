-- Pages of a replay's dispatches. Those of no replay are not in it and cost nothing.
CREATE INDEX dispatch_of_replay ON dispatch (replay) WHERE replay IS NOT NULL;

-- Of which message an event is that is no report: a dispatch without reports, which only a sandbox
-- makes. Those from before tell it in their bytes, as far as these are JSON: an SMS that came in
-- tells it in its first result, a click by itself.
CREATE TABLE event_message (
    dispatch INTEGER PRIMARY KEY,
    message_id TEXT NOT NULL
) STRICT;
CREATE INDEX event_message_id ON event_message (message_id);
INSERT INTO event_message (dispatch, message_id)
    SELECT id, message_id FROM (
        SELECT id, coalesce(text ->> '$.results[0].messageId', text ->> '$.messageId') AS message_id
        FROM (
            SELECT id, CAST(body AS TEXT) AS text
            FROM dispatch CROSS JOIN dispatch_body ON dispatch = id
            WHERE reports = 0 AND content_type = 'application/json'
        )
        WHERE json_valid(text)
    )
    WHERE typeof(message_id) = 'text';
