-- What is asked of the reports, and follows behind them (followup.py): nothing of it is written by
-- the transaction that stores a report, because each index there would halve its rate.
CREATE TABLE followed (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    report INTEGER NOT NULL
) STRICT;
INSERT INTO followed VALUES (1, 0);

-- Where to find a text. `block` is the report's id / 2^18: ids ascend, so that inserts go to the
-- youngest block only, which fits the cache (one index over all falls to 0.4 at 10^6), and newest
-- first means youngest block first, whatever the clock did. `field` is a number of excerpt.py.
CREATE TABLE search_key (
    block INTEGER NOT NULL,
    field INTEGER NOT NULL,
    key TEXT NOT NULL,
    report INTEGER NOT NULL,
    PRIMARY KEY (block, field, key, report)
) STRICT, WITHOUT ROWID;

-- What reports say of status and error, each combination once, as JSON (excerpt.py, Outcome).
-- 0 stands for what came after there were too many.
CREATE TABLE outcome (
    id INTEGER PRIMARY KEY,
    said TEXT NOT NULL UNIQUE
) STRICT;

-- Sums for each hour and for each day (`span` in seconds, `start` in seconds since 1970 UTC) by
-- the time of receipt. `first_report` and `last_report` tell a search where to look.
CREATE TABLE total (
    span INTEGER NOT NULL,
    start INTEGER NOT NULL,
    source TEXT NOT NULL,
    outcome INTEGER NOT NULL,
    reports INTEGER NOT NULL,
    first_report INTEGER NOT NULL,
    last_report INTEGER NOT NULL,
    PRIMARY KEY (span, start, source, outcome)
) STRICT, WITHOUT ROWID;

-- Sums are decimal texts: SQLite would add them as floats.
CREATE TABLE price_total (
    span INTEGER NOT NULL,
    start INTEGER NOT NULL,
    source TEXT NOT NULL,
    final INTEGER NOT NULL,
    currency TEXT NOT NULL,
    reports INTEGER NOT NULL,
    sum TEXT NOT NULL,
    PRIMARY KEY (span, start, source, final, currency)
) STRICT, WITHOUT ROWID;

-- How many reports took how long from sentAt to doneAt. `bin` is a number of histogram.py.
CREATE TABLE duration_total (
    span INTEGER NOT NULL,
    start INTEGER NOT NULL,
    source TEXT NOT NULL,
    final INTEGER NOT NULL,
    bin INTEGER NOT NULL,
    reports INTEGER NOT NULL,
    PRIMARY KEY (span, start, source, final, bin)
) STRICT, WITHOUT ROWID;

-- Bodies as they came, where they differ from what is stored of them. A body brought the reports
-- from `first_report` to `last_report`; which item is which is told by the reports' identities.
CREATE TABLE received_body (
    first_report INTEGER PRIMARY KEY,
    last_report INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;

-- Of reports before this one no body was kept, even where it differed.
CREATE TABLE bodies_kept_after (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    report INTEGER NOT NULL
) STRICT;
INSERT INTO bodies_kept_after
SELECT 1, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'report'), 0);
