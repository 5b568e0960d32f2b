"""The errors that ptdiff raises beside ValueError and OSError; each message is one line."""


class UnknownName(ValueError):
    """A name that is not in its catalog; the message contains the nearest right one."""


class Unsupported(RuntimeError):
    """Something this modality or this machine cannot do; the message says what to do instead."""


class PluginError(Exception):
    """A modality that is registered but cannot be used; the message says why and where it comes from."""


class RunError(Exception):
    """A folder that is not a run, or a run that cannot be used; the message says why."""


class CheckpointError(Exception):
    """A checkpoint that cannot be written or read; the message says why."""


class Diverged(Exception):
    """Training without a finite loss and gradient for many steps in a row.

    rate: the share of the learning rate at the time, 1 before the first rollback.
    """

    def __init__(self, message: str, rate: float) -> None:
        super().__init__(message)
        self.rate = rate
