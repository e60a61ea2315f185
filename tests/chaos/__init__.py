"""Chaos on Apache Kafka: daemons, brokers and the network between them fail by a seeded schedule, an oracle counts."""
