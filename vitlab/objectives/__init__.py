"""What is minimised: a loss from the model and a batch."""
