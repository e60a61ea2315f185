"""Talking to model servers: the OpenAI-compatible client and what stands around it."""
