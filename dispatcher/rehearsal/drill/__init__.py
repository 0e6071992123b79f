"""The outage drill: real pushes through an outage, on a compressed clock."""
