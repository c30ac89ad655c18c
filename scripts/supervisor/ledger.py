"""Two ledgers compared: the first step at which two runs part, and what it says about the cause.

A ledger has a line per step with three digests (common/wire/ledger.h): of the tickets, which are what was asked for; of the
pixels that came; of the labels and transformation parameters that came with them.
"""
import json
import os
import re

from .errors import Failure
from .state import read_json

_DIGESTS = ('tickets', 'pixels', 'labels')
_DIGEST = re.compile(r'[0-9a-f]{16}')


class Ledger:
    """`steps`: step to its line, ascending. `torn`: the last line is incomplete, as a killed writer may leave it."""

    def __init__(self, path):
        self.path, self.steps, self.torn = path, {}, False
        try:
            with open(path, 'rb') as stream:
                for number, line in enumerate(stream, 1):
                    if line.endswith(b'\n'):
                        self._add(line, number)
                    else:
                        self.torn = True
        except OSError as error:
            raise Failure(f'{path}: {error.strerror.lower()}', 2)

    def _add(self, text, number):
        try:
            line = json.loads(text)
            step, images = line['step'], line['images']
            good = type(step) is int and type(images) is int and all(_DIGEST.fullmatch(line[key]) for key in _DIGESTS)
        except (ValueError, KeyError, TypeError, RecursionError):
            good = False
        if not good:
            raise Failure(f'{self.path}: line {number} is not a ledger line', 2)
        if self.steps and step <= next(reversed(self.steps)):
            raise Failure(f'{self.path}: line {number}: step {step} comes after step {next(reversed(self.steps))}', 2)
        self.steps[step] = line


def find(path):
    """{stage: file} of the ledgers that a path means: a file, a stage's folder, or a run folder. Raises Failure."""
    if not os.path.isdir(path):
        return {'': path}
    own = os.path.join(path, 'ledger.jsonl')
    if os.path.exists(own):
        return {'': own}
    try:
        found = {name: os.path.join(path, name, 'ledger.jsonl') for name in os.listdir(path)}
    except OSError as error:
        raise Failure(f'{path}: {error.strerror.lower()}', 2)
    found = {name: file for name, file in sorted(found.items()) if os.path.exists(file)}
    if not found:
        raise Failure(f'{path}: no ledger there; train writes ledger.jsonl into its stage folder', 2)
    return found


def compare(a, b):
    """(whether all is equal, lines that say what is) for two paths. Raises Failure when one of them is no ledger."""
    ours, theirs = find(a), find(b)
    if len(ours) == len(theirs) == 1:
        return _compare_files(*ours.values(), *theirs.values())
    for found, other, path in ((ours, theirs, a), (theirs, ours, b)):
        if '' in other and '' not in found:
            raise Failure(f"{path}: several stages have a ledger there ({', '.join(found)}); name one: {os.path.join(path, next(iter(found)))}", 2)
    same, lines = True, []
    for name in ours | theirs:
        if name in ours and name in theirs:
            equal, told = _compare_files(ours[name], theirs[name])
        else:
            equal, told = False, [f"only {a if name in ours else b} has a ledger of this stage"]
        same = same and equal
        lines += [f'{name}: {told[0]}', *told[1:]]
    return same, lines


def _compare_files(a, b):
    first, second = Ledger(a), Ledger(b)
    notes = [f'  the last line of {x.path} is torn, as a killed process may leave it; it does not count' for x in (first, second) if x.torn]
    step = next((s for s in sorted(first.steps.keys() | second.steps.keys()) if _key(first, s) != _key(second, s)), None)
    if step is None:
        return True, [f'equal: {_many(len(first.steps))}'] + notes
    if step in first.steps and step in second.steps:
        return False, _difference(first, second, step) + notes
    return False, _missing(first, second, step) + notes


def _key(ledger, step):
    line = ledger.steps.get(step)
    return line and (line['images'], *(line[key] for key in _DIGESTS))


def _missing(first, second, step):
    has, lacks = (first, second) if step in first.steps else (second, first)
    later = [s for s in lacks.steps if s > step]
    if later:
        return [f'step {step} is missing first: {lacks.path} goes on with step {later[0]}']
    before = f'up to there they are equal ({_many(len(lacks.steps))})' if lacks.steps else 'it has no step'
    return [f'step {step} is missing first: {lacks.path} ends before it, {has.path} goes on to step {next(reversed(has.steps))}; {before}']


def _many(steps):
    return '1 step' if steps == 1 else f'{steps} steps'


def _difference(first, second, step):
    a, b = first.steps[step], second.steps[step]
    keys = [key for key in ('images',) + _DIGESTS if a[key] != b[key]]
    common = first.steps.keys() & second.steps.keys()
    differ = sum(_key(first, s) != _key(second, s) for s in common)
    lines = [f"step {step} differs first: {_joined(keys)} ({differ} of {len(common)} common steps differ)"]
    lines += [f"  {ledger.path}: " + ', '.join(f'{key} {line[key]}' for key in keys) for ledger, line in ((first, a), (second, b))]
    if 'tickets' in keys or 'images' in keys:
        return lines + ['  other batches were asked for: the data or the settings differ (seed, policy, size, batch, shard, splits)'] \
            + _settings(first.path, second.path)
    what = {('pixels',): 'other pixels', ('labels',): 'other labels or transformation parameters'}.get(
        tuple(keys), 'other pixels and labels')
    return lines + [f'  the same batches were asked for, and {what} came: a program, a library or a machine makes other results']


def _joined(words):
    return ' and '.join(filter(None, (', '.join(words[:-1]), words[-1])))


def _settings(*ledgers):
    """What the result.json beside two ledgers say of their settings and data."""
    a, b = (read_json(os.path.join(os.path.dirname(path), 'result.json')) or {} for path in ledgers)
    a, b = (r.get('settings') if isinstance(r, dict) and isinstance(r.get('settings'), dict) else {} for r in (a, b))
    changed = [f'{key} {_short(a[key])} and {_short(b[key])}' for key in a if key in b and a[key] != b[key]]
    return [f"  their result.json: {', '.join(changed)}"] if changed else []


def _short(value):
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + '...'
