-- The tables and columns are those of the SQLite file (queue/sqlite/migrations), as far as nothing
-- else is said here. Instants are microseconds since 1970 UTC.
CREATE TABLE queue_name (
    one integer PRIMARY KEY DEFAULT 1 CHECK (one = 1), -- several processes may name it at once
    name text NOT NULL
);

CREATE TABLE endpoint (
    name text PRIMARY KEY,
    read_to bigint NOT NULL,
    settings text,
    from_outside boolean NOT NULL DEFAULT false,
    paused boolean NOT NULL DEFAULT false,
    removed boolean NOT NULL DEFAULT false,
    url text,
    in_force_until bigint NOT NULL DEFAULT 0,
    read_from bigint
) WITH (fillfactor = 20); -- a few rows that change with each form: room for them in their page
CREATE TABLE endpoint_version (number bigint NOT NULL);
INSERT INTO endpoint_version VALUES (0);

-- The last id given, after all transactions have ended that could still have something stored under
-- an id up to it: an endpoint that begins to read after it passes over nothing that comes later. A
-- transaction that goes on for more than five seconds is not waited for. Each statement looks anew.
CREATE FUNCTION dlr_last_settled(sequence regclass) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    last bigint;
    running text[];
    patience timestamptz := clock_timestamp() + interval '5 seconds';
BEGIN
    SELECT given, taking INTO last, running FROM dlr_given(sequence);
    running := ARRAY(
        SELECT unnest(running)
        EXCEPT SELECT virtualtransaction FROM pg_locks WHERE pid = pg_backend_pid()
    );
    WHILE running && (SELECT taking FROM dlr_given(sequence)) AND clock_timestamp() < patience LOOP
        PERFORM pg_sleep(0.002);
    END LOOP;
    RETURN last;
END $$;

-- Dispatches that wait or are leased are in dispatch_open, which stays small: a statement that asks
-- for these states looks at nothing else. When a dispatch ends, PostgreSQL moves it to
-- dispatch_ended, because its state changes. There it is in a partition by id
-- (receiver/store/postgres/partitions.py), which is dropped as a whole. Dispatches that ended after
-- their partition was dropped are in dispatch_ended_other.
-- Each change of a state is a new row in the table and in its indexes (no update is HOT, because the
-- state is in the indexes), so autovacuum comes early to dispatch_open and does not pause. No room is
-- left in the pages: it would only make the table larger.
CREATE SEQUENCE dispatch_id AS bigint;
CREATE TABLE dispatch (
    id bigint NOT NULL DEFAULT nextval('dispatch_id'),
    endpoint text NOT NULL,
    url text NOT NULL,
    content_type text NOT NULL,
    state text NOT NULL,
    attempts integer NOT NULL,
    created_at bigint NOT NULL,
    due_at bigint,
    lease text,
    lease_until bigint,
    first_report bigint NOT NULL,
    last_report bigint NOT NULL,
    reports integer NOT NULL,
    replay bigint,
    authorization_header text, -- `authorization` is a word of SQL
    webhook_id_end text,
    generation text,
    PRIMARY KEY (id, state)
) PARTITION BY LIST (state);
CREATE TABLE dispatch_open PARTITION OF dispatch FOR VALUES IN ('waiting', 'leased')
    WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE dispatch_ended PARTITION OF dispatch
    FOR VALUES IN ('acknowledged', 'exhausted', 'cancelled') PARTITION BY RANGE (id);
CREATE TABLE dispatch_ended_0 PARTITION OF dispatch_ended FOR VALUES FROM (0) TO (1073741824);
CREATE TABLE dispatch_ended_other PARTITION OF dispatch_ended DEFAULT;

CREATE INDEX dispatch_due ON dispatch_open (endpoint, due_at, id) WHERE state = 'waiting';
CREATE INDEX dispatch_lease ON dispatch_open (lease_until) WHERE state = 'leased';
CREATE INDEX dispatch_replay_untried ON dispatch_open (replay, endpoint)
    WHERE replay IS NOT NULL AND state = 'waiting' AND attempts = 0;
