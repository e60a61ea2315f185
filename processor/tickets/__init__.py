"""Tickets: *decide* (Faust, over signals) says what should happen, *write* (on the engine) does it in Jira, once."""
