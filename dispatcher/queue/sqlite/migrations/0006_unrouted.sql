-- A removed endpoint's dispatch that was leased comes back from a failed attempt, or from a worker
-- that died: nobody would ever send it. The first statement is for `dispatch_moved`, which counts
-- down what may not have been counted up yet: the order of triggers is open.
CREATE TRIGGER endpoint_over AFTER UPDATE OF state ON dispatch
WHEN old.state = 'leased' AND new.state = 'waiting'
    AND (SELECT removed FROM endpoint WHERE name = new.endpoint) BEGIN
    INSERT INTO dispatch_count VALUES (new.endpoint, 'waiting', 0) ON CONFLICT DO NOTHING;
    UPDATE dispatch SET state = 'cancelled', due_at = NULL WHERE id = new.id;
END;

-- Up to this report it is forgotten which were taken by an endpoint: retention has removed
-- dispatches that carried such. Only behind it can be said that nobody took a report.
CREATE TABLE taken_forgotten (report INTEGER NOT NULL) STRICT;
INSERT INTO taken_forgotten VALUES (0);
CREATE TRIGGER dispatch_forgotten AFTER DELETE ON dispatch
WHEN old.last_report > (SELECT report FROM taken_forgotten) BEGIN
    UPDATE taken_forgotten SET report = old.last_report;
END;
