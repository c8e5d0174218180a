"""From tasks to a trained policy."""
