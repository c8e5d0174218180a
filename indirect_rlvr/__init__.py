"""Train a model on a question you can check, to get better at questions you cannot, and measure whether it did."""
