"""Events that go to a pipeline once more: dead letters, and what came in the past."""
