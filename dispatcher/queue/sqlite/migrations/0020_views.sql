-- Views for other programs that read the database, such as Grafana. Their names and columns are a
-- contract (views.py); the tables are not. `…_us` are microseconds since 1970 UTC, `…_at` the same
-- instant as text. A migration that rebuilds a table drops the views of it first, and makes them
-- again.
CREATE VIEW dlr_reports AS
WITH instants AS (
    SELECT *,
        item ->> '$.sentAt' AS sent,
        item ->> '$.doneAt' AS done,
        -- Names of the other generation may stand beside these, with any value.
        item ->> iif(generation = 'v3', '$.messageCount', '$.smsCount') AS count
    FROM report
),
read AS (
    SELECT *,
        -- The items have a zone without a colon, which SQLite cannot read.
        strftime('%Y-%m-%dT%H:%M:%fZ', substr(sent, 1, length(sent) - 2) || ':' || substr(sent, -2))
            AS sent_at,
        strftime('%Y-%m-%dT%H:%M:%fZ', substr(done, 1, length(done) - 2) || ':' || substr(done, -2))
            AS done_at,
        item ->> '$.price.pricePerMessage' AS price
    FROM instants
)
SELECT
    id AS report_id,
    strftime('%Y-%m-%dT%H:%M:%fZ', (received_at / 1000) / 1000.0, 'unixepoch') AS received_at,
    received_at AS received_us,
    source,
    format,
    generation,
    final,
    duplicates,
    item ->> '$.messageId' AS message_id,
    item ->> '$.bulkId' AS bulk_id,
    item ->> '$.to' AS recipient,
    item ->> iif(generation = 'v3', '$.sender', '$.from') AS sender,
    item ->> '$.mccMnc' AS mcc_mnc,
    item ->> '$.callbackData' AS callback_data,
    sent_at,
    done_at,
    CAST(round((julianday(done_at) - julianday(sent_at)) * 86400000) AS INTEGER) / 1000.0
        AS sent_to_done_seconds,
    status_group AS status_group_id,
    CASE status_group
        WHEN 0 THEN 'ACCEPTED' WHEN 1 THEN 'PENDING' WHEN 2 THEN 'UNDELIVERABLE'
        WHEN 3 THEN 'DELIVERED' WHEN 4 THEN 'EXPIRED' WHEN 5 THEN 'REJECTED'
        ELSE item ->> '$.status.groupName'
    END AS status_group,
    item ->> '$.status.id' AS status_id,
    item ->> '$.status.name' AS status,
    item ->> '$.error.id' AS error_id,
    item ->> '$.error.name' AS error,
    item ->> '$.error.permanent' AS error_permanent,
    count AS parts,
    price AS price_per_part,
    item ->> '$.price.currency' AS currency,
    iif(final, price * max(coalesce(count, 1), 1), NULL) AS cost
FROM read;

CREATE VIEW dlr_messages AS
WITH ranked AS (
    SELECT *,
        row_number() OVER (of_message ORDER BY final DESC, done_at DESC, report_id DESC) AS rank,
        count(*) OVER of_message AS reports,
        min(received_us) OVER of_message AS first_us,
        max(received_us) OVER of_message AS last_us
    FROM dlr_reports
    WHERE message_id IS NOT NULL
    WINDOW of_message AS (PARTITION BY source, message_id)
)
SELECT
    source,
    message_id,
    reports,
    strftime('%Y-%m-%dT%H:%M:%fZ', (first_us / 1000) / 1000.0, 'unixepoch') AS first_received_at,
    first_us AS first_received_us,
    strftime('%Y-%m-%dT%H:%M:%fZ', (last_us / 1000) / 1000.0, 'unixepoch') AS last_received_at,
    last_us AS last_received_us,
    report_id,
    bulk_id,
    recipient,
    sender,
    mcc_mnc,
    final,
    sent_at,
    done_at,
    sent_to_done_seconds,
    status_group_id,
    status_group,
    status_id,
    status,
    error_id,
    error,
    parts,
    currency,
    cost
FROM ranked WHERE rank = 1;

