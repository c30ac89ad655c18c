"""What is measured: images per second of training steps beside PyTorch's, and beside what their FLOPs and bytes need."""
import json
import tempfile

CONFIGURATIONS = ('resnet18', 96), ('resnet50', 224)
METHODS = 'simclr', 'stl'
LEAST_RATIO, MOST_OF_COMPUTED = 1.2, 1.1  # what is asked for: of PyTorch's images per second; of STL's time over SimCLR's
HEADS = '--projector', '512-128', '--trans-backbone', '128-128', '--trans-projector', '128-128'


def json_lines(text):
    """The lines of a program's output that are JSON objects; warnings stand between them."""
    found = []
    for line in text.splitlines():
        try:
            found += [json.loads(line)] if line.startswith('{') else []
        except json.JSONDecodeError:
            pass
    return found


def last_line(done):
    """The last of them that a program which ended well has printed; None: it did not."""
    return (json_lines(done.text) or [None])[-1] if done.well else None


def sizes(s, arch, size, warmup=5, steps=20):
    batch, warmup, steps = (16, 2, 3) if s.a.quick else (256, warmup, steps)
    return ['--arch', arch, '--size', size, '--batch', batch, '--warmup', warmup, '--steps', steps]


def ours(s, arch, size, method, precision, *more):
    """The line of tests/bench/train/step: figures and the time of every op; None if it failed."""
    done = s.run([s.program('tests/bench/train/step'), '--device', 'cuda', '--precision', precision, '--method', method,
                  *sizes(s, arch, size), *HEADS, *more], 60)
    return last_line(done)


def peers(s, arch, size, *more):
    """{method: images per second} under PyTorch in bfloat16. One process, so that both methods share what is compiled."""
    done = s.run([s.a.python, f'{s.root}/tests/bench/train/peer_step.py', '--device', 'cuda', '--precision', 'bf16', *sizes(s, arch, size),
                  *more], 150)
    return {line['method']: line['images_per_s'] for line in json_lines(done.text) if 'images_per_s' in line}


def cost(s, arch, size, precision):
    """`tandem-train cost` of STL against SimCLR: what both would take at the rates that this GPU reaches; None if it failed. Few of its
    own steps will do."""
    with tempfile.TemporaryDirectory(prefix='tandem-cost-') as folder:
        done = s.run([s.program('bin/tandem-train'), 'cost', '--method', 'stl', '--against', 'simclr', '--device', 'cuda', '--precision',
                      precision, '--result', f'{folder}/cost.json', *sizes(s, arch, size, 1, 2), *HEADS], 60)
        if not done.well:
            return None
        with open(f'{folder}/cost.json', encoding='utf-8') as f:
            return json.load(f)


class Figures:
    """theirs: {configuration: {way: {method: images per second}}}, costs: {(configuration, precision): cost},
    lines: {(configuration, precision, method): ours}, tuned: the same with --tune."""

    def __init__(self, s):
        self.s, self.theirs, self.costs, self.lines, self.tuned = s, {c: {} for c in CONFIGURATIONS}, {}, {}, {}

    def ours(self, precision, *more):
        for c in CONFIGURATIONS:
            for method in METHODS:
                self.lines[c, precision, method] = ours(self.s, *c, method, precision, *more)

    def more_of_ours(self, precision):
        for c in CONFIGURATIONS:
            for method in METHODS:
                self.tuned[c, precision, method] = ours(self.s, *c, method, precision, '--tune')
        for c in CONFIGURATIONS:
            self.costs[c, precision] = cost(self.s, *c, precision)

    def beside(self, way, *flags):
        for c in CONFIGURATIONS if self.s.has_torch else ():
            self.theirs[c][way] = peers(self.s, *c, *flags)

    def rows(self):
        return [{'arch': c[0], 'size': c[1], 'method': method, 'precision': precision, 'ours': line,
                 'tuned': self.tuned.get((c, precision, method)),
                 'cost': self.costs.get((c, precision)), 'least_s': least_seconds(self.costs.get((c, precision)), method),
                 'pytorch_bf16': {way: rates[method] for way, rates in self.theirs[c].items() if method in rates}}
                for (c, precision, method), line in self.lines.items()]

    def ratios(self):
        for (c, precision), found in self.costs.items():
            simclr, stl = (self.lines[c, precision, method] for method in METHODS)
            if found and simclr and stl:
                time, computed = stl['median_s'] / simclr['median_s'], found['ratio']['computed_step']
                yield (f'STL over SimCLR, {c[0]} {precision}: {time:.3f} in time, {computed:.3f} by FLOPs and bytes'
                       f'{" (more than asked)" if time > MOST_OF_COMPUTED * computed else ""}')

    def result(self):
        """Passed: every configuration ran. What the figures should be is for the reader of the table."""
        missing = sum(x is None for x in (*self.lines.values(), *self.tuned.values(), *self.costs.values()))
        missing += sum(m not in rates for ways in self.theirs.values() for rates in ways.values() for m in METHODS)
        rows = self.rows()
        table = ['network     px method  prec.   images/s      tuned    PyTorch  ratio  x theory', *map(in_words, rows), *self.ratios(),
                 *(line for row in rows for line in where_time_goes(row))]
        slow = sum(r is not None and r < LEAST_RATIO for r in map(ratio_to_pytorch, rows))
        note = f'{missing} measurements failed' if missing else 'everything ran'
        note += f'; {slow} below {LEAST_RATIO} times PyTorch' if slow else ''
        return {'verdict': 'failed' if missing else 'passed', 'note': note + ('' if self.s.has_torch else '; no PyTorch here'),
                'rows': rows, 'table': table}


