"""The Vision Transformer and its parts, each in a file of its own."""
