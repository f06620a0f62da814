"""The exceptions that end a command early, each with its exit code."""


class UnusableError(Exception):
    """A usage error; the message says why and what was expected. Ends the command with exit code 2."""


class DisagreementError(Exception):
    """The two sides differ too much for anything more to be compared. Ends the command with exit code 1."""


class InternalError(Exception):
    """A mistake of gradmirror in another process; the message is its traceback. Ends with exit code 2."""
