"""From the files of a run to pages people read."""
