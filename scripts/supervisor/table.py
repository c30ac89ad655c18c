"""The table of a pipeline: a row for each of its rows, our numbers beside the paper's.

A column's number stands in the result.json of a stage, or waits for an evaluation that is still to be written, and then the table says
so. Over seeds: mean and standard deviation. `table.md`, `table.csv`, report.html and the terminal all show the same grid.
"""
import csv
import html
import io
import os

from . import results
from .errors import suggest
from .state import write_text

_DIGITS = 2
_TO_COME = 'to come'


def problems(data, stages, places):
    """What is wrong with the table of a document, beyond its form: lines 'FILE:LINE: ...'."""
    columns, rows = data.get('table', {}).get('columns', {}), data.get('rows', {})
    per_row = {s.base for s in stages.values() if s.row is not None}
    if columns and not rows:
        yield f"{places.at(('table',))}: a table needs rows; add 'rows: {{NAME: ...}}'"
    for name, column in columns.items():
        at, stage = f"{places.at(('table', 'columns', name))}: column '{name}'", column.get('stage')
        if ('stage' in column) == ('waits-for' in column) or ('stage' in column) != ('value' in column):
            yield f"{at}: say 'stage' and 'value', or 'waits-for'"
        elif stage is not None and stage not in per_row:
            yield f"{at}: no stage '{stage}' runs for each row{suggest(stage, per_row)}"
    for row, entry in rows.items():
        for name in entry.get('paper', {}):
            if name not in columns:
                yield f"{places.at(('rows', row, 'paper', name))}: row '{row}': the table has no column '{name}'{suggest(name, columns)}"


def definition(data, stages):
    """What a run folder has to remember to show the table; None without one."""
    if 'table' not in data:
        return None
    rows = {}
    for row, entry in data['rows'].items():
        copies = {}
        for stage in stages.values():
            if stage.row == row:
                copies.setdefault(stage.base, []).append(stage.name)
        rows[row] = {'label': entry.get('label', row), 'group': entry.get('group', ''), 'paper': entry.get('paper', {}), 'stages': copies}
    return data['table'] | {'rows': rows}


class Cell:
    """`text`: for people. `numbers`: mean, and standard deviation or None; empty where there is no number."""

    def __init__(self, text, numbers=()):
        self.text, self.numbers, self.best = text, numbers, False


class Table:
    """The table of a run folder as it stands."""

    def __init__(self, run):
        self._run, self._records = run, run.records()
        self._table = run.table()
        self.title, self.columns, self.rows = self._table['title'], self._table['columns'], self._table['rows']
        self._grouped = any(row['group'] for row in self.rows.values())
        self._papers = {name for row in self.rows.values() for name in row['paper']}
        self.ours = {row: {name: self._measured(entry, column) for name, column in self.columns.items()} for row, entry in self.rows.items()}
        for name, column in self.columns.items():
            _mark_best([self.ours[row][name] for row in self.rows], column.get('best'))

    def _measured(self, row, column):
        if 'stage' not in column:
            return Cell(_TO_COME)
        copies = row['stages'][column['stage']]
        done = [n for n in copies if self._records.get(n, {}).get('state') == 'done']
        found = [v for v in (_look_up(results.result_of(self._run, n), column['value']) for n in done) if v is not None]
        if not found:
            return Cell('no value' if done else _state([self._records.get(n) for n in copies]))
        mean, sd = results.mean_sd(found)
        factor = 100 if column.get('unit') == '%' else 1
        cell = _with_deviation(mean * factor, sd and sd * factor, column)
        cell.text += f' ({len(found)} of {len(copies)} seeds)' if len(found) < len(copies) else ''
        return cell

    def paper(self, row, name):
        """The paper's Cell beside ours."""
        given = self.rows[row]['paper'].get(name)
        if given is None:
            return Cell('–')
        return _with_deviation(*(given if isinstance(given, list) else (given, None)), self.columns[name])

    def heading(self):
        """The words of the first line, with whether a column holds numbers."""
        words = [('group', False)] if self._grouped else []
        words.append(('row', False))
        for name, column in self.columns.items():
            unit = f", {column['unit']}" if 'unit' in column else ''
            words.append((column.get('label', name) + unit, True))
            if name in self._papers:
                words.append(('paper', True))
        return words

    def lines(self):
        """[[Cell, ...], ...], as many as the heading has words."""
        above = None
        for row, entry in self.rows.items():
            cells = [Cell(entry['group'] if entry['group'] != above else '')] if self._grouped else []
            cells.append(Cell(entry['label']))
            for name in self.columns:
                cells.append(self.ours[row][name])
                if name in self._papers:
                    cells.append(self.paper(row, name))
            above = entry['group']
            yield cells

    def notes(self):
        """What stands below it, a sentence each."""
        found = [f"Columns 'paper': {self._table['source']}." if self._papers and 'source' in self._table else '', self._table.get('note', '')]
        for name, column in self.columns.items():
            if 'waits-for' in column:
                found.append(f"{column.get('label', name)}: {_TO_COME}; waits for {column['waits-for']}.")
        missing = [entry['label'] for row, entry in self.rows.items()
                   if any('stage' in c and not self.ours[row][name].numbers for name, c in self.columns.items())]
        if missing:
            found.append(f"Not complete: {', '.join(missing)}.")
        return [note for note in found if note]


