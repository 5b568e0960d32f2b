"""Training: the step, the data order, averaged weights, checkpoints and a clean stop.

train.py           training in one call
configuration.py   from names and overrides to the configuration of a run
schema.py          the JSON Schema of configuration files
fit.py             a run folder, data and a Trainer in, a trained run out
module.py          the training step, as a LightningModule
draws.py           the samples, noise and levels of a step
data_order.py      the order of the data
gradients.py       the gradient of a step, whole or in parts
shards.py          parts of a batch on several threads
hardware.py        devices, and the strategy by which they share a batch
ranks.py           parts of a batch on several devices, one process (rank) each
ddp.py             ranks with a replica of the network each
fsdp.py            ranks that share a sharded network
sharded.py         sharded tensors: gathered and spread again
peers.py           the end of another rank
memory.py          the number of samples that fit into memory
noise_scale.py     the batch size up to which larger batches pay
optimizer.py       AdamW and Muon
schedule.py        learning-rate schedules
ema.py             averages of the weights
divergence.py      signs of divergence in losses and weights
early_stopping.py   early stopping
loss_by_level.py   the loss by noise band
loss_history.py    noise levels drawn by their loss
regret.py          the least possible loss
validation.py      the loss on held-out samples
callbacks.py       reports, checkpoints, previews, an orderly stop
report.py          a line of metrics.jsonl
trackers.py        TensorBoard, MLflow and others by name
backends.py        how each of them is written to
arithmetic.py      threads, instruction set and all else that decides the order of sums
state.py           all that a run needs to resume bit for bit
snapshots.py       averages kept for later ones of other widths
estimate.py        the cost of a run before it
length.py          a new length for a run trained before
observer.py        the interface for watching a run
slowness.py        a warning when training becomes much slower
autotune.py        the fastest precision, threads and parts, by timed steps
timed_steps.py     timed steps of a separate network
autotuned.py       settings chosen by the trial and kept in config.yaml
pace.py            the progress to expect in the minutes given
expectations.py    the scores to expect after a number of steps
speed.py           training beside a bare loop
bare_loop.py       the bare loop
profile.py         the time of a step by kind of operation
"""
