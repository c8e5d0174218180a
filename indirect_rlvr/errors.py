"""The four ways a run can be refused; each message names the place, the value, what was expected and the next step.

Everything else propagates unchanged: a traceback is for a defect of ours, never for a user's mistake.
"""


class RlvrError(Exception):
    """A mistake the user can mend; the command line prints its message alone and exits with `exit_code`."""

    exit_code = 1


class ConfigError(RlvrError):
    """A recipe, an override or an argument is wrong; nothing was started."""

    exit_code = 2


class DomainError(RlvrError):
    """A domain pack is missing, breaks the contract or failed in one of its hooks."""

    exit_code = 2


class DataError(RlvrError):
    """Records, views or the tasks made of them are not usable."""


class RunError(RlvrError):
    """The run folder, a checkpoint or the machine stops the run; what was finished stays usable."""
