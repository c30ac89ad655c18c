"""What tests that start real processes share: programs, processes that never outlive the test, small datasets."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.environ.get('TANDEM_ROOT') or os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get('TANDEM_BUILD') or f'{ROOT}/build'
BIN = os.environ.get('TANDEM_BIN') or f'{BUILD}/bin'
COUNT = f'{BUILD}/tests/bench/count'
SANITIZED = 'asan' in BUILD or 'tsan' in BUILD
SLOW = int(os.environ.get('TANDEM_SLOW') or SANITIZED and 5 or 1)  # stretches time limits


def program(name):
    return f'{BIN}/tandem-{name}'


class Process:
    """A child with its output in files. `wait` and `stop` return its exit status."""

    def __init__(self, command, folder, name):
        self.name = name
        self.out, self.err = f'{folder}/{name}.out', f'{folder}/{name}.err'
        with open(self.out, 'wb') as out, open(self.err, 'wb') as err:
            self.child = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                          cwd=folder, env=dict(os.environ, TANDEM_PARENT=str(os.getpid())))

    @property
    def pid(self):
        return self.child.pid

    def running(self):
        return self.child.poll() is None

    def output(self):
        with open(self.out, errors='replace') as f:
            return f.read()

    def log(self):
        with open(self.err, errors='replace') as f:
            return f.read()

    def catches(self, number):
        """Whether it handles this signal, or is gone: a program that has just been started does not yet."""
        try:
            with open(f'/proc/{self.pid}/status') as f:
                caught = next((int(line.split()[1], 16) for line in f if line.startswith('SigCgt')), 0)
        except FileNotFoundError:
            return True
        return bool(caught >> (number - 1) & 1) or not self.running()

    def send(self, number):
        if number == signal.SIGTERM:  # asks for an orderly end, which takes a handler
            end = time.monotonic() + 30 * SLOW
            while not self.catches(number) and time.monotonic() < end:
                time.sleep(0.01)
        if self.running():
            self.child.send_signal(number)

    def wait(self, seconds=120):
        try:
            return self.child.wait(seconds * SLOW)
        except subprocess.TimeoutExpired:
            raise AssertionError(f'{self.name} still runs after {seconds * SLOW} s; its log:\n{self.log()}') from None

    def stop(self, number=signal.SIGTERM, seconds=60):
        self.send(number)
        if number == signal.SIGSTOP:
            return None
        return self.wait(seconds)

    def resident_mb(self):
        with open(f'/proc/{self.pid}/status') as f:
            return next(int(line.split()[1]) / 1024 for line in f if line.startswith('VmRSS'))


class FlowTest(unittest.TestCase):
    """A temporary folder and processes that end with the test."""

    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory(prefix='tandem-')
        self.folder = self.temporary.name
        self.processes = []

    def tearDown(self):
        for p in reversed(self.processes):
            p.send(signal.SIGCONT)
            p.send(signal.SIGKILL)
            p.child.wait()
            for line in p.log().splitlines():
                if 'Sanitizer' in line or 'runtime error' in line:
                    print(f'--- {p.name} ---\n{p.log()}', file=sys.stderr)
                    self.fail(f'{p.name}: {line}')
        self.temporary.cleanup()

    def path(self, name):
        return f'{self.folder}/{name}'

    def start(self, command, name=None):
        name = name or os.path.basename(str(command[0]))
        taken = sum(p.name.split('#')[0] == name for p in self.processes)
        p = Process(command, self.folder, f'{name}#{taken}')
        self.processes.append(p)
        return p

    def until(self, condition, what, seconds=60):
        """Waits for `condition()` to be true and returns it."""
        end = time.monotonic() + seconds * SLOW
        while time.monotonic() < end:
            value = condition()
            if value:
                return value
            time.sleep(0.01)
        logs = '\n'.join(f'--- {p.name} ---\n{p.log()[-1500:]}' for p in self.processes)
        raise AssertionError(f'not within {seconds * SLOW} s: {what}\n{logs}')

    # --- The data plane ---

    shared_memory = True  # False: payloads go through sockets, where a test sees or changes them

    def listen(self, name='feed'):
        return f'ipc://{self.folder}/{name}.sock'

    def count(self, dataset, *flags, ledger=None, **options):
        """The counting consumer; options are its flags, with _ for -."""
        options = {'dataset': dataset, 'listen': self.listen(), 'worker_wait_s': 60 * SLOW, 'lease_ms': 2000 * SLOW,
                   **options}
        if ledger:
            options['ledger'] = self.path(ledger)
        command = [COUNT, *flags, *self.transport()]
        for key, value in options.items():
            command += [f'--{key.replace("_", "-")}', value]
        return self.start(command, 'count')

    def decode(self, dataset, *flags, connect=None):
        return self.start([program('decode'), '--connect', connect or self.listen(), '--dataset', dataset, *flags,
                           *self.transport()], 'decode')

    def augment(self, connect=None, *flags):
        return self.start([program('augment'), '--connect', connect or self.listen(), *flags, *self.transport()], 'augment')

    def transport(self):
        return [] if self.shared_memory else ['--no-shared-memory']

    def keys(self, *workers):
        """[the consumer's key file, the list beside it, a key file for each of these workers]"""
        key = self.path('run.key')
        if not os.path.exists(key):
            self.keygen(key)
        return [key, self.path('run.allow'), *(self.keygen('--worker', w, '--for', key) or self.path(f'{w}.key') for w in workers)]

    def keygen(self, *words):
        subprocess.run([program('keygen'), *words], check=True, stdout=subprocess.DEVNULL)

    def finish(self, consumer, seconds=120):
        """The consumer's closing line, once it has ended well."""
        status = consumer.wait(seconds)
        self.assertEqual(status, 0, consumer.log())
        return json.loads(consumer.output())

    def ledger(self, name):
        with open(self.path(name)) as f:
            return f.read().splitlines()

    def ledger_lines(self, name):
        """How many whole lines there are so far."""
        try:
            with open(self.path(name)) as f:
                return f.read().count('\n')
        except FileNotFoundError:
            return 0


def read_keys(path):
    """{'public': bytes, ...} of a key file."""
    with open(path) as f:
        return {name: bytes.fromhex(value) for name, value in (line.split() for line in f if not line.startswith('#'))}


def dial_with(socket, keys):
    """Makes a pyzmq socket a CURVE client with the keys of read_keys."""
    from zmq.utils.z85 import encode  # only tests of the data plane have pyzmq
    socket.curve_publickey, socket.curve_secretkey = encode(keys['public']), encode(keys['secret'])
    socket.curve_serverkey = encode(keys['server'])


def shapes(path, train=200, test=40, size=40, seed=3):
    """Makes a small dataset of the embedded generator."""
    subprocess.run([program('ingest'), '--format', 'shapes', '--out', path, '--size', str(size), '--train', str(train),
                    '--test', str(test), '--seed', str(seed)], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, env=dict(os.environ, OMP_NUM_THREADS='1'))
    return path


def damaged(path, out):
    """A copy of a dataset with a flipped byte in every fourth page or so of its middle half: samples fail their checksum."""
    with open(path, 'rb') as f:
        data = bytearray(f.read())
    for at in range(len(data) // 4, len(data) // 4 * 3, 16384):
        data[at] ^= 0xff
    with open(out, 'wb') as f:
        f.write(data)
    return out
