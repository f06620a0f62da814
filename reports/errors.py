"""What a user can mend."""


class UnusableError(Exception):
    """It cannot be used so; the message says why and what was wanted. Ends the command with exit code 2."""
