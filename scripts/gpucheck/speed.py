"""What is measured: images per second of training steps beside PyTorch's, and beside what their FLOPs and bytes need."""
import json
import tempfile

CONFIGURATIONS = ('resnet18', 96), ('resnet50', 224)
METHODS = 'simclr', 'stl'
HEADS = '--projector', '512-128', '--trans-backbone', '128-128', '--trans-projector', '128-128'


def json_lines(text):
    """The lines of a program's output that are JSON objects."""
    return [json.loads(line) for line in text.splitlines() if line.startswith('{')]


def sizes(s, arch, size):
    batch, warmup, steps = (16, 2, 3) if s.a.quick else (256, 5, 20)
    return ['--arch', arch, '--size', size, '--batch', batch, '--warmup', warmup, '--steps', steps]


def ours(s, arch, size, method, precision):
    """The line of tests/bench/train/step: figures and the time of every op; None if it failed."""
    done = s.run([s.program('tests/bench/train/step'), '--device', 'cuda', '--precision', precision, '--method', method,
                  *sizes(s, arch, size), *HEADS], 40)
    return json_lines(done.text)[-1] if done.well else None


def peers(s, arch, size, *more):
    """{method: images per second} under PyTorch in bfloat16. One process, so that both methods share what is compiled."""
    done = s.run([s.a.python, f'{s.root}/tests/bench/train/peer_step.py', '--device', 'cuda', '--precision', 'bf16', *sizes(s, arch, size), *more], 150)
    return {line['method']: line['images_per_s'] for line in json_lines(done.text)}


def cost(s, arch, size, precision):
    """`tandem-train cost` of STL against SimCLR: what both take, and what they would at the rates that this GPU reaches; None if it failed."""
    with tempfile.TemporaryDirectory(prefix='tandem-cost-') as folder:
        done = s.run([s.program('bin/tandem-train'), 'cost', '--method', 'stl', '--against', 'simclr', '--device', 'cuda', '--precision',
                      precision, '--result', f'{folder}/cost.json', *sizes(s, arch, size), *HEADS], 40)
        if not done.well:
            return None
        with open(f'{folder}/cost.json', encoding='utf-8') as f:
            return json.load(f)


def measure(s):
    """({configuration: images per second of PyTorch by way}, {configuration, precision: cost}, {configuration, precision, method: ours});
    what matters most first, for time may run out."""
    theirs, costs, lines = {c: {} for c in CONFIGURATIONS}, {}, {}
    ways = {'compiled': ['--compile', 'default'], 'eager': []}
    if s.a.official:
        ways['official'] = ['--compile', 'default', '--official', s.a.official]

    def all_of_ours(precision):
        for c in CONFIGURATIONS:
            for method in METHODS:
                lines[c, precision, method] = ours(s, *c, method, precision)
            costs[c, precision] = cost(s, *c, precision)

    def beside(way):
        for c in CONFIGURATIONS if s.has_torch else ():
            theirs[c][way] = peers(s, *c, *ways[way])

    all_of_ours('bf16')
    beside('compiled')
    for way in list(ways)[:0:-1]:
        beside(way)
    all_of_ours('tf32')
    all_of_ours('f32')
    return theirs, costs, lines


def least_seconds(c, method):
    if c is None:
        return None
    part = c['measured' if method == 'stl' else 'against']['computed_s']
    return part['forward_backward'] + part['update']


def in_words(row):
    figure = lambda v, form: format('-', '>' + form.split('.')[0]) if v is None else format(v, form)
    rate, median = (row['ours']['images_per_s'], row['ours']['median_s']) if row['ours'] else (None, None)
    best = max(row['pytorch_bf16'].values(), default=None) if row['precision'] == 'bf16' else None
    return (f'{row["arch"]:9} {row["size"]:4} {row["method"]:7} {row["precision"]:5} {figure(rate, "10.0f")} {figure(best, "10.0f")} '
            f'{figure(rate and best and rate / best, "6.2f")} {figure(median and row["least_s"] and median / row["least_s"], "10.2f")}')


def ratio_in_words(arch, precision, c):
    return f'STL over SimCLR, {arch} {precision}: {c["ratio"]["step"]:.3f} in time, {c["ratio"]["computed_step"]:.3f} by FLOPs and bytes'


def speed(s):
    """Passed: every configuration ran. What the figures should be is for the reader of the table."""
    theirs, costs, lines = measure(s)
    rows = [{'arch': c[0], 'size': c[1], 'method': method, 'precision': precision, 'ours': line, 'cost': costs[c, precision],
             'least_s': least_seconds(costs[c, precision], method),
             'pytorch_bf16': {way: rates[method] for way, rates in theirs[c].items() if method in rates}}
            for (c, precision, method), line in lines.items()]
    missing = sum(line is None for line in lines.values()) + sum(c is None for c in costs.values())
    table = ['network     px method  prec.   images/s    PyTorch  ratio  x theory', *map(in_words, rows),
             *(ratio_in_words(c[0], precision, found) for (c, precision), found in costs.items() if found)]
    note = f'{missing} measurements failed' if missing else 'everything ran'
    return {'verdict': 'failed' if missing else 'passed', 'note': note + ('' if s.has_torch else '; no PyTorch here'), 'rows': rows, 'table': table}
