"""What a run leaves behind: files first, then the console and Weights & Biases."""