def _mark_best(cells, best):
    """The best mean, where there is something to compare."""
    cells = [c for c in cells if c.numbers]
    if best and len(cells) > 1:
        choose = max if best == 'high' else min
        top = choose(c.numbers[0] for c in cells)
        for cell in cells:
            cell.best = cell.numbers[0] == top


def _state(records):
    states = {r['state'] for r in records if r}
    return 'failed' if 'failed' in states else 'not finished' if states else 'not run'


def _look_up(result, path):
    """The number at 'a.b.0' of a result; None if there is none."""
    for key in path.split('.'):
        if isinstance(result, list) and key.isdecimal() and int(key) < len(result):
            result = result[int(key)]
        else:
            result = result.get(key) if isinstance(result, dict) else None
    return result if isinstance(result, (int, float)) and not isinstance(result, bool) else None


def _with_deviation(mean, sd, column):
    digits = column.get('digits', _DIGITS)
    return Cell(f'{mean:.{digits}f}' + (f' ± {sd:.{digits}f}' if sd is not None else ''), (mean, sd))


# --- Shown as -------------------------------------------------------------------------------------------------------------

def as_text(table):
    """For a terminal: columns under each other, the best with a star."""
    grid = [[word for word, _ in table.heading()]] + [[c.text + ('*' if c.best else '') for c in line] for line in table.lines()]
    numbers = [number for _, number in table.heading()]
    widths = [max(len(line[i]) for line in grid) for i in range(len(numbers))]
    rows = ['  '.join(f'{word:>{w}}' if n else f'{word:{w}}' for word, w, n in zip(line, widths, numbers)).rstrip() for line in grid]
    return '\n'.join([table.title, '', *rows, '', *table.notes()]) + '\n'


def as_markdown(table):
    heading = table.heading()
    out = [f'# {table.title}', '', _bar(word for word, _ in heading), _bar('---:' if number else '---' for _, number in heading)]
    out += [_bar(f'**{c.text}**' if c.best else c.text for c in line) for line in table.lines()]
    return '\n'.join([*out, '', *(f'- {note}' for note in table.notes())]) + '\n'


def _bar(words):
    return '| ' + ' | '.join(word.replace('|', r'\|') for word in words) + ' |'


def as_csv(table):
    """For programs: every number in a column of its own, hardly rounded; empty where there is none."""
    stream = io.StringIO()
    write = csv.writer(stream, lineterminator='\n').writerow
    write(['row', 'group', 'label'] + [f'{name}{part}' for name in table.columns for part in ('', ' sd', ' paper', ' paper sd')])
    for row, entry in table.rows.items():
        line = [row, entry['group'], entry['label']]
        for name in table.columns:
            for cell in (table.ours[row][name], table.paper(row, name)):
                line += ['' if v is None else f'{v:.12g}' for v in cell.numbers or (None, None)]
        write(line)
    return stream.getvalue()


def as_html(table):
    head = ''.join(f'<th{_right(number)}>{html.escape(word)}</th>' for word, number in table.heading())
    body = ''
    for line in table.lines():
        body += '<tr>' + ''.join(f"<td{_right(number, c.best)}>{html.escape(c.text)}</td>" for c, (_, number) in zip(line, table.heading())) + '</tr>'
    notes = ''.join(f'<p class="soft">{html.escape(note)}</p>' for note in table.notes())
    return f'<h2>{html.escape(table.title)}</h2><div class="card scroll"><table><thead><tr>{head}</tr></thead>' \
           f'<tbody>{body}</tbody></table></div>{notes}'


def _right(number, best=False):
    words = ' '.join(w for w, on in (('number', number), ('best', best)) if on)
    return f' class="{words}"' if words else ''


def write(run):
    """Writes table.md and table.csv into the run folder, and returns the Table; None where the pipeline has none."""
    if not run.table():
        return None
    table = Table(run)
    for name, text in (('table.md', as_markdown(table)), ('table.csv', as_csv(table))):
        write_text(os.path.join(run.path, name), text)
    return table
