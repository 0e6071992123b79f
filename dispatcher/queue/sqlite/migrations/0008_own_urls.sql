-- What user and password of a report's own URL became: the value of a header. NULL where the headers
-- of the endpoint are all.
ALTER TABLE dispatch ADD COLUMN authorization TEXT;
