"""From a policy to measured skill."""
