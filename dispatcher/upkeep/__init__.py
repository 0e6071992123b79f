"""What runs beside the pushes: retention, erasure, the read model."""
