"""What is checked, in order. A part takes the session and gives a dict with verdict, note and its figures."""
import glob
import os
import re
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from .speed import last_line, more_speed, speed

JOBS = 8  # programs at a time: they wait for cuDNN to compile, not for the GPU
COUNTS = re.compile(r'^\[\d+/\d+\] tests/(\w+)/.*\((\d+) passed, (\d+) failed, (\d+) skipped', re.M)
PRECISIONS = 'f32', 'tf32', 'bf16'
# Kernels are checked whose names have none of this in them: ours. Statuses of calls are for memcheck alone, and ours are all looked at.
NVIDIAS = 'cudnn', 'cublas', 'cutlass', 'xmma', 'nvjet', 'gemm', 'gemv', 'convolve', 'nhwc', 'nchw', 'NHWC', 'NCHW'
TOOLS = {'memcheck': ['--report-api-errors', 'no'], 'racecheck': [], 'initcheck': [], 'synccheck': []}


def verdict(well, note, **figures):
    return {'verdict': 'passed' if well else 'failed', 'note': note, **figures}


def tests(s, skips=False):
    """Unit tests of the GPU, parity with ref, training steps against PyTorch's numbers. On a GPU nothing may be skipped."""
    done = s.run([sys.executable, f'{s.root}/scripts/run-tests', '--build', s.build_dir, '--jobs', JOBS, '--verbose',
                  *(f'/tests/{group}/' for group in ('gpu', 'parity', 'oracle'))], 150)
    sums = {}
    for group, *counts in COUNTS.findall(done.text):
        sums[group] = [a + int(b) for a, b in zip(sums.get(group, (0, 0, 0)), counts)]
    note = '; '.join(f'{group}: {p} passed, {f} failed, {sk} skipped' for group, (p, f, sk) in sums.items()) or 'no count; see the log'
    lacking = sorted(set(re.findall(r'no \w+ kernel for \w+', done.text)))
    well = done.well and sums and not any(f or sk and not skips for _, f, sk in sums.values())
    return verdict(well, ', '.join([note, *lacking, *(['stopped at its time limit'] if done.status is None else [])]), counts=sums)


def autocast(s):
    """bfloat16 on a larger network than the fixture's, beside what PyTorch's autocast makes of it on this GPU."""
    if not s.has_torch:
        return {'verdict': 'skipped', 'note': 'no PyTorch here; tests has the comparison with autocast on a CPU'}
    with tempfile.TemporaryDirectory(prefix='tandem-oracle-') as root:
        folder = f'{root}/tests/oracle/train'
        shutil.copytree(f'{s.root}/tests/oracle/train', folder)
        made = s.run([s.a.python, f'{folder}/make_stl.py', f'{folder}/stl.safetensors', '--width', 16, '--pairs', 8, '--side', 32,
                      '--device', 'cuda'], 90)
        here = s.run([s.program('tests/oracle/train/stl_test')], 40, TANDEM_ROOT=root)
    said = re.search(r'^bf16 on cuda: .*', here.text, re.M)  # only that: the fixture's other tolerances are for its own size
    return verdict(made.well and re.search(r'OK \] bf16_on_cuda', here.text), said[0] if said else 'no comparison; see the log')


def determinism(s):
    """The same steps twice, with --deterministic: the same weights to the last bit."""
    digests = {}
    for precision in PRECISIONS:
        runs = [s.run([s.program('tests/bench/train/step'), '--device', 'cuda', '--precision', precision, '--deterministic', '--method', 'stl',
                       '--arch', 'resnet18', '--batch', 64, '--steps', 10], 30) for _ in range(2)]
        digests[precision] = [(last_line(r) or {}).get('digest') for r in runs]
    equal = [p for p, (a, b) in digests.items() if a and a == b]
    return verdict(len(equal) == len(digests), f'equal bytes in {", ".join(equal) or "no precision"}', digests=digests)


