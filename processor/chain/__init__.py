"""Chains: the steps of a pipeline before its own question, over models, databases and expressions."""
