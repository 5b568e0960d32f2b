"""The command line of ptdiff: one file for each command, which imports what it needs only when it runs."""
