"""A pipeline file as checked stages.

`load` reads the file, applies --set, checks it against the schema, copies stages for rows and seeds, and checks the graph, the
references, every flag and the table. All problems are reported together, each with file, line and the fix.
"""
import collections
import re

from . import document, schema, table
from .copies import stages_of
from .errors import Failure, Problems, suggest
from .programs import ROOT

REFERENCE = re.compile(r'\$\{([^}]*)\}')
GENERAL = ('run', 'root', 'name', 'seed')


class Pipeline:
    """`stages`: name to Stage, needs before what needs them. `ancestors`: name to the set of all it needs. `rows`: names of the rows.
    `table`: what the table shows, for the run folder; None without one."""

    def __init__(self, file, data, stages):
        self.file, self.name, self.seed, self.stages = file, data['name'], data.get('seed'), stages
        self.rows, self.table = list(data.get('rows', {})), table.definition(data, stages)
        self.ancestors = {}
        for stage in stages.values():
            self.ancestors[stage.name] = set(stage.needs).union(*(self.ancestors[n] for n in stage.needs))

    def select(self, word):
        """Names of the stages called `word`: one, or all copies of one. Raises Failure."""
        names = [s.name for s in self.stages.values() if word in (s.name, s.group, s.base)]
        if not names:
            known = {word for s in self.stages.values() for word in (s.name, s.group, s.base)}
            raise Failure(f"{self.file}: there is no stage '{word}'{suggest(word, known)}", 2)
        return names

    def company(self, base, stage):
        """The name of the copy of `base` that `stage` means."""
        return next(s.name for s in self.stages.values() if s.base == base and s.goes_with(stage))


def load(file, sets=(), programs=None):
    """The checked pipeline. Without `programs`, kinds and flags stay unchecked. Raises Problems, Failure."""
    data, places = document.load(file)
    _apply_sets(data, places, sets)
    found = schema.problems(data, places)
    if found:
        raise Problems(found)
    stages = stages_of(data, places)
    found = list(table.problems(data, stages, places))
    if found:
        raise Problems(found)
    pipeline = Pipeline(file, data, stages)
    found = [line for stage in stages.values() for line in _reference_problems(pipeline, stage, places)]
    if programs:
        for stage in stages.values():
            found += _program_problems(stage, programs, places)
        if not found:
            for stage in stages.values():
                _fill_in(stage)
            found = _path_problems(pipeline, places)
    if found:
        raise Problems(list(dict.fromkeys(found)))
    return pipeline


# --- --set ------------------------------------------------------------------------------------------------------------

def _apply_sets(data, places, sets):
    for text in sets:
        key, equals, value = text.partition('=')
        if not equals or not key:
            raise Problems([f"--set {text}: write it as stage.key=value"])
        path = _set_path(key.split('.'), data, text)
        if path[0] == 'stages' and path[2] == 'with':
            for row in _mapping(data, 'rows'):
                _mapping(data, 'rows', row, 'with', path[1]).pop(path[3], None)  # it is for all rows
        _put(data, path, document.scalar(value))
        places.note(path, f'--set {text}')


def _set_path(parts, data, text):
    """Where in the document the value of `--set TEXT` goes. Raises Problems."""
    if parts == ['seed']:
        return ('seed',)
    stages, rows = _mapping(data, 'stages'), _mapping(data, 'rows')
    copies = {f'{stage}-{row}': (stage, row) for stage in stages for row in rows}
    if len(parts) == 2 and parts[0] in copies and parts[0] not in stages:
        stage, row = copies[parts[0]]
        return ('rows', row, 'with', stage, parts[1])
    if stages and len(parts) > 1 and parts[0] not in stages:
        raise Problems([f"--set {text}: there is no stage '{parts[0]}'{suggest(parts[0], stages)}"])
    if len(parts) == 2:
        return ('stages', parts[0]) + (('seeds',) if parts[1] == 'seeds' else ('with', parts[1]))
    if len(parts) == 3 and parts[1] == 'feed':
        return ('stages', *parts)
    raise Problems([f'--set {text}: the key is stage.key, stage.feed.key, stage.seeds or seed'])


def _mapping(data, *path):
    """The mapping at a path of an unchecked document; an empty one if there is none."""
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    return data if isinstance(data, dict) else {}


def _put(data, path, value):
    for key in path[:-1]:
        if not isinstance(data, dict):
            return  # the schema check will say so
        data = data.setdefault(key, {})
    if isinstance(data, dict):
        data[path[-1]] = value


# --- References, flags, paths -----------------------------------------------------------------------------------------

