"""What people see while a pipeline runs: a picture that redraws itself on a terminal, plain lines elsewhere."""
import os
import shutil
import sys
import time

from .bottleneck import bottleneck_text, errors_text, load_text

_MARKS = {'waiting': '·', 'running': '●', 'done': '✓', 'skipped': '✓', 'failed': '✗', 'interrupted': '■'}
_COLOURS = {'running': '36', 'done': '32', 'skipped': '2', 'failed': '31', 'interrupted': '33', 'waiting': '2'}
_BAR = 20
_DRAW_S = 0.2
_LINE_S = 10.0


def duration(seconds):
    """'3.2 s', '4m05s', '2h10m'."""
    if seconds < 60:
        return f'{seconds:.1f} s'
    minutes, rest = divmod(int(seconds + 0.5), 60)
    return f'{minutes}m{rest:02d}s' if minutes < 60 else f'{minutes // 60}h{minutes % 60:02d}m'


def count(number):
    """1234567 -> '1,234,567'; rates keep a digit below 100."""
    return f'{number:,.1f}' if isinstance(number, float) and number < 100 else f'{number:,.0f}'


def progress_text(progress, bar=True):
    """One line about a progress file: bar, counts, rate, time left, note."""
    done, total, rate = progress.get('done', 0), progress.get('total', 0), progress.get('rate', 0.0)
    words = []
    if total > 0 and bar:
        full = max(0, min(_BAR, int(done / total * _BAR)))
        words.append('▕' + '█' * full + '░' * (_BAR - full) + '▏')
    words.append(f"{count(done)}{f'/{count(total)}' if total > 0 else ''} {progress.get('unit', '')}")
    words.append(f'{count(float(rate))}/s')
    if total > done and rate > 0:
        words.append(f'{duration((total - done) / rate)} left')
    if progress.get('note'):
        words.append(progress['note'])
    return '  '.join(words)


def load_lines(stage, load):
    """Who works how much, and what holds up the rest; nothing without a Load."""
    if not load:
        return []
    return [load_text(load), *([errors_text(load)] if load.errors else []), bottleneck_text(stage, load)]


class View:
    """Told by the executor what happens. `names`: all stages in order."""

    def __init__(self, names, stream=None):
        self.stream = stream or sys.stdout
        self.terminal = self.stream.isatty() and os.environ.get('TERM') != 'dumb'
        self.colour = self.terminal and 'NO_COLOR' not in os.environ
        self.names = list(names)
        self.states = {n: ('waiting', '') for n in names}
        self._width = max(map(len, self.names), default=0)
        self._drawn, self._drawn_at, self._line_at = 0, 0.0, 0.0
        self._began, self._progress, self._loads = {}, {}, {}

    # --- What happens ---

    def event(self, text):
        """One line that stays."""
        self._erase()
        print(text, file=self.stream, flush=True)
        self._draw()

    def started(self, name, decision):
        self._began[name] = self._line_at = time.monotonic()
        self.states[name] = ('running', '')
        if not self.terminal:
            print(f'{name}: runs: {decision.why}', file=self.stream, flush=True)
        self._draw()

    def skipped(self, name, why, record):
        self.states[name] = ('skipped', why)
        if not self.terminal:
            print(f'{name}: skipped: {why}', file=self.stream, flush=True)
        self._draw()

    def progress(self, name, progress, load=None):
        """`load`: the Load of the last seconds, where workers feed the stage."""
        if progress:
            self._progress[name] = progress
        self._loads[name] = load
        now = time.monotonic()
        if self.terminal and now - self._drawn_at >= _DRAW_S:
            self._draw()
        elif not self.terminal and progress and now - self._line_at >= _LINE_S:
            self._line_at = now
            for line in (progress_text(progress, bar=False), *load_lines(name, load)):
                print(f'{name}: {line}', file=self.stream, flush=True)

    def ended(self, name, record):
        took = f"in {duration(record['seconds'])}"
        last = record.get('progress') or {}
        rate = f", {count(float(last['rate']))} {last.get('unit', '')}/s" if last.get('rate') else ''
        self.states[name] = (record['state'], took + rate)
        if not self.terminal:
            print(f"{name}: {record['state']} {took}{rate}", file=self.stream, flush=True)
        self._draw()

    def close(self):
        """Leaves the last picture standing."""
        self._draw()
        self._drawn = 0

    # --- Drawing ---

    def _paint(self, state, text):
        return f'\033[{_COLOURS[state]}m{text}\033[0m' if self.colour else text

    def _lines(self):
        for name in self.names:
            state, text = self.states[name]
            progress = self._progress.get(name)
            if state == 'running':
                text = progress_text(progress) if progress else f'starting, {duration(time.monotonic() - self._began[name])}'
            yield state, f'{_MARKS[state]} {name:{self._width}}  {text}'
            for line in load_lines(name, self._loads.get(name)) if state == 'running' else ():
                yield 'waiting', f"  {'':{self._width}}  {line}"

    def _draw(self):
        if not self.terminal:
            return
        self._erase()
        size = shutil.get_terminal_size()
        lines = list(self._lines())[-max(1, size.lines - 2):]
        for state, line in lines:
            print(self._paint(state, line[:size.columns - 1]), file=self.stream)
        self.stream.flush()
        self._drawn, self._drawn_at = len(lines), time.monotonic()

    def _erase(self):
        if self.terminal and self._drawn:
            self.stream.write(f'\033[{self._drawn}F\033[J')
            self._drawn = 0
