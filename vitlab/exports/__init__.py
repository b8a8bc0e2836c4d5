"""A trained model in the formats of others; each writer gives back what reads its file, so that it can be checked."""
