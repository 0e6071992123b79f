"""What can be seen from outside: events, metrics, logs."""
