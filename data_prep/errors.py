"""The two ways a preparation is refused: what came in is wrong, or what should go out cannot be written."""


class InputError(ValueError):
    """The input files or the settings do not make a data set; the message names file, line or field, and value."""


class OutputError(OSError):
    """The output directory cannot be created, written or replaced, or memory or disk do not suffice to fill it."""
