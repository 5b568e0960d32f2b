"""Training: the step, its data order, averaged weights, checkpoints and an orderly stop."""
