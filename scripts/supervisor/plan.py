"""Which stages run, and why: incremental by content, as a build is.

A stage's parts are its parameters, the content of what it reads, and the executables that do the work. It is skipped when
the parts are those of its last finished run and its output is still there as it was written. How many workers, which
addresses and where the run folder lies are no parts, because no result depends on them.
"""
import os
import re

from .errors import Failure
from .pipeline import resolve
from .programs import text_of

# Flags that change how work is watched or waited for, not what comes out.
_NO_PARTS = {'log-level', 'lease-ms', 'result', 'window', 'worker-wait-s', 'replace'}
_WORKERS = ('decode', 'augment')
_NOT_OUTPUT = re.compile(r'progress\.json|checkpoint-|.*(-lock|\.tmp)$')  # may change or go without harm


def arguments(pipeline, stage, run):
    """The stage's flags with references replaced."""
    return {key: resolve(pipeline, stage, value, run) for key, value in stage.values.items()}


def inputs(pipeline, stage, run):
    """{label: path} of every file or folder the stage reads. Raises Failure for one that a stage should have made."""
    found = {}
    for key, value in stage.values.items():
        flag = stage.program.flags.get(key)
        if key in ('out', 'result', 'name', 'preset') or not flag or flag.choices or flag.kind not in ('text', 'list'):
            continue
        for i, template in enumerate(value if isinstance(value, list) else [value]):
            path = resolve(pipeline, stage, template, run)
            if isinstance(path, str) and os.path.exists(path):
                found[f'{key}[{i}]' if isinstance(value, list) else key] = path
            elif isinstance(path, str) and path.startswith(run + os.sep):
                raise Failure(f"stage '{stage.name}': {key}: {path} is not there; the stage that makes it has not run")
    if stage.feed:
        found['dataset'] = path = resolve(pipeline, stage, stage.feed['dataset'], run)
        if not os.path.exists(path):
            raise Failure(f"stage '{stage.name}': dataset: {path} is not there; make it with an ingest stage")
    return found


def parts(pipeline, stage, run, contents, programs):
    """{name: text}: everything the stage's result depends on."""
    read = inputs(pipeline, stage, run)
    result = {}
    for key, value in stage.values.items():
        if key in _NO_PARTS or key in read and '/' in value:
            continue  # a path counts by what is there; a plain word may be more than a path
        value = resolve(pipeline, stage, value, '${run}')
        result[key] = ' '.join(map(text_of, value if isinstance(value, list) else [value]))
    for label, path in read.items():
        result[f'input {label}'] = contents.hash(path)
    kinds = (stage.kind,) + (_WORKERS if stage.feed else ())
    for kind in kinds:
        result[f'program tandem-{kind}'] = contents.hash(programs.get(kind).path)
    return result


def outputs(pipeline, stage, run, contents):
    """{path relative to the run folder: hash} of what a finished stage left: its folder's files and its `out`."""
    folder = os.path.join(run, stage.name)
    paths = [e.path for e in os.scandir(folder) if e.is_file() and not _NOT_OUTPUT.match(e.name)] if os.path.isdir(folder) else []
    out = os.path.abspath(arguments(pipeline, stage, run).get('out', folder))
    if out != os.path.abspath(folder):
        paths.append(out)
    return {os.path.relpath(p, run): contents.hash(p) for p in sorted(paths)}


class Decision:
    """`run`: True, False, or None where it depends on what an earlier stage makes. `why`: for people."""

    def __init__(self, run, why, resume=False):
        self.run, self.why, self.resume = run, why, resume


def decide(record, now, run, contents):
    """Compares a stage's record with its parts `now`."""
    if not record:
        return Decision(True, 'first time')
    changed = _differences(record.get('parts', {}), now)
    if changed:
        return Decision(True, changed)
    if record['state'] == 'failed':
        return Decision(True, 'failed last time', resume=True)
    if record['state'] != 'done':
        return Decision(True, 'interrupted last time', resume=True)
    for path, value in record.get('outputs', {}).items():
        present = contents.hash(os.path.join(run, path))
        if present != value:
            return Decision(True, f"its output {path} {'is gone' if present is None else 'was changed'}")
    return Decision(False, 'unchanged')


def _differences(old, new, most=3):
    """What changed, in words; '' if nothing."""
    words = []
    for key in sorted(set(old) | set(new)):
        if old.get(key) == new.get(key):
            continue
        if key.startswith('program '):
            words.append(f'{key.split()[1]} was rebuilt')
        elif key.startswith('input '):
            words.append(f'{key.split()[1]} has other content' if key in old and key in new else f'{key.split()[1]} changed')
        elif key not in old:
            words.append(f'{key} is now {new[key]}')
        elif key not in new:
            words.append(f'{key} is no longer {old[key]}')
        else:
            words.append(f'{key} is {new[key]}, was {old[key]}')
    return ', '.join(words[:most]) + (f' and {len(words) - most} more' if len(words) > most else '')
