"""The command line of ptdiff: one command a file, each importing what it needs when it runs."""
