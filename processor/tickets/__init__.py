"""Findings become Jira tickets: decide (Faust) and write (the engine)."""