CREATE INDEX dispatch_replay_open ON dispatch_open (replay, state) WHERE replay IS NOT NULL;
CREATE INDEX dispatch_of_replay ON dispatch (replay, id) WHERE replay IS NOT NULL;
CREATE INDEX dispatch_of_endpoint ON dispatch (endpoint, id);
CREATE INDEX dispatch_formed ON dispatch (created_at);
CREATE INDEX dispatch_of_state ON dispatch_ended (state, id)
    WHERE state IN ('exhausted', 'cancelled');
CREATE INDEX dispatch_of_endpoint_and_state ON dispatch_ended (endpoint, state, id)
    WHERE state IN ('exhausted', 'cancelled');

CREATE TABLE dispatch_body (
    dispatch bigint PRIMARY KEY,
    body bytea NOT NULL
);
-- In the partitions of the reports (receiver/store/postgres/partitions.py), which they go with.
CREATE TABLE dispatch_report (
    report bigint NOT NULL,
    dispatch bigint NOT NULL,
    PRIMARY KEY (report, dispatch)
) PARTITION BY RANGE (report);
CREATE TABLE dispatch_report_0 PARTITION OF dispatch_report FOR VALUES FROM (0) TO (1073741824);
-- The reports of a dispatch whose reports are far apart.
CREATE TABLE dispatch_members (
    dispatch bigint PRIMARY KEY,
    reports bigint[] NOT NULL
);
CREATE TABLE event_message (
    dispatch bigint PRIMARY KEY,
    message_id text NOT NULL
);
CREATE INDEX event_message_id ON event_message (message_id);

-- In partitions by id, as the reports are (receiver/store/postgres/partitions.py). No constraint keeps
-- the numbers of a dispatch unique: only the holder of its lease records an attempt.
CREATE SEQUENCE attempt_id AS bigint;
CREATE TABLE attempt (
    id bigint PRIMARY KEY,
    dispatch bigint NOT NULL,
    number integer NOT NULL,
    started_at bigint NOT NULL,
    duration_ms double precision NOT NULL,
    status integer,
    outcome text NOT NULL,
    error text,
    answer bytea NOT NULL,
    note text
) PARTITION BY RANGE (id);
CREATE INDEX attempt_of_dispatch ON attempt (dispatch, number);
CREATE TABLE attempt_0 PARTITION OF attempt FOR VALUES FROM (0) TO (1073741824);
CREATE TABLE attempt_other PARTITION OF attempt DEFAULT;

CREATE TABLE unrecorded_attempt (
    dispatch bigint NOT NULL,
    number integer NOT NULL,
    until bigint NOT NULL
);
CREATE INDEX unrecorded_attempt_dispatch ON unrecorded_attempt (dispatch);

CREATE TABLE message_under_way (
    endpoint text NOT NULL,
    source text NOT NULL,
    message_key bigint NOT NULL,
    dispatch bigint NOT NULL,
    PRIMARY KEY (endpoint, source, message_key)
);
CREATE INDEX message_under_way_dispatch ON message_under_way (dispatch);
CREATE TABLE held_report (
    endpoint text NOT NULL,
    report bigint NOT NULL,
    replay bigint NOT NULL,
    source text NOT NULL,
    message_key bigint NOT NULL,
    freed boolean NOT NULL,
    PRIMARY KEY (endpoint, report, replay)
);
CREATE INDEX held_report_message ON held_report (endpoint, source, message_key);
CREATE INDEX held_report_freed ON held_report (replay, endpoint, report) WHERE freed;
CREATE INDEX held_report_replay ON held_report (replay) WHERE replay > 0;

CREATE TABLE replay (
    id bigint PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY,
    key text UNIQUE,
    state text NOT NULL CHECK (state IN ('running', 'done', 'stopped', 'cancelled')),
    created_at bigint NOT NULL,
    selection text NOT NULL,
    endpoint text,
    url text,
    rate text,
    speed double precision,
    stop_on_errors double precision,
    total bigint NOT NULL,
    fed bigint NOT NULL DEFAULT 0,
    dropped bigint NOT NULL DEFAULT 0,
    started_at bigint,
    last_fed_at bigint,
    anchor_at bigint,
    ended_at bigint,
    tidy boolean NOT NULL DEFAULT false,
    endpoints text NOT NULL DEFAULT '[]'
);
CREATE INDEX replay_open ON replay (id) WHERE NOT tidy;
CREATE TABLE replay_piece (
    replay bigint NOT NULL,
    position bigint NOT NULL,
    items text NOT NULL,
    PRIMARY KEY (replay, position)
);

