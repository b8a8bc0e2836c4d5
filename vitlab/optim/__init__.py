"""Parameter groups, schedules and Muon; the other optimizers are torch's own."""
