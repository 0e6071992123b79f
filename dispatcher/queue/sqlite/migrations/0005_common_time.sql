-- What all processes on this database count their time from: `instant` was when the machine that
-- started as `boot` had been running for `elapsed`. Microseconds. At most one row.
CREATE TABLE common_time (
    boot TEXT NOT NULL,
    speed REAL NOT NULL,
    elapsed INTEGER NOT NULL,
    instant INTEGER NOT NULL
) STRICT;
