"""What is measured, each a program of its own: `PEER BOOTSTRAP IN OUT GROUP COUNT` prints one line of JSON."""
