"""What an answer means, and when it is tried again. Pure."""
