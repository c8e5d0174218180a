"""What a recipe will need, said before anything is spent: memory for each GPU, tokens, hours, each with its band."""
