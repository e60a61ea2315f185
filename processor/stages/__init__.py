"""The steps of the line, one verb a file. Stages do not know each other; `processor.line` joins them."""
