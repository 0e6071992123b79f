"""What a message is and what becomes of it, from the request to the reports. Pure."""
