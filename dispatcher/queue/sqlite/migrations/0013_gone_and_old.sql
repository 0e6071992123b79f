-- Which dispatches are old, by their instants: after a clock that was wrong these do not ascend with
-- ids. It grows at its end.
CREATE INDEX dispatch_formed ON dispatch (created_at);

-- Endpoints that left the settings file. `in_force_until`: some process works for the endpoint until
-- then (in the time of the world) and renews it. `read_from`: after which report it began to read,
-- so that one which takes over what was for another gets exactly what it has missed; NULL is not
-- known.
ALTER TABLE endpoint ADD COLUMN in_force_until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE endpoint ADD COLUMN read_from INTEGER;
CREATE TRIGGER endpoint_began AFTER INSERT ON endpoint BEGIN
    UPDATE endpoint SET read_from = read_to WHERE name = new.name;
END;
CREATE TRIGGER endpoint_began_again AFTER UPDATE OF removed ON endpoint
WHEN old.removed AND NOT new.removed BEGIN
    UPDATE endpoint SET read_from = read_to WHERE name = new.name;
END;

-- The last ids that there were when the machine had started and the first process told the time:
-- what was planned after them goes along when a clock that was wrong by more than a day is set.
-- Nobody knows them of a start before this migration: then all is taken to be planned since.
ALTER TABLE common_time ADD COLUMN last_dispatch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE common_time ADD COLUMN last_attempt INTEGER NOT NULL DEFAULT 0;