-- Counts. One row for each, as SQLite has it, would be what all dispatchers wait for. So each change
-- adds a row, a count is the sum of its rows, and upkeep makes one of many (counts.py).
CREATE TABLE dispatch_count (
    endpoint text NOT NULL,
    state text NOT NULL,
    count bigint NOT NULL
);
-- `state`: one of a dispatch, or `held`; or `tried` (dispatches with at least one attempt, and with
-- `attempts` the attempts at all of them), which are columns of `replay` in SQLite.
CREATE TABLE replay_count (
    replay bigint NOT NULL,
    state text NOT NULL,
    dispatches bigint NOT NULL DEFAULT 0,
    reports bigint NOT NULL DEFAULT 0,
    attempts bigint NOT NULL DEFAULT 0
);
CREATE INDEX replay_count_replay ON replay_count (replay);

CREATE TABLE taken_forgotten (report bigint NOT NULL);
INSERT INTO taken_forgotten VALUES (0);

CREATE TABLE activity_followed (
    one integer PRIMARY KEY CHECK (one = 1),
    attempt bigint NOT NULL,
    pruned bigint NOT NULL
);
INSERT INTO activity_followed VALUES (1, 0, 0);
CREATE TABLE attempt_tally (
    span integer NOT NULL,
    endpoint text NOT NULL,
    outcome text NOT NULL,
    status_class integer NOT NULL,
    bin integer NOT NULL,
    start bigint NOT NULL,
    attempts bigint NOT NULL,
    PRIMARY KEY (span, endpoint, outcome, status_class, bin, start)
);
CREATE TABLE lateness_tally (
    span integer NOT NULL,
    endpoint text NOT NULL,
    bin integer NOT NULL,
    start bigint NOT NULL,
    reports bigint NOT NULL,
    PRIMARY KEY (span, endpoint, bin, start)
);

-- What follows from a change of a dispatch: a trigger for each line of CONSEQUENCES
-- (dispatcher/retrying/consequences.py), under the name that it has there. Those that count look once
-- at all rows of a statement.

-- formed

CREATE FUNCTION formed_is_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO dispatch_count SELECT endpoint, state, count(*) FROM formed GROUP BY endpoint, state;
    RETURN NULL;
END $$;
CREATE TRIGGER formed_is_counted AFTER INSERT ON dispatch
    REFERENCING NEW TABLE AS formed
    FOR EACH STATEMENT EXECUTE FUNCTION formed_is_counted();

CREATE FUNCTION formed_is_counted_for_its_replay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO replay_count (replay, state, dispatches, reports)
        SELECT replay, state, count(*), sum(reports) FROM formed
        WHERE replay IS NOT NULL GROUP BY replay, state;
    RETURN NULL;
END $$;
CREATE TRIGGER formed_is_counted_for_its_replay AFTER INSERT ON dispatch
    REFERENCING NEW TABLE AS formed
    FOR EACH STATEMENT EXECUTE FUNCTION formed_is_counted_for_its_replay();

-- moved

CREATE FUNCTION moved_is_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO dispatch_count
        SELECT endpoint, state, sum(change) FROM (
            SELECT endpoint, state, -1 AS change FROM before
            UNION ALL SELECT endpoint, state, 1 FROM after
        ) AS changes
        GROUP BY endpoint, state HAVING sum(change) <> 0;
    RETURN NULL;
END $$;
CREATE TRIGGER moved_is_counted AFTER UPDATE ON dispatch
    REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION moved_is_counted();

