-- The dispatchers that work on this file, with what each tells the others about its shares of the
-- endpoints' limits (dispatcher/flow/members.py). One that has a slot holds a lock of that name; so
-- whoever gets the lock knows that the one before has ended.
CREATE TABLE live_dispatcher (
    slot INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    notice BLOB NOT NULL
) STRICT;
