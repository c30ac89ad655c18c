"""What is checked, in order. A part takes the session and gives a dict with verdict, note and its figures."""
import glob
import json
import os
import re
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

from .speed import speed

JOBS = 8  # programs at a time: they wait for cuDNN to compile, not for the GPU
COUNTS = re.compile(r'^(\d+) passed, (\d+) failed, (\d+) skipped$', re.M)
PRECISIONS = 'f32', 'tf32', 'bf16'


def verdict(well, note, **figures):
    return {'verdict': 'passed' if well else 'failed', 'note': note, **figures}


def tests(s, limit_s, *filters, skips=False):
    """The built tests whose path has one of these words. On a GPU nothing may be skipped."""
    done = s.run([sys.executable, f'{s.root}/scripts/run-tests', '--build', s.build_dir, '--jobs', JOBS, *filters], limit_s)
    found = COUNTS.findall(done.text)
    if not found:
        return verdict(False, 'stopped at its time limit' if done.status is None else 'no count; see the log')
    passed, failed, skipped = map(int, found[-1])
    why = sorted(set(re.findall(r'no \w+ kernel for \w+', done.text)))
    note = f'{passed} passed, {failed} failed, {skipped} skipped' + (f' ({", ".join(why)})' if why else '')
    return verdict(done.status == 0 and failed == 0 and (skips or not skipped), note, passed=passed, failed=failed, skipped=skipped)


def oracle(s):
    """Training steps against PyTorch's numbers; with PyTorch here also bfloat16 on a larger network against its autocast here."""
    result = tests(s, 60, 'tests/oracle/train')
    if not s.has_torch:
        result['note'] += '; no PyTorch here, so bf16 beside the autocast in the fixture alone'
        return result
    with tempfile.TemporaryDirectory(prefix='tandem-oracle-') as root:
        folder = f'{root}/tests/oracle/train'
        shutil.copytree(f'{s.root}/tests/oracle/train', folder)
        made = s.run([s.a.python, f'{folder}/make_stl.py', f'{folder}/stl.safetensors', '--width', 16, '--pairs', 8, '--side', 32,
                      '--device', 'cpu' if s.a.host else 'cuda'], 60)
        here = s.run([s.program('tests/oracle/train/stl_test')], 40, TANDEM_ROOT=root)
    well = made.status == 0 and here.status == 0
    result['note'] += f'; width 16 beside autocast here: {"passed" if well else "failed"}'
    result['verdict'] = result['verdict'] if well else 'failed'
    return result


def determinism(s):
    """The same steps twice, with --deterministic: the same weights to the last bit."""
    digests = {}
    for precision in PRECISIONS:
        runs = [s.run([s.program('tests/bench/train/step'), '--device', 'cuda', '--precision', precision, '--deterministic', '--method', 'stl',
                       '--arch', 'resnet18', '--batch', 64, '--steps', 10], 30) for _ in range(2)]
        digests[precision] = [json.loads(r.text.splitlines()[-1])['digest'] if r.status == 0 else None for r in runs]
    equal = [p for p, (a, b) in digests.items() if a and a == b]
    return verdict(len(equal) == len(digests), f'equal bytes in {", ".join(equal) or "no precision"}', digests=digests)


def sanitizer(s):
    """compute-sanitizer on the parity programs. A tool that refuses the device is named."""
    if not shutil.which('compute-sanitizer'):
        return {'verdict': 'skipped', 'note': 'compute-sanitizer is not here'}
    programs = sorted(glob.glob(s.program('tests/parity/*_test')))[:2 if s.a.quick else None]
    look = lambda job: s.run(['compute-sanitizer', '--tool', job[0], '--error-exitcode', 99, '--print-limit', 5, job[1]], 60)
    jobs = [(tool, p) for tool in ('memcheck', 'racecheck', 'initcheck', 'synccheck') for p in programs]
    with ThreadPoolExecutor(JOBS) as pool:
        done = list(pool.map(look, jobs))
    found = {}
    for (tool, program), d in zip(jobs, done):
        state = {0: 'clean', 99: 'errors', None: 'not finished'}.get(d.status, 'not run')
        found.setdefault(tool, {}).setdefault(state, []).append(os.path.basename(program))
    note = '; '.join(f'{tool}: ' + ', '.join(f'{len(p)} {state}' for state, p in states.items()) for tool, states in found.items())
    return verdict(all(list(states) == ['clean'] for states in found.values()), note, tools=found)


