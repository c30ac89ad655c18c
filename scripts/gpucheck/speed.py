"""What is measured: images per second of training steps beside PyTorch's, and what theory says to the difference of two methods."""
import json

CONFIGURATIONS = ('resnet18', 96), ('resnet50', 224)
METHODS = 'simclr', 'stl'
PRECISIONS = 'bf16', 'tf32', 'f32'
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
    return json_lines(done.text)[-1] if done.status == 0 else None


def peers(s, arch, size, *more):
    """{method: images per second} under PyTorch in bfloat16. One process, so that both methods share what is compiled."""
    done = s.run([s.a.python, f'{s.root}/tests/bench/train/peer_step.py', '--device', 'cuda', '--precision', 'bf16', *sizes(s, arch, size), *more], 150)
    return {line['method']: line['images_per_s'] for line in json_lines(done.text)}


def ceilings(s):
    """{copy: bytes per second, bf16, tf32, f32: FLOP per second} as PyTorch reaches them here; empty without it."""
    done = s.run([s.a.python, f'{s.root}/tests/bench/train/peer_ceilings.py'], 30) if s.has_torch else None
    return json_lines(done.text)[-1] if done and done.status == 0 else {}


def least_seconds(s, arch, size, method, precision, ceiling):
    """Of a step: for every kind of op the longer of its arithmetic and its traffic, at the ceilings."""
    batch = sizes(s, arch, size)[5]
    done = s.run([s.program('bin/tandem-train'), 'describe', '--json', '--device', 'cuda', '--precision', precision, '--method', method,
                  '--arch', arch, '--size', size, '--batch', batch, *HEADS], 20)
    if done.status:
        return None
    d = json.loads(done.text[done.text.index('{'):])
    both = lambda op, what: op[what]['forward'] + op[what]['backward']
    return d['update_bytes'] / ceiling['copy'] + sum(max(both(op, 'flops') / ceiling[precision], both(op, 'bytes') / ceiling['copy'])
                                                     for op in d['ops'])


def measure(s, arch, size, ceiling):
    """A row for each method and precision."""
    compiled = peers(s, arch, size, '--compile', 'default') if s.has_torch else {}
    eager = peers(s, arch, size) if s.has_torch else {}
    official = peers(s, arch, size, '--official', s.a.official, '--compile', 'default') if s.has_torch and s.a.official else {}
    for method in METHODS:
        for precision in PRECISIONS:
            line = ours(s, arch, size, method, precision)
            least = least_seconds(s, arch, size, method, precision, ceiling) if ceiling else None
            theirs = {'compiled': compiled.get(method), 'eager': eager.get(method), 'official': official.get(method)}
            yield {'arch': arch, 'size': size, 'method': method, 'precision': precision, 'ours': line, 'least_s': least,
                   'pytorch_bf16': {k: v for k, v in theirs.items() if v}}


def in_words(row):
    figure = lambda v, form: '-' if v is None else format(v, form)
    rate, median = (row['ours']['images_per_s'], row['ours']['median_s']) if row['ours'] else (None, None)
    best = max(row['pytorch_bf16'].values(), default=None) if row['precision'] == 'bf16' else None
    return (f'{row["arch"]:9} {row["size"]:4} {row["method"]:7} {row["precision"]:5} {figure(rate, "10.0f")} {figure(best, "10.0f")} '
            f'{figure(rate and best and rate / best, "6.2f")} {figure(median and row["least_s"] and row["least_s"] / median, "9.0%")}')


def stl_over_simclr(rows):
    """[(configuration, time of STL over that of SimCLR, the same by arithmetic and traffic)]"""
    by = {(r['arch'], r['precision'], r['method']): r for r in rows if r['ours'] and r['least_s']}
    for arch, precision, method in by:
        stl, simclr = by[arch, precision, method], by.get((arch, precision, 'simclr'))
        if method == 'stl' and simclr:
            yield (f'{arch} {precision}', stl['ours']['median_s'] / simclr['ours']['median_s'], stl['least_s'] / simclr['least_s'])


def speed(s):
    """Passed: every configuration ran. What the figures should be is for the reader of the table."""
    ceiling = ceilings(s)
    rows = [row for arch, size in CONFIGURATIONS for row in measure(s, arch, size, ceiling)]
    ratios = list(stl_over_simclr(rows))
    missing = sum(r['ours'] is None for r in rows)
    table = ['network     px method  prec.   images/s    PyTorch  ratio of theory', *map(in_words, rows),
             *(f'STL over SimCLR, {name}: {measured:.2f} in time, {theory:.2f} by FLOPs and bytes' for name, measured, theory in ratios)]
    note = f'{len(rows) - missing} of {len(rows)} configurations ran' + ('' if s.has_torch else '; no PyTorch here')
    return {'verdict': 'failed' if missing else 'passed', 'note': note, 'ceilings': ceiling, 'rows': rows, 'stl_over_simclr': ratios, 'table': table}
