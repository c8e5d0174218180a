"""From records to audited proxy tasks."""
