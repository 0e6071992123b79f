"""Replay: stored reports are dispatched again, because somebody asked for it."""