CREATE FUNCTION moved_is_counted_for_its_replay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO replay_count (replay, state, dispatches, reports)
        SELECT replay, state, sum(change), sum(change * reports) FROM (
            SELECT replay, state, reports, -1 AS change FROM before WHERE replay IS NOT NULL
            UNION ALL SELECT replay, state, reports, 1 FROM after WHERE replay IS NOT NULL
        ) AS changes
        GROUP BY replay, state HAVING sum(change) <> 0 OR sum(change * reports) <> 0;
    RETURN NULL;
END $$;
CREATE TRIGGER moved_is_counted_for_its_replay AFTER UPDATE ON dispatch
    REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION moved_is_counted_for_its_replay();

-- First what is under way, then what is held: whoever holds a report for a message locks what is under
-- way of it (FOR KEY SHARE), so that a report which was held at the same time is found here.
CREATE FUNCTION ended_frees_its_messages() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    way record;
BEGIN
    FOR way IN
        DELETE FROM message_under_way WHERE dispatch IN
            (SELECT id FROM after WHERE state NOT IN ('waiting', 'leased'))
        RETURNING endpoint, source, message_key
    LOOP
        UPDATE held_report SET freed = true
            WHERE endpoint = way.endpoint AND source = way.source
                AND message_key = way.message_key AND NOT freed;
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER ended_frees_its_messages AFTER UPDATE ON dispatch
    REFERENCING NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION ended_frees_its_messages();

-- With locks, because its endpoint may be removed, or its replay cancelled, at the same time: those
-- cancel what waits, and do not see what comes back meanwhile. Whoever removes an endpoint locks it
-- FOR UPDATE first (leaving.py); the lock here keeps nobody from forming dispatches for it.
CREATE FUNCTION returned_unwanted_is_cancelled() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    gone boolean;
    replay_state text;
BEGIN
    SELECT removed INTO gone FROM endpoint WHERE name = new.endpoint FOR KEY SHARE;
    IF new.replay IS NOT NULL THEN
        SELECT state INTO replay_state FROM replay WHERE id = new.replay FOR SHARE;
    END IF;
    IF gone OR replay_state IN ('stopped', 'cancelled') THEN
        new.state := 'cancelled';
        new.due_at := NULL;
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER returned_unwanted_is_cancelled BEFORE UPDATE OF state ON dispatch
    FOR EACH ROW WHEN (old.state = 'leased' AND new.state = 'waiting')
    EXECUTE FUNCTION returned_unwanted_is_cancelled();

-- tried

CREATE FUNCTION tried_is_counted_for_its_replay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO replay_count (replay, state, dispatches, attempts)
        SELECT after.replay, 'tried', count(*) FILTER (WHERE before.attempts = 0),
            sum(after.attempts - before.attempts)
        FROM before JOIN after USING (id)
        WHERE after.replay IS NOT NULL AND after.attempts > before.attempts
        GROUP BY after.replay;
    RETURN NULL;
END $$;
CREATE TRIGGER tried_is_counted_for_its_replay AFTER UPDATE ON dispatch
    REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION tried_is_counted_for_its_replay();

-- deleted

CREATE FUNCTION deleted_is_uncounted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO dispatch_count SELECT endpoint, state, -count(*) FROM gone GROUP BY endpoint, state;
    RETURN NULL;
END $$;
CREATE TRIGGER deleted_is_uncounted AFTER DELETE ON dispatch
    REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION deleted_is_uncounted();

CREATE FUNCTION deleted_forgets_what_was_taken() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE taken_forgotten SET report = last.report
        FROM (SELECT max(last_report) AS report FROM gone) AS last
        WHERE taken_forgotten.report < last.report;
    RETURN NULL;
END $$;
CREATE TRIGGER deleted_forgets_what_was_taken AFTER DELETE ON dispatch
    REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION deleted_forgets_what_was_taken();

-- held, let go

CREATE FUNCTION held_is_counted_for_its_replay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO replay_count (replay, state, reports)
        SELECT replay, 'held', count(*) FROM held WHERE replay > 0 GROUP BY replay;
    RETURN NULL;
