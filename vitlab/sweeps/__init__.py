"""Many runs as one: which jobs, where they run, what became of each."""
