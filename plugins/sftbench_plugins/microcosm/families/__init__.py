"""The task families, one module per theme."""
