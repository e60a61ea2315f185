"""Tickets under load, on Apache Kafka: `python -m bench.tickets`."""
