-- What endpoints did in the last hours: attempts by how they ended and how long they took, and how
-- late reports were acknowledged. It follows behind the attempts (activity.py), so that the
-- transaction that records an attempt writes none of it.
CREATE TABLE activity_followed (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    attempt INTEGER NOT NULL,
    pruned INTEGER NOT NULL -- the hour in which what is too old was removed last
) STRICT;
INSERT INTO activity_followed VALUES (1, 0, 0);

-- Minutes and hours: `span` in seconds, `start` in seconds since 1970 UTC, `bin` a number of
-- receiver/store/histogram.py. `status_class` is 5 for a 503, and 0 without a status. In the order of
-- the key nothing has to be sorted to be added up over time.
CREATE TABLE attempt_tally (
    span INTEGER NOT NULL,
    endpoint TEXT NOT NULL,
    outcome TEXT NOT NULL,
    status_class INTEGER NOT NULL,
    bin INTEGER NOT NULL,
    start INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    PRIMARY KEY (span, endpoint, outcome, status_class, bin, start)
) STRICT, WITHOUT ROWID;

CREATE TABLE lateness_tally (
    span INTEGER NOT NULL,
    endpoint TEXT NOT NULL,
    bin INTEGER NOT NULL,
    start INTEGER NOT NULL,
    reports INTEGER NOT NULL,
    PRIMARY KEY (span, endpoint, bin, start)
) STRICT, WITHOUT ROWID;
