"""A pipeline file as checked stages.

`load` reads the file, applies --set, checks it against the schema, copies stages for their seeds, and checks the graph, the
references and every flag. All problems are reported together, each with file, line and the fix.
"""
import collections
import re

from . import document, schema
from .errors import Failure, Problems, suggest
from .programs import ROOT

REFERENCE = re.compile(r'\$\{([^}]*)\}')
GENERAL = ('run', 'root', 'name', 'seed')


class Stage:
    """One stage. `values`: its flags, references unresolved. `base`: its name in the file; differs for seeded copies."""

    def __init__(self, base, entry, seed=None, copied=False):
        self.base, self.seed = base, seed
        self.name = f'{base}-{seed}' if copied else base
        self.kind = entry['run']
        self.needs = list(entry.get('needs', []))
        self.feed = dict(entry['feed']) if 'feed' in entry else None
        self.values = dict(entry.get('with', {}))
        self.program = None

    @property
    def path(self):
        return ('stages', self.base)

    def texts(self):
        """(path in the document, text) of every value that may hold a reference."""
        for key, value in self.values.items():
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, str):
                    yield self.path + ('with', key), one
        if self.feed:
            for key in ('dataset', 'key', 'allow'):
                if key in self.feed:
                    yield self.path + ('feed', key), self.feed[key]


class Pipeline:
    """`stages`: name to Stage, needs before what needs them. `ancestors`: name to the set of all it needs."""

    def __init__(self, file, name, seed, stages):
        self.file, self.name, self.seed, self.stages = file, name, seed, stages
        self.ancestors = {}
        for stage in stages.values():
            self.ancestors[stage.name] = set(stage.needs).union(*(self.ancestors[n] for n in stage.needs))

    def select(self, word):
        """Names of the stages called `word`: one, or all copies of a seeded one. Raises Failure."""
        names = [s.name for s in self.stages.values() if word in (s.name, s.base)]
        if not names:
            known = {s.base for s in self.stages.values()} | set(self.stages)
            raise Failure(f"{self.file}: there is no stage '{word}'{suggest(word, known)}", 2)
        return names


def load(file, sets=(), programs=None):
    """The checked pipeline. Without `programs`, kinds and flags stay unchecked. Raises Problems, Failure."""
    data, places = document.load(file)
    _apply_sets(data, places, sets)
    found = schema.problems(data, places)
    if found:
        raise Problems(found)
    order = _order(data['stages'], places)
    stages = _copies(data, order, places)
    pipeline = Pipeline(file, data['name'], data.get('seed'), stages)
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
    stages = data.get('stages') if isinstance(data, dict) else None
    for text in sets:
        key, equals, value = text.partition('=')
        if not equals or not key:
            raise Problems([f"--set {text}: write it as stage.key=value"])
        value = document.scalar(value)
        parts = key.split('.')
        if parts == ['seed']:
            path = ('seed',)
        elif len(parts) == 2:
            path = ('stages', parts[0]) + (('seeds',) if parts[1] == 'seeds' else ('with', parts[1]))
        elif len(parts) == 3 and parts[1] == 'feed':
            path = ('stages', *parts)
        else:
            raise Problems([f'--set {text}: the key is stage.key, stage.feed.key, stage.seeds or seed'])
        if path[0] == 'stages' and isinstance(stages, dict) and path[1] not in stages:
            raise Problems([f"--set {text}: there is no stage '{path[1]}'{suggest(path[1], stages)}"])
        _put(data, path, value)
        places.note(path, f'--set {text}')


def _put(data, path, value):
    for key in path[:-1]:
        if not isinstance(data, dict):
            return  # the schema check will say so
        data = data.setdefault(key, {})
    if isinstance(data, dict):
        data[path[-1]] = value


# --- The graph --------------------------------------------------------------------------------------------------------

def _order(stages, places):
    """Stage names, needs first, otherwise in file order."""
    found = []
    for name, entry in stages.items():
        for i, need in enumerate(entry.get('needs', [])):
            if need not in stages:
                found.append(f"{places.at(('stages', name, 'needs', i))}: stage '{name}' needs '{need}', which is not "
                             f'in this file{suggest(need, stages)}')
    if found:
        raise Problems(found)
    order, open_names = [], []

    def visit(name):
        if name in order:
            return
        if name in open_names:
            cycle = open_names[open_names.index(name):] + [name]
            raise Problems([f"{places.at(('stages', name, 'needs'))}: the stages need each other in a circle: "
                            f"{' -> '.join(cycle)}; remove one of these needs"])
        open_names.append(name)
        for need in stages[name].get('needs', []):
            visit(need)
        open_names.pop()
        order.append(name)

    for name in stages:
        visit(name)
    return order


def _copies(data, order, places):
    """Stages with seeded ones copied, and with them the stages that need them."""
    seeds, stages = {}, {}
    for name in order:
        entry = data['stages'][name]
        seeds[name] = entry.get('seeds')
        for need in entry.get('needs', []):
            if not seeds[need]:
                continue
            if seeds[name] and seeds[name] != seeds[need]:
                raise Problems([f"{places.at(('stages', name, 'needs'))}: stage '{name}' runs for the seeds {seeds[name]} "
                                f"and '{need}', which it needs, for {seeds[need]}; make them the same"])
            seeds[name] = seeds[need]
        for seed in seeds[name] or [None]:
            own = data.get('seed') if seed is None else seed
            stage = Stage(name, entry, own, copied=seed is not None)
            stage.needs = [f'{n}-{seed}' if seeds[n] else n for n in stage.needs]
            if stage.name in stages:
                raise Problems([f"{places.at(stage.path)}: the copy {stage.name} of stage '{name}' has the name of "
                                'another stage; rename one'])
            stages[stage.name] = stage
    return stages


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
    if kinds and stage.kind not in kinds:
        return [f"{at}: {where}: there is no stage kind '{stage.kind}'{suggest(stage.kind, kinds)}"]
    stage.program = program = programs.get(stage.kind)
    if program.worker:
        return [f"{at}: {where}: {stage.kind} is a worker, not a stage; give a stage 'feed: {{{stage.kind}: 1, ...}}'"]
    found = []
    if program.consumer and stage.feed is None:
        found.append(f"{at}: {where}: {stage.kind} needs images; add 'feed: {{dataset: PATH, decode: 1, augment: 1}}'")
    if stage.feed is not None and not program.consumer:
        found.append(f"{places.at(stage.path + ('feed',))}: {where}: {stage.kind} takes no feed; remove it")
    managed = {'progress', 'resume'} | ({'dataset', 'listen', 'key', 'allow'} if program.consumer else set())
    for key, value in stage.values.items():
        place = places.at(stage.path + ('with', key))
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
            found.append(f"{places.at(stage.path + ('with', 'out'))}: stages '{makers[out]}' and '{stage.name}' both write to "
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
        copies = [s.name for s in pipeline.stages.values() if s.base == word and s.seed == stage.seed]
        return f'{run}/{copies[0] if copies else word}'

    return REFERENCE.sub(replace, value)
