-- The bytes of a dispatch are stored when its first attempt has failed or was given back, and not
-- before: most are acknowledged at the first attempt, and nobody reads their bytes any more. After a
-- crash they are made anew, and are the same: the generation is the one that they were made in,
-- whatever the endpoint's settings say by then. NULL: none of its reports tells one, or the dispatch
-- was formed before; then the settings say it.
ALTER TABLE dispatch ADD COLUMN generation TEXT;
