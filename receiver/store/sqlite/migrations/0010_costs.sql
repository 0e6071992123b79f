-- Sums of prices count every part of a message from here on. Reports up to `last` were added up
-- with the price of one part: what their other parts cost is added (followup.py) when there is
-- nothing else to follow.
CREATE TABLE cost_followed (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    report INTEGER NOT NULL,
    last INTEGER NOT NULL
) STRICT;
INSERT INTO cost_followed SELECT 1, 0, report FROM followed;