def dataset(s, folder, size, train):
    path = f'{folder}/shapes.lmdb'
    done = s.run([s.program('bin/tandem-ingest'), '--format', 'shapes', '--out', path, '--size', size, '--train', train, '--test', 8], 60)
    return path, done.status == 0


def pipeline(s):
    """Decode and augment workers feed a training run, as a pipeline file would have it."""
    with tempfile.TemporaryDirectory(prefix='tandem-gpu-') as folder:
        data, well = dataset(s, folder, 64, 256 if s.a.quick else 2048)
        feed = f'ipc://{folder}/feed.sock'
        kinds = [['tandem-decode', '--dataset', data], *[['tandem-augment', '--threads', '2']] * max(1, len(os.sched_getaffinity(0)) // 4)]
        workers = [s.start([s.program(f'bin/{name}'), '--connect', feed, *flags]) for name, *flags in kinds]
        try:
            train = s.run([s.program('bin/tandem-train'), '--out', f'{folder}/run', '--dataset', data, '--listen', feed, '--size', 64,
                           '--batch', 64, '--epochs', 2, '--seed', 1, '--device', 'cuda', '--precision', 'bf16'], 60)
        finally:
            for w in workers:
                w.terminate()
                w.wait()
    lines = train.text.strip().splitlines() or ['no output']
    return verdict(well and train.status == 0, lines[-1])


def starts(s):
    """Every program starts, and says in one line what it misses for cuda."""
    programs = [*sorted(glob.glob(s.program('bin/*'))), s.program('tests/bench/train/step')]
    broken = [os.path.basename(p) for p in programs if s.run([p, '--help'], 20).status]
    asked = s.run([s.program('tests/bench/train/step'), '--device', 'cuda', '--batch', 4, '--size', 32], 20)
    lines = asked.text.strip().splitlines()
    said = asked.status not in (0, None) and len(lines) == 1 and asked.status < 128
    note = f'{len(programs) - len(broken)} of {len(programs)} programs start; cuda: {lines[-1] if lines else "says nothing"}'
    return verdict(not broken and said, note, broken=broken)


def steps(s):
    """A training step on ref."""
    done = s.run([s.program('tests/bench/train/step'), '--device', 'ref', '--arch', 'resnet10', '--width', 4, '--size', 16, '--batch', 4,
                  '--projector', '8-8', '--trans-backbone', '8-8', '--trans-projector', '8-8', '--warmup', 0, '--steps', 1], 60)
    return verdict(done.status == 0, 'STL on ref')


def ingest(s):
    with tempfile.TemporaryDirectory(prefix='tandem-gpu-') as folder:
        data, well = dataset(s, folder, 32, 64)
        read = s.run([s.program('bin/tandem-ingest'), 'info', data], 20)
    return verdict(well and read.status == 0, 'a dataset of shapes written and read')


GPU = {'unit': lambda s: tests(s, 45, 'tests/gpu'), 'parity': lambda s: tests(s, 90, 'tests/parity'), 'oracle': oracle,
       'determinism': determinism, 'sanitizer': sanitizer, 'pipeline': pipeline, 'speed': speed}
HOST = {'starts': starts, 'ingest': ingest, 'steps': steps, 'tests': lambda s: tests(s, 300, 'tests/gpu', 'tests/parity', 'tests/oracle/train', skips=True)}
