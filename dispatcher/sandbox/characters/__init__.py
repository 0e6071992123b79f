"""What of a message goes over the air: its characters, its octets, its parts. Pure functions."""
