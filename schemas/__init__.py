"""Result schemas of the bundled pipelines. May import `processor.contract` and nothing else of the engine."""
