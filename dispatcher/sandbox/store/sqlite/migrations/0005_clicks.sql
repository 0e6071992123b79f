-- How often a link of a message was followed, and when it was told that its recipient has done what
-- it was sent for.
ALTER TABLE sandbox_message ADD COLUMN clicks INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sandbox_message ADD COLUMN converted_at INTEGER;

-- The short links of messages, by what stands in them.
CREATE TABLE sandbox_link (
    code TEXT PRIMARY KEY,
    message INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sandbox_link_message ON sandbox_link (message);
