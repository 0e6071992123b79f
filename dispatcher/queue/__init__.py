"""The queue of dispatches."""
