"""Parameter groups and schedules; the optimizers themselves are torch's."""
