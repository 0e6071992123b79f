"""Where reports, messages and quarantined bodies are kept."""
