"""A pipeline as a picture: `tandem graph FILE` and the report.

A card per stage, in columns by what it needs: on top its workers, then name, kind and settings, at the bottom what it leaves. Lines lead from an
artefact to who reads it; dashed ones only order stages. Copies for rows and seeds share a card. The SVG needs no other file, and has
colours for light and dark pages.
"""
import html
import os

from .layout import layout
from .pipeline import REFERENCE, resolve
from .programs import text_of

_WIDTH, _GAP, _MARGIN, _TOP = 236, 84, 26, 62
_BAND, _TITLE, _LINE, _ROW, _PAD = 34, 30, 16, 24, 10
_CHARS = 36  # of a line of settings
_MOST_LINES = 2
_LEAVES = {'train': ['final.safetensors'], 'linear': ['result.json'], 'train cost': ['result.json']}
_STYLE = '''
.tg { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
.tg text { font-family: inherit; fill: #667078; font-size: 11px; font-weight: 400; }
.tg .page { fill: #fbfaf8; } .tg .card { fill: #ffffff; stroke: #d9d5ce; } .tg .band { fill: #f0f4f9; }
.tg .h1 { font-size: 17px; font-weight: 600; fill: #1d2126; } .tg .title { font-size: 14px; font-weight: 600; fill: #1d2126; }
.tg .worker { fill: #ffffff; stroke: #a9c2de; } .tg .inband { fill: #2f5f96; } .tg .arrow { fill: none; stroke: #7f9fc2; stroke-width: 1.4; }
.tg .file { fill: #f4f2ee; stroke: #e4e1dc; } .tg .inkfile { fill: #3a4149; }
.tg .edge { fill: none; stroke: #b4773f; stroke-width: 1.6; } .tg .feed { stroke: #2f6db5; } .tg .order { stroke: #a9b0b6; stroke-dasharray: 4 4; }
.tg .tip { fill: #b4773f; } .tg .tip.feed { fill: #2f6db5; stroke: none; } .tg .tip.order { fill: #a9b0b6; stroke: none; }
.tg .port { fill: #b4773f; } .tg .port.feed { fill: #2f6db5; stroke: none; } .tg .port.order { fill: #a9b0b6; stroke: none; }
@media (prefers-color-scheme: dark) {
.tg text { fill: #98a1a8; } .tg .page { fill: #15181b; } .tg .card { fill: #1d2125; stroke: #3a4147; } .tg .band { fill: #1c2a3a; }
.tg .h1, .tg .title { fill: #e8e6e3; } .tg .worker { fill: #1d2125; stroke: #41618a; } .tg .inband { fill: #9cc2ee; } .tg .arrow { stroke: #5b7da6; }
.tg .file { fill: #262b30; stroke: #363c42; } .tg .inkfile { fill: #d0d3d5; }
.tg .edge { stroke: #d99a63; } .tg .feed { stroke: #6ea8e5; } .tg .order { stroke: #6a737a; }
.tg .tip, .tg .port { fill: #d99a63; } .tg .tip.feed, .tg .port.feed { fill: #6ea8e5; } .tg .tip.order, .tg .port.order { fill: #6a737a; }
}'''


class _Card:
    """A stage to draw. `files`: what it leaves and others may read."""

    def __init__(self, pipeline, stage, copies):
        self.stage, self.name, self.copied = stage, stage.base, stage.name != stage.base
        self.files, self.lines = list(_LEAVES.get(stage.kind, [])), _settings(pipeline, stage, copies)

    @property
    def height(self):
        return (_BAND if self.stage.feed else 0) + _TITLE + _LINE * len(self.lines) + _ROW * len(self.files) + _PAD


def _settings(pipeline, stage, copies):
    """The first settings that all copies of a stage share, in a line or two, below what it is copied for."""
    shown = lambda value: REFERENCE.sub(r'\1', value) if copied and isinstance(value, str) else resolve(pipeline, stage, value, 'run')
    copied = [_cut(f"{what} {', '.join(dict.fromkeys(map(str, found)))}", _CHARS) for what, found in
              (('rows', [c.row for c in copies]), ('seeds', [c.copy for c in copies])) if found[0] is not None]
    own = {'out', 'result', 'seed'}.union(*(c.row_values for c in copies))
    words = [f'{key} {text_of(shown(value))}' for key, value in stage.values.items()
             if key not in own and isinstance(value, (str, int, float)) and '/' not in text_of(value)]
    words = [_cut(word, _CHARS) for word in words]
    lines = list(copied)
    for word in words:
        if len(lines) > len(copied) and len(lines[-1]) + 3 + len(word) <= _CHARS:
            lines[-1] += ' · ' + word
        elif len(lines) < _MOST_LINES + len(copied):
            lines.append(word)
        else:
            break
    return lines


