-- Totals by whom reports came from and went to (followup.py): by network (the operator's mccMnc and
-- the calling code of the recipient) and by sender. They are made after the reports are stored, as
-- the other totals are, and those of minutes (span 60), which are kept for two days.

-- What is told apart, each once. The first one of a dimension is what came after there were too many.
CREATE TABLE part (
    id INTEGER PRIMARY KEY,
    dimension TEXT NOT NULL,
    value TEXT NOT NULL,
    UNIQUE (dimension, value)
) STRICT;

CREATE TABLE part_total (
    dimension TEXT NOT NULL,
    span INTEGER NOT NULL,
    start INTEGER NOT NULL,
    part INTEGER NOT NULL,
    source TEXT NOT NULL,
    outcome INTEGER NOT NULL,
    reports INTEGER NOT NULL,
    PRIMARY KEY (dimension, span, start, part, source, outcome)
) STRICT, WITHOUT ROWID;

CREATE TABLE part_price_total (
    dimension TEXT NOT NULL,
    span INTEGER NOT NULL,
    start INTEGER NOT NULL,
    part INTEGER NOT NULL,
    source TEXT NOT NULL,
    final INTEGER NOT NULL,
    currency TEXT NOT NULL,
    reports INTEGER NOT NULL,
    sum TEXT NOT NULL,
    PRIMARY KEY (dimension, span, start, part, source, final, currency)
) STRICT, WITHOUT ROWID;

CREATE TABLE part_duration_total (
    dimension TEXT NOT NULL,
    span INTEGER NOT NULL,
    start INTEGER NOT NULL,
    part INTEGER NOT NULL,
    source TEXT NOT NULL,
    final INTEGER NOT NULL,
    bin INTEGER NOT NULL,
    reports INTEGER NOT NULL,
    PRIMARY KEY (dimension, span, start, part, source, final, bin)
) STRICT, WITHOUT ROWID;

-- The reports after `report` up to `last` were followed before there were parts: they are caught up
-- when there is nothing else to follow.
CREATE TABLE parts_followed (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    report INTEGER NOT NULL,
    last INTEGER NOT NULL
) STRICT;
INSERT INTO parts_followed SELECT 1, 0, report FROM followed;
