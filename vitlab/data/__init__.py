"""Where images come from, how they are split, and in which order they are seen."""
