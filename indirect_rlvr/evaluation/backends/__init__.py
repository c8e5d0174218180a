"""Who answers: a checkpoint in this process, vLLM, or a server; one kind of function for all three."""
