-- The bytes of a dispatch that are the items of its reports as they are stored, side by side, are kept
-- when its first attempt has failed or was given back, and not before: most are acknowledged at the
-- first attempt, and nobody reads their bytes any more. After a crash they are made anew, and are the
-- same: the generation is the one that they were made in, whatever the endpoint's settings say by
-- then. NULL: none of its reports tells one, or the dispatch was formed before.
ALTER TABLE dispatch ADD COLUMN generation TEXT;