CREATE VIEW dlr_dispatches AS
SELECT
    (SELECT name FROM queue_name) || '-' || id AS dispatch_id,
    id AS dispatch_number,
    endpoint,
    state,
    attempts,
    reports,
    strftime('%Y-%m-%dT%H:%M:%fZ', (created_at / 1000) / 1000.0, 'unixepoch') AS created_at,
    created_at AS created_us,
    strftime('%Y-%m-%dT%H:%M:%fZ', (due_at / 1000) / 1000.0, 'unixepoch') AS due_at,
    due_at AS due_us,
    replay AS replay_id
FROM dispatch;

CREATE VIEW dlr_dispatched_reports AS
SELECT
    dispatch_report.report AS report_id,
    (SELECT name FROM queue_name) || '-' || dispatch.id AS dispatch_id,
    dispatch.id AS dispatch_number,
    endpoint,
    state,
    replay AS replay_id
FROM dispatch_report JOIN dispatch ON dispatch.id = dispatch_report.dispatch;

CREATE VIEW dlr_attempts AS
SELECT
    attempt.id AS attempt_id,
    (SELECT name FROM queue_name) || '-' || dispatch.id AS dispatch_id,
    dispatch.id AS dispatch_number,
    endpoint,
    number,
    strftime('%Y-%m-%dT%H:%M:%fZ', (started_at / 1000) / 1000.0, 'unixepoch') AS started_at,
    started_at AS started_us,
    duration_ms / 1000.0 AS duration_seconds,
    status AS http_status,
    outcome,
    error
FROM attempt JOIN dispatch ON dispatch.id = attempt.dispatch;

CREATE VIEW dlr_quarantine AS
SELECT
    id AS entry_id,
    strftime('%Y-%m-%dT%H:%M:%fZ', (received_at / 1000) / 1000.0, 'unixepoch') AS received_at,
    received_at AS received_us,
    source,
    content_type,
    length(body) AS size_bytes,
    place,
    reason,
    repeats
FROM quarantine;

CREATE VIEW dlr_endpoints AS
SELECT
    name AS endpoint,
    paused,
    removed,
    coalesce(sum(count) FILTER (WHERE state = 'waiting'), 0) AS waiting,
    coalesce(sum(count) FILTER (WHERE state = 'leased'), 0) AS leased,
    coalesce(sum(count) FILTER (WHERE state = 'acknowledged'), 0) AS acknowledged,
    coalesce(sum(count) FILTER (WHERE state = 'exhausted'), 0) AS exhausted,
    coalesce(sum(count) FILTER (WHERE state = 'cancelled'), 0) AS cancelled
FROM endpoint LEFT JOIN dispatch_count ON dispatch_count.endpoint = name
GROUP BY name;

CREATE VIEW dlr_totals_by_hour AS
SELECT
    strftime('%Y-%m-%dT%H:%M:%fZ', start, 'unixepoch') AS hour_at,
    start * 1000000 AS hour_us,
    source,
    said ->> '$[0]' AS final,
    said ->> '$[1]' AS status_group_id,
    CASE said ->> '$[1]'
        WHEN 0 THEN 'ACCEPTED' WHEN 1 THEN 'PENDING' WHEN 2 THEN 'UNDELIVERABLE'
        WHEN 3 THEN 'DELIVERED' WHEN 4 THEN 'EXPIRED' WHEN 5 THEN 'REJECTED'
    END AS status_group,
    said ->> '$[2]' AS status_id,
    said ->> '$[3]' AS status,
    said ->> '$[5]' AS error_id,
    said ->> '$[6]' AS error,
    reports
FROM total LEFT JOIN outcome ON outcome.id = total.outcome
WHERE span = 3600;

CREATE VIEW dlr_costs_by_hour AS
SELECT
    strftime('%Y-%m-%dT%H:%M:%fZ', start, 'unixepoch') AS hour_at,
    start * 1000000 AS hour_us,
    source,
    currency,
    reports,
    CAST(sum AS REAL) AS cost
FROM price_total
WHERE span = 3600 AND final;
