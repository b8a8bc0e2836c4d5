"""What can be said about a model and its results from the outside."""
