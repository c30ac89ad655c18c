"""Small SVG charts for the report. Colours are CSS variables, so that they follow the page into dark mode; text stays
readable on a phone because charts are drawn about as wide as one."""
import html
import math

WIDTH, HEIGHT = 380, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 10, 34


def nice_ticks(low, high, about=5):
    """Round values that span [low, high]."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low]
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _tick(value):
    return f'{value:g}'


def _text(x, y, words, anchor='middle', cls=''):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{f" class={chr(34)}{cls}{chr(34)}" if cls else ""}>' \
           f'{html.escape(words)}</text>'


def _open(height, label):
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{html.escape(label, quote=True)}">'


def lines(series, x_label, y_label, label):
    """series: [(css class, [(x, y), ...])]. The y axis starts at 0 only if the data come near it."""
    points = [p for _, line in series for p in line if math.isfinite(p[1])]
    if not points:
        return ''
    x0, x1 = min(0, *(p[0] for p in points)), max(p[0] for p in points)
    y0, y1 = min(p[1] for p in points), max(p[1] for p in points)
    if y1 - y0 < 1e-9 * max(1.0, abs(y1)):
        y0, y1 = y0 - 0.5, y1 + 0.5
    if 0 < y0 < 0.35 * y1:
        y0 = 0.0
    pad = (y1 - y0) * 0.04
    y0, y1 = (y0 if y0 == 0 else y0 - pad), y1 + pad
    x1 = x1 if x1 > x0 else x0 + 1
    sx = lambda x: _LEFT + (x - x0) / (x1 - x0) * (WIDTH - _LEFT - _RIGHT)
    sy = lambda y: HEIGHT - _BOTTOM - (y - y0) / (y1 - y0) * (HEIGHT - _TOP - _BOTTOM)
    out = [_open(HEIGHT, label)]
    for y in nice_ticks(y0, y1):
        out.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{sy(y):.1f}" y2="{sy(y):.1f}"/>')
        out.append(_text(_LEFT - 6, sy(y) + 4, _tick(y), 'end'))
    for x in nice_ticks(x0, x1, 6):
        if x == int(x) or x1 < 3:
            out.append(_text(sx(x), HEIGHT - _BOTTOM + 16, _tick(x)))
    out.append(_text((_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 3, x_label, cls='axis'))
    out.append(f'<g transform="translate(11 {(_TOP + HEIGHT - _BOTTOM) / 2:.0f}) rotate(-90)">'
               f'{_text(0, 0, y_label, cls="axis")}</g>')
    for cls, line in series:
        path = ' '.join(f'{sx(x):.1f},{sy(y):.1f}' for x, y in line if math.isfinite(y))
        out.append(f'<polyline class="{cls}" points="{path}"/>')
    return ''.join(out) + '</svg>'


def bars(rows, label, unit='%'):
    """rows: [(name, css class, mean, sd or None, note)], horizontal, from 0. Values above the bars' ends."""
    height = 52 * len(rows) - 6
    top = max(mean + (sd or 0) for _, _, mean, sd, _ in rows) * 1.02 or 1
    room = WIDTH - 110
    out = [_open(height, label)]
    for i, (name, cls, mean, sd, note) in enumerate(rows):
        y, w = 6 + 52 * i, max(1.0, mean / top * room)
        out.append(_text(0, y + 11, name, 'start', 'name'))
        out.append(f'<rect class="{cls}" x="0" y="{y + 17}" width="{w:.1f}" height="20" rx="3"/>')
        reach = w
        if sd:
            a, b = (mean - sd) / top * room, (mean + sd) / top * room
            out.append(f'<path class="whisker" d="M{a:.1f} {y + 27}H{b:.1f}M{a:.1f} {y + 22}v10M{b:.1f} {y + 22}v10"/>')
            reach = max(w, b)
        words = f'{mean:.1f}{f" ± {sd:.1f}" if sd is not None else ""} {unit}'
        out.append(_text(reach + 7, y + 31.5, words, 'start', 'value'))
        if note:
            out.append(_text(WIDTH, y + 11, note, 'end', 'axis'))
    return ''.join(out) + '</svg>'
