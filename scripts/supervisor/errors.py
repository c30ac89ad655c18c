"""Errors that are the user's to fix: one clear line each, never a traceback."""
import difflib


class Failure(Exception):
    """Something went wrong that one line explains. `code` becomes the exit status."""

    def __init__(self, message, code=1):
        super().__init__(message)
        self.code = code


class Problems(Failure):
    """Everything that is wrong with a pipeline file, a line each."""

    def __init__(self, lines):
        super().__init__('\n'.join(lines), code=2)


class Interrupted(Failure):
    """Asked to stop by a signal."""

    def __init__(self):
        super().__init__('stopped', code=130)


def suggest(word, known):
    """'; did you mean X?' for the nearest known word, otherwise the list of them."""
    known = sorted(str(k) for k in known)
    near = difflib.get_close_matches(str(word), known, n=1, cutoff=0.6)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; known: {', '.join(known)}" if known else ''
