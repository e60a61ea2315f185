"""Jira: the client, what it reads, and what its errors mean."""

from processor.tickets.jira.client import JiraClient
from processor.tickets.jira.errors import Late, Limited, Refused, Unauthorised, Unavailable, Unsettled
from processor.tickets.jira.issues import Hit, Standing

__all__ = ["Hit", "JiraClient", "Late", "Limited", "Refused", "Standing", "Unauthorised", "Unavailable", "Unsettled"]
