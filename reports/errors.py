"""What ends a command early, and with which exit code."""


class UnusableError(Exception):
    """It cannot be used so; the message says why and what was wanted. Ends the command with exit code 2."""


class DisagreementError(Exception):
    """The two sides differ too much for anything more to be compared. Ends the command with exit code 1."""
