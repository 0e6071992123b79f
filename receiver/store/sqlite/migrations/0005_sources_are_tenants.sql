-- Which report it is, its source decides too: what one source posts is no duplicate of another's, and
-- its messages are its own. The digests stay as they are, so that what was stored before is recognised
-- as before; the source stands beside them. After the message's key, because a message of any source is
-- asked for as well.
--
-- A database that has only ever had one source, as most have, needs no look at its reports. Of others,
-- a key without its report (retention took it, the repeats of the last days are recognised all the
-- same) has a source that nobody knows any more: '' is any source's.
CREATE TABLE report_key_anew (
    day INTEGER NOT NULL,
    message_key INTEGER NOT NULL,
    source TEXT NOT NULL,
    identity INTEGER NOT NULL,
    report INTEGER NOT NULL,
    PRIMARY KEY (day, message_key, source, identity)
) STRICT, WITHOUT ROWID;
-- In the order of the old key, which is that of the new one: nothing is sorted, and the reports of a
-- day lie together.
INSERT INTO report_key_anew (day, message_key, source, identity, report)
    WITH one (source) AS MATERIALIZED (
        SELECT min(source) FROM (
            SELECT source FROM total
            UNION SELECT source FROM report WHERE id > (SELECT report FROM followed)
        ) HAVING count(*) = 1
    )
    SELECT day, message_key,
        coalesce(
            (SELECT source FROM one),
            (SELECT source FROM report WHERE id = report_key.report),
            ''
        ),
        identity, report
    FROM report_key;
DROP TABLE report_key;
ALTER TABLE report_key_anew RENAME TO report_key;
