"""HTTP for people: the pages."""
