"""What can be asked of the store over HTTP."""
