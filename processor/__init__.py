"""Faultstream: failing CI logs in, schema-valid findings and Jira tickets out."""

__version__ = "0.1.0"
