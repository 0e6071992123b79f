-- Where what is open at an endpoint goes: a claim takes the URL from here. So an endpoint that moves
-- changes one row, and not a million dispatches. NULL: each of its dispatches has a URL of its own, or
-- nobody has adopted it since this column is there; then what is in the dispatch holds.
ALTER TABLE endpoint ADD COLUMN url TEXT;

-- The reports of a dispatch whose reports are far apart, as JSON: between the first and the last may
-- lie those of a million others. `dispatch_report` says which of them it still has. An index on
-- dispatch_report (dispatch) would make each bucket of a hundred half as dear again.
CREATE TABLE dispatch_members (
    dispatch INTEGER PRIMARY KEY,
    reports TEXT NOT NULL
) STRICT;
INSERT INTO dispatch_members
    SELECT dispatch, json_group_array(report)
    FROM dispatch_report CROSS JOIN dispatch ON dispatch.id = dispatch
    WHERE last_report - first_report >= 4 * reports
    GROUP BY dispatch;

-- Pages of a list that is asked for an endpoint or a state. The second and the third are of the states
-- that few dispatches are in: each change of a state would pay for one of all.
CREATE INDEX dispatch_of_endpoint ON dispatch (endpoint);
CREATE INDEX dispatch_of_state ON dispatch (state)
    WHERE state IN ('waiting', 'exhausted', 'cancelled');
CREATE INDEX dispatch_of_endpoint_and_state ON dispatch (endpoint, state)
    WHERE state IN ('waiting', 'exhausted', 'cancelled');

-- Endpoints that were made for a replay to a URL, and whose replay has ended: nothing is left of them.
DELETE FROM endpoint WHERE removed AND EXISTS (
    SELECT 1 FROM replay
    WHERE id = CAST(substr(name, 8) AS INTEGER) AND 'replay-' || id = name AND url IS NOT NULL AND tidy
);
