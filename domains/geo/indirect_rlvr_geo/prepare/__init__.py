"""Data sets of ground and overhead images as they are published, made into records."""