def least_seconds(c, method):
    if c is None:
        return None
    part = c['measured' if method == 'stl' else 'against']['computed_s']
    return part['forward_backward'] + part['update']


def ratio_to_pytorch(row):
    """Our fastest over its fastest, in bfloat16; None: one of them is missing. It chooses its convolutions by trying, too."""
    mine = max((line['images_per_s'] for line in (row['ours'], row['tuned']) if line), default=None)
    best = max(row['pytorch_bf16'].values(), default=None) if row['precision'] == 'bf16' else None
    return mine / best if mine and best else None


def in_words(row):
    figure = lambda v, form: format('-', '>' + form.split('.')[0]) if v is None else format(v, form)
    rate, median = (row['ours']['images_per_s'], row['ours']['median_s']) if row['ours'] else (None, None)
    tuned = row['tuned']['images_per_s'] if row['tuned'] else None
    best = max(row['pytorch_bf16'].values(), default=None) if row['precision'] == 'bf16' else None
    return (f'{row["arch"]:9} {row["size"]:4} {row["method"]:7} {row["precision"]:5} {figure(rate, "10.0f")} {figure(tuned, "10.0f")} '
            f'{figure(best, "10.0f")} {figure(ratio_to_pytorch(row), "6.2f")} '
            f'{figure(median and row["least_s"] and median / row["least_s"], "10.2f")}')


def where_time_goes(row):
    """Of a configuration whose ops were measured beside what they need: the ops that lose most, called one by one."""
    line = row['ours']
    if not line or 'least_ms_per_op' not in line:
        return []
    least = line['least_ms_per_op']
    losses = sorted(((ms - least.get(op, 0), op, ms) for op, ms in line['ms_per_op'].items()), reverse=True)
    return ['', f'{row["arch"]} {row["size"]} px, {row["method"]}: milliseconds of a step, at least, per op'] + [
        f'{ms:9.3f} {least.get(op, 0):9.3f}  {op}' for _, op, ms in losses[:12]]


def speed(s):
    """bfloat16, beside PyTorch compiled."""
    figures = Figures(s)
    figures.ours('bf16', '--roofline')
    figures.beside('compiled', '--compile', 'default')
    figures.more_of_ours('bf16')
    return figures.result()


def more_speed(s):
    """The other precisions, and PyTorch in other ways: compiled into CUDA graphs, the public code, as it is called."""
    figures = Figures(s)
    figures.ours('bf16')
    figures.beside('graphs', '--compile', 'reduce-overhead')
    if s.a.official:
        figures.beside('official', '--compile', 'default', '--official', s.a.official)
    for precision in 'tf32', 'f32':
        figures.ours(precision)
    figures.beside('eager')
    for precision in 'bf16', 'tf32', 'f32':
        figures.more_of_ours(precision)
    return figures.result()
