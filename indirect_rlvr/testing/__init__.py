"""What every reward must satisfy: strategies, invariants, and the pytest plugin that runs them on a whole domain."""
