"""What an outage would cost: a scenario in, a timeline out (README.md)."""
