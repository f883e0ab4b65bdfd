"""The exceptions a user can cause, each one line that says how to mend it."""


class CrnnError(ValueError):
    """A user's mistake: the message names the offending value and the fix.

    Command-line programs print the message and exit with status 2; they never
    print a traceback for it.
    """


class ImageError(CrnnError):
    """An image that cannot be read as one line of text."""


class ModelError(CrnnError):
    """A model file that cannot be used: unreadable, foreign or inconsistent."""


class MissingDependencyError(CrnnError):
    """An optional package or a device that was asked for and is not there."""

    @classmethod
    def of_extra(cls, package: str, extra: str) -> "MissingDependencyError":
        """Name the package that is missing and the extra that brings it."""
        return cls(f'{package} is not installed: pip install "crnn[{extra}]"')
