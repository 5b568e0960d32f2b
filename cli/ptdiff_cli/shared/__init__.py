"""Parts that several commands share: options, the terminal, sampling, reports."""
