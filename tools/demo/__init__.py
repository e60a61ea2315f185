"""`make demo`: real failing builds become Jira tickets on this machine."""
