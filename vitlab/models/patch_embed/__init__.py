"""Patch embeddings: from an image to a sequence of tokens."""
