"""Stages of a document, in order, copied for the rows of its table and for their seeds.

A stage with `each: rows` is copied for every row, one with `seeds` for every seed; what needs it is copied with it, and what both need
stays single. The copy of `pretrain` for row `stl` and seed 2 is `pretrain-stl-2`, and `${pretrain}` in its company means that one. A row
sets flags of the stages that are copied for it: `rows: {stl: {with: {pretrain: {method: stl}}}}`.
"""
from .errors import Problems, suggest


class Stage:
    """One stage. `values`: its flags, references unresolved. `base`: its name in the file; `row`, `copy`: the row and the seed
    it is a copy for, None where it is none; `group`: its name without seed; `label`: what the table calls its row, '' without one."""

    def __init__(self, base, entry, row=None, copy=None, seed=None, of=None):
        """`of`: the row's entry in the file."""
        of = of or {}
        self.base, self.row, self.copy, self.seed = base, row, copy, seed
        self.group = base if row is None else f'{base}-{row}'
        self.name = self.group if copy is None else f'{self.group}-{copy}'
        self.kind = entry['run']
        self.needs = list(entry.get('needs', []))
        self.feed = dict(entry['feed']) if 'feed' in entry else None
        self.label = '' if row is None else f"{of.get('group', '')} {of.get('label', row)}".strip()
        self.row_values = dict(of.get('with', {}).get(base, {}))
        self.values = dict(entry.get('with', {})) | self.row_values
        self.program = None

    @property
    def path(self):
        return ('stages', self.base)

    def path_of(self, flag):
        """Where the value of a flag stands in the document."""
        return ('rows', self.row, 'with', self.base, flag) if flag in self.row_values else self.path + ('with', flag)

    def texts(self):
        """(path in the document, text) of every value that may hold a reference."""
        for key, value in self.values.items():
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, str):
                    yield self.path_of(key), one
        if self.feed:
            for key in ('dataset', 'key', 'allow'):
                if key in self.feed:
                    yield self.path + ('feed', key), self.feed[key]

    def goes_with(self, other):
        """Whether it is the copy of its base that `other` means: of the same row and seed, where it is a copy for one."""
        return self.row in (None, other.row) and self.copy in (None, other.copy)


def stages_of(data, places):
    """{name: Stage}, needs before what needs them, and everything for one row before the next. Raises Problems."""
    order = _order(data['stages'], places)
    per_row, seeds = _per_row(data['stages'], order), _seeds(data['stages'], order, places)
    found = list(_row_problems(data, per_row, places))
    if found:
        raise Problems(found)
    stages = {}
    for row in [None, *data.get('rows', {})]:
        for name in order:
            if (name in per_row) == (row is not None):
                _copy(data, name, row, (per_row, seeds), stages, places)
    return stages


def _copy(data, name, row, axes, stages, places):
    per_row, seeds = axes
    of = data['rows'][row] if row is not None else None
    for seed in seeds[name] or [None]:
        stage = Stage(name, data['stages'][name], row, seed, data.get('seed') if seed is None else seed, of)
        stage.needs = ['-'.join([n, *([row] if n in per_row else []), *([str(seed)] if seeds[n] else [])]) for n in stage.needs]
        if stage.name in stages:
            raise Problems([f"{places.at(stage.path)}: the copy {stage.name} of stage '{name}' has the name of "
                            'another stage; rename one'])
        stages[stage.name] = stage


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


def _per_row(stages, order):
    """Names of the stages that are copied for each row."""
    found = set()
    for name in order:
        if 'each' in stages[name] or found.intersection(stages[name].get('needs', [])):
            found.add(name)
    return found


def _seeds(stages, order, places):
    """{name: its own seeds, or those of what it needs; None without any}."""
    seeds = {}
    for name in order:
        seeds[name] = stages[name].get('seeds')
        for need in stages[name].get('needs', []):
            if not seeds[need]:
                continue
            if seeds[name] and seeds[name] != seeds[need]:
                raise Problems([f"{places.at(('stages', name, 'needs'))}: stage '{name}' runs for the seeds {seeds[name]} "
                                f"and '{need}', which it needs, for {seeds[need]}; make them the same"])
            seeds[name] = seeds[need]
    return seeds


def _row_problems(data, per_row, places):
    rows, stages = data.get('rows', {}), data['stages']
    if rows and not per_row:
        yield f"{places.at(('rows',))}: no stage runs for these rows; give one 'each: rows'"
    if not rows:
        for name in sorted(per_row):
            yield f"{places.at(('stages', name))}: stage '{name}' runs for each row, but there are no rows; add 'rows: {{NAME: ...}}'"
        return
    for row, entry in rows.items():
        for name in entry.get('with', {}):
            at = f"{places.at(('rows', row, 'with', name))}: row '{row}'"
            if name not in stages:
                yield f"{at}: there is no stage '{name}'{suggest(name, stages)}"
            elif name not in per_row:
                yield f"{at} sets flags of stage '{name}', which is the same for all rows; give it 'each: rows'"
