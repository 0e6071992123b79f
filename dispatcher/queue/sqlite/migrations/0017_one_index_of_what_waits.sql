-- What waits for an endpoint, in the order in which it was formed. A claim takes a hundred rows out of
-- each index of what waits, each from another page when a million wait; so there are two of them, this
-- and the one by due time. The indexes of a state, alone and with its endpoint, have it no more.
DROP INDEX dispatch_oldest;
DROP INDEX dispatch_of_state;
DROP INDEX dispatch_of_endpoint_and_state;
CREATE INDEX dispatch_waiting ON dispatch (endpoint) WHERE state = 'waiting';
CREATE INDEX dispatch_of_state ON dispatch (state) WHERE state IN ('exhausted', 'cancelled');
CREATE INDEX dispatch_of_endpoint_and_state ON dispatch (endpoint, state)
    WHERE state IN ('exhausted', 'cancelled');
