"""Hard schemas and hostile logs against real guided decoders: ``make fuzz-decoder``."""
