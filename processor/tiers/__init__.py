"""Tiers of models: asking one, and asking a larger one where the first is unsure."""
