-- How a message came, and the options of its request, as JSON; NULL: it was taken before this.
ALTER TABLE sandbox_message ADD COLUMN asked TEXT;
