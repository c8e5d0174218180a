"""The SFT set: who writes the traces, which of them are kept, and what they cost."""
