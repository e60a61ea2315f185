"""What findings cost: read back from the topics that hold them, by pipeline and by hour."""
