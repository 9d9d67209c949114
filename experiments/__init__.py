"""One script per question: flags and a loop, nothing else."""