def _reference_problems(pipeline, stage, places):
    bases = {s.base for s in pipeline.stages.values()}
    needed = {pipeline.stages[n].base for n in pipeline.ancestors[stage.name]} | {stage.base}
    for path, text in stage.texts():
        for word in REFERENCE.findall(text):
            if word == 'seed' and stage.seed is None:
                yield f"{places.at(path)}: stage '{stage.base}': ${{seed}} has no value; add 'seed: 1' to the file"
            elif word not in GENERAL and word not in bases:
                yield f"{places.at(path)}: stage '{stage.base}': ${{{word}}} is unknown" \
                      f'{suggest(word, bases.union(GENERAL))}'
            elif word in bases and word not in needed:
                yield f"{places.at(path)}: stage '{stage.base}' uses ${{{word}}} without needing it; add {word} to its needs"
        if '${' in REFERENCE.sub('', text):
            yield f"{places.at(path)}: stage '{stage.base}': '{text}' has a ${{ without its }}"


def _program_problems(stage, programs, places):
    at, where = places.at(stage.path + ('run',)), f"stage '{stage.base}'"
    kinds = programs.kinds()
    executable = stage.kind.split()[0]
    if kinds and executable not in kinds:
        return [f"{at}: {where}: there is no stage kind '{executable}'{suggest(executable, kinds)}"]
    try:
        stage.program = program = programs.get(stage.kind)
    except Failure as failure:
        return [f'{at}: {where}: {failure}']
    if program.worker:
        return [f"{at}: {where}: {stage.kind} is a worker, not a stage; give a stage 'feed: {{{stage.kind}: 1, ...}}'"]
    found = []
    if program.consumer and stage.feed is None:
        found.append(f"{at}: {where}: {stage.kind} needs images; add 'feed: {{dataset: PATH, decode: 1, augment: 1}}'")
    if stage.feed is not None and not program.consumer:
        found.append(f"{places.at(stage.path + ('feed',))}: {where}: {stage.kind} takes no feed; remove it")
    managed = {'progress', 'resume'} | ({'dataset', 'listen', 'key', 'allow'} if program.consumer else set())
    for key, value in stage.values.items():
        place = places.at(stage.path_of(key))
        if key in managed:
            instead = f'; write feed: {{{key}: ...}}' if key in ('dataset', 'listen', 'key', 'allow') else '; remove it'
            found.append(f"{place}: {where}: {key} is set by the supervisor{instead}")
            continue
        checkable = key not in program.flags or not _unresolved(value)
        wrong = program.problem(key, value) if checkable else None
        if wrong:
            found.append(f'{place}: {where}: {wrong}')
    return found


def _unresolved(value):
    return any(isinstance(v, str) and '${' in v for v in (value if isinstance(value, list) else [value]))


def _fill_in(stage):
    """What a stage need not say: where its output goes, and the seed."""
    program = stage.program
    if program.takes('out'):
        stage.values.setdefault('out', f'${{{stage.base}}}' + ('' if program.consumer else '/dataset.lmdb'))
    if program.takes('result'):
        stage.values.setdefault('result', f'${{{stage.base}}}/result.json')
    if program.takes('seed') and stage.seed is not None:
        stage.values.setdefault('seed', stage.seed)


def _path_problems(pipeline, places):
    """Two stages that write to one place, and stages that read what they do not need."""
    found, makers = [], collections.OrderedDict()
    for stage in pipeline.stages.values():
        out = resolve(pipeline, stage, stage.values.get('out', ''), '${run}')
        if out in makers and out:
            found.append(f"{places.at(stage.path_of('out'))}: stages '{makers[out]}' and '{stage.name}' both write to "
                         f'{out}; give each its own out')
        makers[out] = stage.name
    for stage in pipeline.stages.values():
        for path, text in stage.texts():
            if path[-1] == 'out':
                continue
            value = resolve(pipeline, stage, text, '${run}')
            maker = next((m for out, m in makers.items() if out and (value == out or value.startswith(out + '/'))), None)
            if maker and maker != stage.name and maker not in pipeline.ancestors[stage.name]:
                base = pipeline.stages[maker].base
                found.append(f"{places.at(path)}: stage '{stage.base}' reads {text}, which '{base}' makes; add {base} to "
                             'its needs')
    return found


def resolve(pipeline, stage, value, run):
    """`value` with its references replaced, for a run in folder `run`."""
    if isinstance(value, list):
        return [resolve(pipeline, stage, v, run) for v in value]
    if not isinstance(value, str):
        return value

    def replace(match):
        word = match[1]
        general = {'run': run, 'root': ROOT, 'name': pipeline.name, 'seed': stage.seed}
        if word in general:
            return str(general[word])
        return f'{run}/{pipeline.company(word, stage)}'

    return REFERENCE.sub(replace, value)
