"""Real servers for the demo, the tests and the benchmarks, without containers: one file per server.

Each is a context manager (started and ready inside the block, gone after it) and a command of its own:
`python -m tools.servers.broker`, `.kafka`, `.model`, `.jira`.
"""