def sanitizer(s):
    """compute-sanitizer on the parity programs, but not on NVIDIA's kernels in them. A tool that refuses the device is named."""
    checker = s.results['machine']['sanitizer']
    if not checker:
        return {'verdict': 'skipped', 'note': 'compute-sanitizer is not here'}
    programs = sorted(glob.glob(s.program('tests/parity/*_test')))[:2 if s.a.quick else None]
    end = time.monotonic() + 100
    look = lambda job: s.run([checker, '--tool', job[0], *TOOLS[job[0]], '--error-exitcode', 99, '--print-limit', 5, '--kernel-name-exclude',
                              ','.join(f'kns={name}' for name in NVIDIAS), job[1]], min(60, end - time.monotonic()))
    jobs = [(tool, p) for tool in TOOLS for p in programs]
    with ThreadPoolExecutor(JOBS) as pool:
        done = list(pool.map(look, jobs))
    found = {}
    for (tool, program), d in zip(jobs, done):
        state = {0: 'clean', 99: 'errors', None: 'not finished'}.get(d.status, 'refused, or its tests failed')
        found.setdefault(tool, {}).setdefault(state, []).append(os.path.basename(program))
    note = '; '.join(f'{tool}: ' + ', '.join(f'{len(p)} {state}' for state, p in states.items()) for tool, states in found.items())
    return verdict(all(list(states) == ['clean'] for states in found.values()), note, tools=found)


def dataset(s, folder, size, train):
    path = f'{folder}/shapes.lmdb'
    done = s.run([s.program('bin/tandem-ingest'), '--format', 'shapes', '--out', path, '--size', size, '--train', train, '--test', 8], 60)
    return path, done.well


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
            s.stop(workers)
    lines = train.text.strip().splitlines() or ['no output']
    return verdict(well and train.well, lines[-1])


def starts(s):
    """Every program starts, and says in one line what it misses for cuda."""
    programs = [*sorted(glob.glob(s.program('bin/*'))), s.program('tests/bench/train/step')]
    broken = [os.path.basename(p) for p in programs if not s.run([p, '--help'], 20).well]
    asked = s.run([s.program('tests/bench/train/step'), '--device', 'cuda', '--batch', 4, '--size', 32], 20)
    lines = asked.text.strip().splitlines()
    said = asked.status not in (0, None) and len(lines) == 1 and asked.status < 128
    note = f'{len(programs) - len(broken)} of {len(programs)} programs start; cuda: {lines[-1] if lines else "says nothing"}'
    return verdict(not broken and said, note, broken=broken)


def steps(s):
    """A training step on ref."""
    done = s.run([s.program('tests/bench/train/step'), '--device', 'ref', '--arch', 'resnet10', '--width', 4, '--size', 16, '--batch', 4,
                  '--projector', '8-8', '--trans-backbone', '8-8', '--trans-projector', '8-8', '--warmup', 0, '--steps', 1, '--roofline'], 60)
    return verdict(done.well and 'least_ms_per_op' in done.text, 'STL on ref')


def ingest(s):
    with tempfile.TemporaryDirectory(prefix='tandem-gpu-') as folder:
        data, well = dataset(s, folder, 32, 64)
        read = s.run([s.program('bin/tandem-ingest'), 'info', data], 20)
    return verdict(well and read.well, 'a dataset of shapes written and read')


# What matters most first, for time may run out; and for how many seconds at most, so that none takes another's.
GPU = {'tests': tests, 'determinism': determinism, 'pipeline': pipeline, 'speed': speed, 'autocast': autocast, 'sanitizer': sanitizer}
LIMIT_S = {'tests': 150, 'determinism': 60, 'pipeline': 60, 'speed': 330, 'autocast': 90, 'sanitizer': 100}
ASKED = {'more_speed': more_speed}  # takes minutes: only when asked for
HOST = {'starts': starts, 'ingest': ingest, 'steps': steps, 'skips': lambda s: tests(s, skips=True)}