def _cut(text, most):
    return text if len(text) <= most else text[:most - 1] + '…'


def _edges(pipeline, cards):
    """[(from, to, class, file)] between cards: 'feed' and '' lead from a file, 'order' from none."""
    outs = {}
    for card in cards.values():
        out = card.stage.values.get('out') or (f'${{{card.name}}}/dataset.lmdb' if not card.stage.feed else None)
        outs[card.name] = resolve(pipeline, card.stage, out, '${run}') if out else None
        if out and not card.stage.feed:
            card.files.append(os.path.basename(outs[card.name]))
    found = {}
    for card in cards.values():
        ancestors = {pipeline.stages[n].base for n in pipeline.ancestors[card.stage.name]} - {card.name}
        for path, text in card.stage.texts():
            value = resolve(pipeline, card.stage, text, '${run}')
            for base in ancestors:
                folder = '${run}/' + pipeline.company(base, card.stage)
                whole = outs[base] and not cards[base].stage.feed and value == outs[base]
                if whole or value.startswith(folder + '/') or value == folder:
                    file = os.path.basename(value) if value != folder else ''
                    if file and file not in cards[base].files:
                        cards[base].files.append(file)
                    found[base, card.name, 'feed' if path[-1] == 'dataset' and path[-2] == 'feed' else ''] = file
    edges = [(a, b, kind, file) for (a, b, kind), file in found.items()]
    for card in cards.values():
        bases = list(dict.fromkeys(pipeline.stages[n].base for n in card.stage.needs))
        implied = {pipeline.stages[m].base for n in card.stage.needs for m in pipeline.ancestors[n]}
        edges += [(base, card.name, 'order', '') for base in bases
                  if base not in implied and not any(e[:2] == (base, card.name) for e in edges)]
    return edges


def draw(pipeline):
    """The SVG of a pipeline."""
    copies, cards = {}, {}
    for stage in pipeline.stages.values():
        copies.setdefault(stage.base, []).append(stage)
    for base, stages in copies.items():
        cards[base] = _Card(pipeline, stages[0], stages)
    edges = _edges(pipeline, cards)
    places, lines, columns, bottom = layout({n: c.height for n, c in cards.items()}, [(a, b, 0 if kind == 'feed' else 1) for a, b, kind, _ in edges], _WIDTH, _GAP)
    width = 2 * _MARGIN + columns * _WIDTH + (columns - 1) * _GAP
    height = _TOP + bottom + _MARGIN
    parts = [f'<rect class="page" width="{width}" height="{height}" rx="14"/>',
             f'<text class="h1" x="{_MARGIN}" y="37">{_e(pipeline.name)}</text>']
    if pipeline.seed is not None:
        parts.append(f'<text x="{width - _MARGIN}" y="36" text-anchor="end">seed {pipeline.seed}</text>')
    shift = lambda point: (point[0] + _MARGIN, point[1] + _TOP)
    tops = {name: shift(at) for name, at in places.items()}
    drawn = [_edge(cards, tops, edge, [shift(p) for p in line]) for edge, line in zip(edges, lines)]
    parts += [_rest_of_stack(card, *tops[name]) for name, card in cards.items() if card.copied]
    parts += [line for line, _ in drawn]
    parts += [_card(card, *tops[name]) for name, card in cards.items()]
    parts += [ends for _, ends in drawn]
    names = ', '.join(cards)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" class="tg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
            f'aria-label="{_e(f"stages of {pipeline.name}: {names}")}"><style>{_STYLE}\n</style>\n' + '\n'.join(parts) + '\n</svg>\n')


def _e(text):
    return html.escape(str(text))


def _port_out(card, top, file):
    """The height at which a line leaves: at its file's row, or at the title."""
    if not file:
        return top + (_BAND if card.stage.feed else 0) + _TITLE / 2 + 2
    return top + card.height - _PAD / 2 - _ROW * (len(card.files) - card.files.index(file)) + _ROW / 2


