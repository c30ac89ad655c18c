"""What finished stages measured, read from their artefacts for the report."""
import collections
import json
import math
import os

from .state import read_json

TERMS = ('total', 'inv', 'equi', 'trans')
SCORES = ('knn', 'probe', 'std', 'alignment', 'uniformity')


def result_of(run, name):
    """The stage's result.json; {} if there is none."""
    return read_json(os.path.join(run.stage_folder(name), 'result.json'), {}) or {}


def groups(run, kind):
    """base name -> [(stage name, record)] of the finished stages of one kind; copies by seed stand together."""
    found = collections.OrderedDict()
    for name, record in run.records().items():
        if record['kind'] == kind and record['state'] == 'done':
            found.setdefault(record['base'], []).append((name, record))
    return found


def _metrics(run, name):
    """The whole lines of metrics.jsonl; [] if there is none."""
    rows = []
    try:
        with open(os.path.join(run.stage_folder(name), 'metrics.jsonl'), encoding='utf-8') as stream:
            for line in stream:
                try:
                    rows.append(json.loads(line))
                except ValueError:
                    continue  # the last line of a killed run
    except OSError:
        return []
    return [r for r in rows if isinstance(r, dict) and 'step' in r and 'epoch' in r]


def _is_finite(value):
    return isinstance(value, (int, float)) and math.isfinite(value)


def score_curves(run, name):
    """{score: [(epochs trained, value)]} of the features, and of the embeddings' spread, as training went on."""
    rows = _metrics(run, name)
    per_epoch = max(1, sum(1 for r in rows if r['epoch'] == 0 and 'total' in r))
    curves = {}
    for row in rows:
        at = (row['step'] + 1) / per_epoch if 'total' in row else row['epoch'] + 1
        for score in SCORES:
            if _is_finite(row.get(score)):
                curves.setdefault(score, []).append((at, row[score]))
    return curves


def loss_curves(run, name, most=240):
    """{term: [(epoch, mean loss)]}, by epoch, or finer where there are few epochs."""
    rows = [r for r in _metrics(run, name) if 'total' in r]
    if not rows:
        return {}
    epochs = rows[-1]['epoch'] + 1
    per_epoch = max(1, sum(1 for r in rows if r['epoch'] == 0))
    bins = epochs if epochs >= 12 else min(most, len(rows), epochs * max(1, 24 // epochs))
    curves = {}
    for term in TERMS:
        sums = collections.OrderedDict()
        for i, row in enumerate(rows):
            value = row.get(term)
            if _is_finite(value):
                sums.setdefault(i * bins // len(rows), []).append((row['step'] / per_epoch, value))
        if sums:
            curves[term] = [(sum(x for x, _ in b) / len(b) + 0.5 / per_epoch, sum(y for _, y in b) / len(b)) for b in sums.values()]
    return curves


def mean_sd(values):
    """Mean and sample standard deviation (None for fewer than two)."""
    mean = sum(values) / len(values)
    if len(values) < 2:
        return mean, None
    return mean, math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))


def accuracy(result):
    """Test top-1 of a linear evaluation in percent; None if the result has none."""
    value = (result.get('test') or {}).get('top1') if isinstance(result.get('test'), dict) else result.get('top1')
    return 100 * value if isinstance(value, (int, float)) else None


def label_of(run, record):
    """What a linear evaluation evaluated: its row in the table, 'STL', 'SimCLR', 'random weights', or the stage's own name."""
    if record.get('label'):
        return record['label']
    weights = str(record['values'].get('weights', ''))
    if weights.startswith('random:'):
        return 'random weights'
    maker = os.path.basename(os.path.dirname(weights))  # by its folder's name: the run may have been moved since
    settings = result_of(run, maker).get('settings', {})
    names = {'stl': 'STL', 'simclr': 'SimCLR', 'essl': 'E-SSL', 'augself': 'AugSelf', 'equimod': 'EquiMod', 'byol': 'BYOL',
             'simsiam': 'SimSiam', 'barlow': 'Barlow Twins', 'sen': 'SEN', 'sie': 'SIE'}
    method, base = settings.get('method'), settings.get('base')
    if method in (None, 'none'):
        return names.get(base, base or record['base'])
    return names.get(method, method) + (f' on {names.get(base, base)}' if base not in (None, 'simclr') else '')


def accuracies(run):
    """[(label, [top-1 in percent per seed], base)] of all linear evaluations, best first."""
    rows = []
    for base, members in groups(run, 'linear').items():
        values = [v for v in (accuracy(result_of(run, name)) for name, _ in members) if v is not None]
        if values:
            rows.append([label_of(run, members[0][1]), values, base])
    for row in rows:
        if sum(r[0] == row[0] for r in rows) > 1:
            row[0] += f' ({row[2]})'
    return sorted(map(tuple, rows), key=lambda r: -mean_sd(r[1])[0])
