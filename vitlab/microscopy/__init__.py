"""How a trained ViT sees: where its attention goes, what its layers hold, and which of its parts it needs."""