def _port_in(card, top, kind):
    if kind == 'feed':
        return top + _BAND / 2
    return top + (_BAND if card.stage.feed else 0) + _TITLE / 2 + 2


def _edge(cards, tops, edge, between):
    """(the line, its ends) of an edge that passes the points `between` (left and right end of each column it crosses)."""
    source, target, kind, file = edge
    x, y = tops[source][0] + _WIDTH, _port_out(cards[source], tops[source][1], file)
    end_x, end_y = tops[target][0], _port_in(cards[target], tops[target][1], kind)
    path, at = f'M{x:g} {y:g}', (x, y)
    for left, right in zip(between[::2], between[1::2]):
        path += _curve(at, left) + f'L{right[0]:g} {right[1]:g}'
        at = right
    path += _curve(at, (end_x - 6, end_y))
    tip = f'<path class="tip {kind}" d="M{end_x:g} {end_y:g}l-8 -4.5v9z"/>'
    port = f'<circle class="port {kind}" cx="{x:g}" cy="{y:g}" r="3.5"/>'
    return f'<path class="edge {kind}" d="{path}"/>', tip + port


def _curve(start, end):
    middle = (start[0] + end[0]) / 2
    return f'C{middle:g} {start[1]:g} {middle:g} {end[1]:g} {end[0]:g} {end[1]:g}'


def _rest_of_stack(card, x, y):
    return ''.join(f'<rect class="card" x="{x + behind:g}" y="{y + behind:g}" width="{_WIDTH}" height="{card.height}" rx="10"/>' for behind in (6, 3))


def _card(card, x, y):
    parts, at = [f'<rect class="card" x="{x:g}" y="{y:g}" width="{_WIDTH}" height="{card.height}" rx="10"/>'], y
    if card.stage.feed:
        parts.append(_band(card.stage.feed, x, y))
        at += _BAND
    kind = card.stage.kind
    parts.append(f'<text class="title" x="{x + 14:g}" y="{at + 22:g}">{_e(_cut(card.name, 22 - len(kind) // 2))}</text>'
                 f'<text x="{x + _WIDTH - 14:g}" y="{at + 22:g}" text-anchor="end">{_e(_cut(kind, 16))}</text>')
    at += _TITLE
    for line in card.lines:
        parts.append(f'<text x="{x + 14:g}" y="{at + 11:g}">{_e(line)}</text>')
        at += _LINE
    for file in card.files:
        middle = _port_out(card, y, file)
        shown = _cut(file, 30)
        width = 16 + 6.3 * len(shown)
        parts.append(f'<rect class="file" x="{x + _WIDTH - 14 - width:g}" y="{middle - 9:g}" width="{width:g}" height="18" rx="4"/>'
                     f'<text class="inkfile" x="{x + _WIDTH - 14 - width / 2:g}" y="{middle + 4:g}" text-anchor="middle">{_e(shown)}</text>')
    return '<g>' + ''.join(parts) + '</g>'


def _band(feed, x, y):
    """The workers on top of a card: decode, augment, then the stage below."""
    r, right = 9.5, x + _WIDTH - 0.5
    parts = [f'<path class="band" d="M{x + 0.5:g} {y + _BAND:g}v{-_BAND + 0.5 + r:g}a{r} {r} 0 0 1 {r} -{r}H{right - r:g}a{r} {r} 0 0 1 {r} {r}V{y + _BAND:g}z"/>']
    middle, at = y + _BAND / 2, x + 14
    labels = {kind: f'{kind} ×{feed.get(kind, 1)}' for kind in ('decode', 'augment')}
    between = max(6, min(20, _WIDTH - 62 - sum(16 + 6.2 * len(label) for label in labels.values())))
    for kind, label in labels.items():
        width = 16 + 6.2 * len(label)
        parts.append(f'<rect class="worker" x="{at:g}" y="{middle - 9:g}" width="{width:g}" height="18" rx="9"/>'
                     f'<text class="inband" x="{at + width / 2:g}" y="{middle + 4:g}" text-anchor="middle">{label}</text>')
        at += width
        bend = f'h{between:g}m-5 -3.5l5 3.5l-5 3.5' if kind == 'decode' else 'h8a6 6 0 0 1 6 6v4m-3.5 -4.5l3.5 4.5l3.5 -4.5'
        parts.append(f'<path class="arrow" d="M{at + 3:g} {middle:g}{bend}"/>')
        at += between + 6
    return ''.join(parts)
