-- Where a report is to be pushed that came with a URL of its own (the sandbox's notifyUrl), and in
-- which format: json or xml. NULL for all that came in a callback.
ALTER TABLE report ADD COLUMN notify_url TEXT;
ALTER TABLE report ADD COLUMN notify_format TEXT;
