"""The Kafka cluster: how to reach it, who we are there, and why it can't be reached."""
