"""What serving costs and gains, on real vLLM and on simulated servers: `python -m bench.serving`."""
