"""Parts shared by several commands: options, the terminal, sampling, reports.

terminal.py           messages on stderr, results on stdout, failures
errors.py             any exception as one line, with its exit code
target.py             output files: tried before the work
data_sheet.py         ptdiff data check --render
options.py            options and arguments that several commands share
configuration.py      options to the configuration of a run
sampling_plan.py      options to a plan of sampling
workers.py            --workers and --engine
session.py            training, shared by train, resume and sweep
sweep_metric.py       the metric that compares trials
watch.py              the progress bar of training
dry_run.py            ptdiff train --dry-run
costs.py              the table of ptdiff plan and --dry-run; how far off a plan was
report.py             ptdiff eval --report
charts.py             the charts of the report
finding.py            Finding, one line of ptdiff doctor
scaffold.py           ptdiff plugin new
machine.py            the measurements of ptdiff doctor
doors.py              the catalogs that plugins extend
"""
