"""The one exception that users see."""


class LorascopeError(Exception):
    """Bad input or settings: one line that says what is wrong, where, and what to do.

    The command prints the message without a traceback and exits with code 2.
    """
