"""Replay: an event log of past work, fed through the real services on a simulated clock."""
