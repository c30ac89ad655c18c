"""DIR/report.html: one file with everything in it, rebuilt from what the stages left in the run folder."""
import base64
import html
import json
import os
import re
import subprocess
import time

from . import charts, results
from .live import count, duration
from .programs import text_of
from .state import write_text
from .table import as_html

_CSS = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'report.css')
_SCORES = {('knn', 'probe'): ('held-out accuracy', 100, '%', {'knn': 'nearest neighbours', 'probe': 'linear probe'}),
           ('std', 'alignment', 'uniformity'): ('spread of embeddings', 1, '', {
               'std': 'std (0: collapse)', 'alignment': 'alignment', 'uniformity': 'uniformity'})}
_TERM_NAMES = {'total': 'total', 'inv': 'invariance', 'equi': 'equivariance', 'trans': 'transformation'}


def write(run, programs, table=None):
    """Writes the report and returns its path. What is missing (no stage has run yet) is left out. `table`: the run's Table."""
    with open(_CSS, encoding='utf-8') as stream:
        css = stream.read()
    name = run.state.get('pipeline', {}).get('name', os.path.basename(run.path))
    sections = [_head(run, name), as_html(table) if table else '', _accuracy(run), _losses(run), _scores(run), _pairs(run, programs),
                _graph(run), _stages(run), _settings(run)]
    page = ('<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<title>{_e(name)} · Tandem</title><style>\n{css}</style></head><body><main>\n'
            + '\n'.join(filter(None, sections)) + '\n</main></body></html>\n')
    path = os.path.join(run.path, 'report.html')
    write_text(path, page)
    return path


def _e(text):
    return html.escape(str(text))


def _head(run, name):
    records = run.records().values()
    done = sum(r['state'] == 'done' for r in records)
    took = sum(r['seconds'] for r in records)
    bad = [n for n, r in run.records().items() if r['state'] in ('failed', 'interrupted')]
    last = max((r['began'] + r['seconds'] for r in records), default=time.time())
    words = f"{done} of {len(records)} stages finished, {duration(took)} of work, " \
            f"{time.strftime('%-d %B %Y, %H:%M', time.localtime(last))}"
    warning = f'<p class="bad">Not finished: {_e(", ".join(bad))}</p>' if bad else ''
    return f'<h1>{_e(name)}</h1><p class="soft">{_e(words)}</p>{warning}'


def _accuracy(run):
    rows = results.accuracies(run)
    if not rows:
        return ''
    bars, seeds = [], max(len(values) for _, values, _ in rows)
    for label, values, _ in rows:
        mean, sd = results.mean_sd(values)
        bars.append((label, 'rest' if label.startswith('random') else 'first', mean, sd,
                     f'{len(values)} seeds' if len(values) > 1 else ''))
    note = 'Top-1 on the test split of a linear classifier on frozen features.' \
           + (' Mean and standard deviation over seeds.' if seeds > 1 else '')
    return f'<h2>Linear accuracy</h2><div class="card narrow">{charts.bars(bars, "linear accuracy")}</div>' \
           f'<p class="soft">{note}</p>'


def _losses(run):
    cards, seen = [], set()
    for base, members in results.groups(run, 'train').items():
        series, own = [], set()
        for i, (name, _) in enumerate(members):
            curves = results.loss_curves(run, name)
            terms = [t for t in curves if t == 'total' or len(curves) > 2]
            own.update(terms)
            series += [(t if i == 0 else f'{t} other', curves[t]) for t in terms]
        if series:
            seen |= own
            cards.append(f'<figure class="card"><h3>{_e(base)}</h3>'
                         f'{charts.lines(series[::-1], "epoch", "loss", f"loss of {base}")}</figure>')
    if not cards:
        return ''
    legend = ''.join(f'<span><i class="{t}"></i>{_TERM_NAMES[t]}</span>' for t in results.TERMS if t in seen)
    return f'<h2>Loss</h2><div class="legend">{legend}</div><div class="cards">{"".join(cards)}</div>'


def _scores(run):
    """What the trainers watched: a card for each stage and kind of score."""
    cards = []
    for base, members in results.groups(run, 'train').items():
        curves = [results.score_curves(run, name) for name, _ in members]
        cards += filter(None, (_score_card(base, curves, scores, *_SCORES[scores]) for scores in _SCORES))
    return f'<h2>While training</h2><div class="cards">{"".join(cards)}</div>' if cards else ''


def _score_card(base, curves, scores, title, factor, unit, names):
    seen = [s for s in scores if any(len(c.get(s, ())) > 1 for c in curves)]  # one point is no line
    if not seen:
        return ''
    series = [(s if i == 0 else f'{s} other', [(x, factor * y) for x, y in own[s]])
              for i, own in enumerate(curves) for s in seen if s in own]
    legend = ''.join(f'<span><i class="{s}"></i>{names[s]}</span>' for s in seen)
    return f'<figure class="card"><h3>{_e(base)}: {title}</h3><div class="legend">{legend}</div>' \
           f'{charts.lines(series[::-1], "epoch", unit, f"{title} of {base}")}</figure>'


