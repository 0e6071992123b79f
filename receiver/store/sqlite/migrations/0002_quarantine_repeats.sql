-- The platform repeats what is answered 400 for two days, and a broken sender for longer: the same
-- bytes are kept once and counted. `digest` is of source, content type and body; null in entries of
-- before, which are not recognised.
ALTER TABLE quarantine ADD COLUMN digest INTEGER;
ALTER TABLE quarantine ADD COLUMN repeats INTEGER NOT NULL DEFAULT 0;
CREATE INDEX quarantine_digest ON quarantine (digest);
