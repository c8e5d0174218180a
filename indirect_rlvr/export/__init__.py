"""The same tasks and the same rewards, as other trainers and environment hubs read them."""
