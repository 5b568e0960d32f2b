"""Training: the step, the data order, averaged weights, checkpoints and a clean stop."""