def _pairs(run, programs):
    """A sheet of aligned pairs per policy that a stage trained with."""
    cards, seen = [], set()
    for base, members in results.groups(run, 'train').items():
        name, record = members[0]
        settings = results.result_of(run, name).get('settings', {})
        policy = json.dumps(settings.get('policy'), sort_keys=True)
        key = (policy, settings.get('dataset'))
        picture = None if key in seen or policy == 'null' else _preview(run, programs, name, record, policy)
        if picture:
            seen.add(key)
            small = ' class="small"' if settings.get('size', 96) < 64 else ''
            cards.append(f'<figure class="card"><img{small} alt="sheet of aligned pairs" src="data:image/png;base64,{picture}">'
                         f'<figcaption>{_e(base)}, {settings.get("size", "?")} px</figcaption></figure>')
    if not cards:
        return ''
    return '<h2>Aligned pairs</h2><p class="soft">Left the images with both crops, then view 1 (orange) and view 2 (blue). Both images ' \
           f'share the transformation of a view.</p><div class="sheets">{"".join(cards)}</div>'


def _preview(run, programs, name, record, policy):
    """Base64 of the PNG that `tandem-augment preview` draws; kept in the run folder. None if it cannot be drawn."""
    folder = os.path.join(run.path, '.tandem')
    picture, policy_file = os.path.join(folder, f'pairs-{name}.png'), os.path.join(folder, f'policy-{name}.json')
    dataset = os.path.join(run.path, record['dataset']) if record.get('dataset') else None
    if not os.path.exists(picture) or os.stat(picture).st_mtime < record['began']:
        if not dataset or not os.path.exists(dataset) or 'augment' not in programs.kinds():
            return None
        with open(policy_file, 'w', encoding='utf-8') as stream:
            stream.write(policy)
        command = [programs.get('augment').path, 'preview', '--dataset', dataset, '--policy', policy_file, '--out', picture]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            print(f'report: no sheet of pairs for {name}: {done.stderr.strip()}', flush=True)
            return None
    with open(picture, 'rb') as stream:
        return base64.b64encode(stream.read()).decode()


def _graph(run):
    try:
        with open(run.graph_file, encoding='utf-8') as stream:
            return f'<h2>Pipeline</h2>{stream.read()}'
    except FileNotFoundError:
        return ''


def _stages(run):
    rows = []
    for name, record in run.records().items():
        progress = record.get('progress') or {}
        rate = f"{count(float(progress['rate']))} {progress.get('unit', '')}/s" if progress.get('rate') else ''
        state = _e(record['state']) if record['state'] == 'done' else f'<span class="bad">{_e(record["state"])}</span>'
        restarts = record.get('restarts', 0) + record.get('worker_restarts', 0)
        notes = [f'{restarts} restarts'] if restarts else []
        notes += [f'<span class="bad">{_e(record["error"])}</span>'] if record.get('error') else []
        rows.append(f'<tr><td>{_e(name)}</td><td>{_e(record["kind"])}</td><td>{state}</td>'
                    f'<td class="number">{duration(record["seconds"])}</td><td class="number">{_e(rate)}</td>'
                    f'{_busy(record)}<td class="wrap">{" ".join(notes)}</td></tr>')
    if not rows:
        return '<p>No stage has run yet.</p>'
    return '<h2>Stages</h2><div class="card scroll"><table><thead><tr><th>stage</th><th>kind</th><th>state</th>' \
           '<th class="number">time</th><th class="number">rate</th><th class="number">decode</th><th class="number">augment</th>' \
           f'<th class="number">itself</th><th></th></tr></thead><tbody>{"".join(rows)}</tbody></table></div>' \
           '<p class="soft">The last columns: number of workers, and how much of their time they worked instead of waiting. ' \
           'Bold: the bottleneck.</p>'


def _busy(record):
    """Three cells: how busy decode, augment and the stage itself were."""
    load, cells = record.get('load') or {}, []
    for role in ('decode', 'augment', load.get('what')):
        found, share = load.get('roles', {}).get(role), ''
        if found:
            share = f"{found['workers']} × {found['busy']:.0%}"
        elif role and role == load.get('what') and load.get('waits') is not None:
            share = f"{1 - load['waits']:.0%}"
        slowest = ' slowest' if role and role == load.get('bottleneck') else ''
        cells.append(f'<td class="number{slowest}">{share}</td>')
    return ''.join(cells)


def _compact(value):
    """JSON for reading: lists of plain values on one line."""
    return re.sub(r'\[[^\[\]{}]*\]', lambda m: ' '.join(m[0].split()), json.dumps(value, indent=2))


def _settings(run):
    parts = []
    for name, record in run.records().items():
        own = [f'{key}: {text_of(value) if not isinstance(value, list) else ", ".join(map(text_of, value))}'
               for key, value in sorted(record['values'].items())]
        result = results.result_of(run, name)
        lines = '\n'.join(own) + '\n\nresult.json\n' + _compact(result) if result else '\n'.join(own)
        parts.append(f'<details><summary>{_e(name)}</summary><pre>{_e(lines)}</pre></details>')
    return f'<h2>Settings and results</h2><div class="card">{"".join(parts)}</div>' if parts else ''
