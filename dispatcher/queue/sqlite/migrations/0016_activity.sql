-- What endpoints did in the last hours: attempts by how they ended and how long they took, and how
-- late reports were acknowledged. It follows behind the attempts (activity.py), so that the
-- transaction that records an attempt writes none of it.
CREATE TABLE activity_followed (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    attempt INTEGER NOT NULL
) STRICT;
INSERT INTO activity_followed VALUES (1, 0);

-- Minutes and hours: `span` in seconds, `start` in seconds since 1970 UTC, `bin` a number of
-- receiver/store/histogram.py. `status_class` is 5 for a 503, and 0 without a status.
CREATE TABLE attempt_tally (
    span INTEGER NOT NULL,
    start INTEGER NOT NULL,
    endpoint TEXT NOT NULL,
    outcome TEXT NOT NULL,
    status_class INTEGER NOT NULL,
    bin INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    PRIMARY KEY (span, start, endpoint, outcome, status_class, bin)
) STRICT, WITHOUT ROWID;

CREATE TABLE lateness_tally (
    span INTEGER NOT NULL,
    start INTEGER NOT NULL,
    endpoint TEXT NOT NULL,
    bin INTEGER NOT NULL,
    reports INTEGER NOT NULL,
    PRIMARY KEY (span, start, endpoint, bin)
) STRICT, WITHOUT ROWID;
