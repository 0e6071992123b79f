"""Settings: any TOML file and environment into dataclasses, and the receiver's own."""
