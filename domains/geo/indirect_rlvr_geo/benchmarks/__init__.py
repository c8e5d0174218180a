"""Target tasks of the geo pack: one file each, none of which training ever sees."""
