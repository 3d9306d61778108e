"""The one exception class of the command line."""


class UsageError(Exception):
    """The command line or the recipe is wrong: exit code 2."""
