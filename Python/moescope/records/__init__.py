"""Readers of other programs' records of routing. Each yields documents and holds one at a time."""
