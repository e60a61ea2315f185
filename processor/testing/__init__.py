"""Doubles that keep the contract of the real thing, shipped for the tests of pipelines and of Faultstream."""
