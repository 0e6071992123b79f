-- What was odd about an answer, or how it was got. NULL: nothing was.
ALTER TABLE attempt ADD COLUMN note TEXT;
