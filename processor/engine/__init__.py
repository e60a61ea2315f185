"""Assignment, in flight, commit: carries the line and the ticket writer, and knows no stage."""
