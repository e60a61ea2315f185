"""Databases that a chain queries: read-only, with bound parameters and a time limit."""
