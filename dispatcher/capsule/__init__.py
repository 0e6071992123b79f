"""A window of the store as one file, to share: without numbers, ids, texts, secrets and hosts."""