END $$;
CREATE TRIGGER held_is_counted_for_its_replay AFTER INSERT ON held_report
    REFERENCING NEW TABLE AS held
    FOR EACH STATEMENT EXECUTE FUNCTION held_is_counted_for_its_replay();

CREATE FUNCTION let_go_is_uncounted_for_its_replay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO replay_count (replay, state, reports)
        SELECT replay, 'held', -count(*) FROM let_go WHERE replay > 0 GROUP BY replay;
    RETURN NULL;
END $$;
CREATE TRIGGER let_go_is_uncounted_for_its_replay AFTER DELETE ON held_report
    REFERENCING OLD TABLE AS let_go
    FOR EACH STATEMENT EXECUTE FUNCTION let_go_is_uncounted_for_its_replay();

-- An endpoint begins, or begins again, to read.
CREATE FUNCTION endpoint_began() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    new.read_from := new.read_to;
    RETURN new;
END $$;
CREATE TRIGGER endpoint_began BEFORE INSERT ON endpoint
    FOR EACH ROW EXECUTE FUNCTION endpoint_began();
CREATE TRIGGER endpoint_began_again BEFORE UPDATE OF removed ON endpoint
    FOR EACH ROW WHEN (old.removed AND NOT new.removed) EXECUTE FUNCTION endpoint_began();

-- What all processes count their time from.
CREATE TABLE common_time (
    boot text NOT NULL,
    speed double precision NOT NULL,
    elapsed bigint NOT NULL,
    instant bigint NOT NULL,
    last_dispatch bigint NOT NULL DEFAULT 0,
    last_attempt bigint NOT NULL DEFAULT 0
);

-- Views for other programs that read the database, such as Grafana. Their names and columns are a
-- contract (views.py); the tables are not. `…_us` are microseconds since 1970 UTC, `…_at` the same
-- instant as timestamptz. A migration that changes a column of a table drops the views of it first,
-- and makes them again.

-- A stored JSON text. A text of PostgreSQL cannot hold U+0000: it is given as columns hold it
-- (receiver/store/postgres/texts.py), as U+E000 and 0.
CREATE FUNCTION dlr_json(said text) RETURNS json LANGUAGE sql STABLE PARALLEL SAFE RETURN
    CASE WHEN strpos(said, '\u0000') > 0
        THEN regexp_replace(said, '(?<!\\)((?:\\\\)*)\\u0000', '\1\\ue0000', 'g') ELSE said
    END::json;

CREATE VIEW dlr_reports AS
WITH read AS (
    SELECT
        report.*,
        item_of.*,
        -- Names of the other generation may stand beside these, with any value.
        CASE generation WHEN 'v3' THEN "messageCount" ELSE "smsCount" END::bigint AS parts,
        (price ->> 'pricePerMessage')::numeric AS price_per_part,
        -- No zone is more than 14 hours from UTC. Some clients send such an offset.
        CASE WHEN substr("sentAt", length("sentAt") - 3, 2) < '15' THEN "sentAt"::timestamptz END
            AS sent_at,
        CASE WHEN substr("doneAt", length("doneAt") - 3, 2) < '15' THEN "doneAt"::timestamptz END
            AS done_at
    FROM report CROSS JOIN LATERAL json_to_record(dlr_json(convert_from(item, 'UTF8'))) AS item_of (
        "messageId" text, "bulkId" text, "to" text, "from" text, sender text, "mccMnc" text,
        "callbackData" text, "sentAt" text, "doneAt" text, "smsCount" text, "messageCount" text,
        status json, error json, price json
    )
)
SELECT
    id AS report_id,
    to_timestamp(received_at / 1000000.0) AS received_at,
    received_at AS received_us,
    source,
    format,
    generation,
    final,
    duplicates,
    "messageId" AS message_id,
    "bulkId" AS bulk_id,
    "to" AS recipient,
    CASE generation WHEN 'v3' THEN sender ELSE "from" END AS sender,
    "mccMnc" AS mcc_mnc,
    "callbackData" AS callback_data,
    sent_at,
    done_at,
    extract(epoch FROM done_at - sent_at) AS sent_to_done_seconds,
    status_group AS status_group_id,
    CASE status_group
        WHEN 0 THEN 'ACCEPTED' WHEN 1 THEN 'PENDING' WHEN 2 THEN 'UNDELIVERABLE'
        WHEN 3 THEN 'DELIVERED' WHEN 4 THEN 'EXPIRED' WHEN 5 THEN 'REJECTED'
        ELSE status ->> 'groupName'
    END AS status_group,
    (status ->> 'id')::bigint AS status_id,
    status ->> 'name' AS status,
    (error ->> 'id')::bigint AS error_id,
    error ->> 'name' AS error,
    (error ->> 'permanent')::boolean AS error_permanent,
    parts,
    price_per_part,
    price ->> 'currency' AS currency,
    CASE WHEN final THEN price_per_part * greatest(coalesce(parts, 1), 1) END AS cost
