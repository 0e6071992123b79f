"""HTTP for programs: dispatches, endpoints, replays, unrouted reports."""
