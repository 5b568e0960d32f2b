"""Parts that several commands share: options, the terminal, sampling, reports.

terminal.py           messages on stderr, results on stdout, failures
device.py             the option --device
configuration.py      from options to the configuration of a run
sampling_options.py   sampling a run
session.py            what train, resume and sweep share
sweep_metric.py       the score by which trials are compared
watch.py              the progress bar of training
dry_run.py            ptdiff train --dry-run
report.py             ptdiff eval --report
charts.py             its charts
finding.py            Finding, a line of ptdiff doctor
machine.py            the measured part of ptdiff doctor
"""