FROM read;

CREATE VIEW dlr_messages AS
WITH ranked AS (
    SELECT *,
        row_number() OVER (of_message ORDER BY final DESC, done_at DESC NULLS LAST, report_id DESC)
            AS rank,
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
    to_timestamp(first_us / 1000000.0) AS first_received_at,
    first_us AS first_received_us,
    to_timestamp(last_us / 1000000.0) AS last_received_at,
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
    to_timestamp(created_at / 1000000.0) AS created_at,
    created_at AS created_us,
    to_timestamp(due_at / 1000000.0) AS due_at,
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
    to_timestamp(started_at / 1000000.0) AS started_at,
    started_at AS started_us,
    duration_ms / 1000 AS duration_seconds,
    status AS http_status,
    outcome,
    error
FROM attempt JOIN dispatch ON dispatch.id = attempt.dispatch;

CREATE VIEW dlr_quarantine AS
SELECT
    id AS entry_id,
    to_timestamp(received_at / 1000000.0) AS received_at,
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
    coalesce(sum(count) FILTER (WHERE state = 'waiting'), 0)::bigint AS waiting,
    coalesce(sum(count) FILTER (WHERE state = 'leased'), 0)::bigint AS leased,
    coalesce(sum(count) FILTER (WHERE state = 'acknowledged'), 0)::bigint AS acknowledged,
    coalesce(sum(count) FILTER (WHERE state = 'exhausted'), 0)::bigint AS exhausted,
    coalesce(sum(count) FILTER (WHERE state = 'cancelled'), 0)::bigint AS cancelled
FROM endpoint LEFT JOIN dispatch_count ON dispatch_count.endpoint = name
GROUP BY name;

CREATE VIEW dlr_totals_by_hour AS
WITH read AS (
    SELECT total.*, dlr_json(said) AS said FROM total LEFT JOIN outcome ON outcome.id = total.outcome
    WHERE span = 3600
)
SELECT
    to_timestamp(start) AS hour_at,
    start * 1000000 AS hour_us,
    source,
    (said ->> 0)::boolean AS final,
    (said ->> 1)::bigint AS status_group_id,
    CASE said ->> 1
        WHEN '0' THEN 'ACCEPTED' WHEN '1' THEN 'PENDING' WHEN '2' THEN 'UNDELIVERABLE'
        WHEN '3' THEN 'DELIVERED' WHEN '4' THEN 'EXPIRED' WHEN '5' THEN 'REJECTED'
    END AS status_group,
    (said ->> 2)::bigint AS status_id,
    said ->> 3 AS status,
    (said ->> 5)::bigint AS error_id,
    said ->> 6 AS error,
    reports
FROM read;

CREATE VIEW dlr_costs_by_hour AS
SELECT
    to_timestamp(start) AS hour_at,
    start * 1000000 AS hour_us,
    source,
    currency,
    reports,
    sum AS cost
FROM price_total
WHERE span = 3600 AND final;

-- The dispatchers that work on this database, with what each tells the others about its shares of
-- the endpoints' limits (dispatcher/flow/members.py). `renewals`: how many transactions have renewed
-- the notice. They change nothing else, and so are no news.
CREATE TABLE live_dispatcher (
    name text PRIMARY KEY,
    notice bytea NOT NULL,
    renewals bigint NOT NULL DEFAULT 0
);
