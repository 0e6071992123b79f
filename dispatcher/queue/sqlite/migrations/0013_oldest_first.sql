-- Which dispatches are old, by their instants: after a clock that was wrong these do not ascend with
-- ids. It grows at its end.
CREATE INDEX dispatch_formed ON dispatch (created_at);
