"""What tests of the supervisor share: a small pipeline file, a supervisor in the background, its children."""
import json
import os
import re
import signal
import subprocess
import tempfile
import time
import unittest

ROOT = os.environ['TANDEM_ROOT']
TANDEM = os.path.join(ROOT, 'scripts', 'tandem')
WAIT_S = 180

DATA = 'data: {run: ingest, with: {format: shapes, out: "${run}/shapes.lmdb", size: 32, train: 64, test: 40}}'
FEED = '{dataset: "${run}/shapes.lmdb", decode: 1, augment: 1}'
NETWORK = 'arch: resnet10, width: 8, stem: cifar, projector: 16-8, trans-backbone: 16-8, trans-projector: 8-8'
TRAINING = f'method: stl, {NETWORK}, policy: cifar, size: 32, batch: 16, threads: 1'
TINY = f'''name: tiny
seed: 3
stages:
  {DATA}
  pretrain:
    run: train
    needs: [data]
    feed: {FEED}
    with: {{{TRAINING}, epochs: 2}}
  linear:
    run: linear
    needs: [pretrain]
    feed: {FEED}
    with: {{weights: "${{pretrain}}/final.safetensors", size: 32}}
'''


def read(*path):
    with open(os.path.join(*path), 'rb') as stream:
        return stream.read()


def until(condition, what, limit_s=WAIT_S):
    """Waits for a condition to hold and returns its value."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f'waited {limit_s} s for {what}')


def alive(pid):
    try:
        with open(f'/proc/{pid}/stat', encoding='utf-8', errors='replace') as stream:
            return stream.read().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(dir='.')
        self.run_folder = os.path.join(self.folder, 'run')
        self.file = self.write('tiny.yaml', TINY)
        self.started = []

    def tearDown(self):
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.communicate()
        for child in self.state().get('children', []):  # a stopped one does not hear that its supervisor is gone
            if alive(child['pid']):
                os.kill(child['pid'], signal.SIGKILL)

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, 'w', encoding='utf-8') as stream:
            stream.write(text)
        return path

    def tandem(self, *words, code=0):
        done = subprocess.run([TANDEM, *words], capture_output=True, text=True, timeout=WAIT_S, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout if code == 0 else done.stderr

    def run_file(self, *words, code=0, folder=None, file=None):
        return self.tandem('run', file or self.file, '--run', folder or self.run_folder, *words, code=code)

    def start(self, *words):
        """A supervisor in the background."""
        process = subprocess.Popen([TANDEM, 'run', self.file, '--run', self.run_folder, *words], stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL)
        self.started.append(process)
        return process

    def state(self):
        try:
            return json.loads(read(self.run_folder, '.tandem', 'state.json'))
        except (OSError, ValueError):
            return {}

    def child(self, name):
        """The pid of a child at work; None while there is none."""
        found = [c['pid'] for c in self.state().get('children', []) if c['name'] == name and alive(c['pid'])]
        return found[0] if found else None

    def checkpointed(self, stage):
        folder = os.path.join(self.run_folder, stage)
        return os.path.isdir(folder) and any(n.startswith('checkpoint-') and not n.endswith('.tmp') for n in os.listdir(folder))

    def verdicts(self, output):
        """{stage: 'runs' or 'skipped'} from the lines of a run."""
        return dict(re.findall(r'^([\w-]+): (runs|skipped): ', output, re.M))


class LongCase(Case):
    """Training that takes a few seconds, with a checkpoint after every epoch of four steps."""

    long = ['--set', 'pretrain.epochs=20']

    def undisturbed(self):
        """(weights, ledger) of a run that nothing happened to; computed once."""
        if not hasattr(LongCase, 'reference'):
            folder = os.path.join(self.folder, 'reference')
            self.run_file(*self.long, '--only', 'data', folder=folder)
            self.run_file(*self.long, '--only', 'pretrain', folder=folder)
            LongCase.reference = self.result(folder)
        return LongCase.reference

    def result(self, folder):
        return [read(folder, 'pretrain', name) for name in ('final.safetensors', 'ledger.jsonl')]

    def train(self, *words):
        """A supervisor whose trainer has written a checkpoint and is stopped, so that the test has all the time it needs."""
        self.run_file(*self.long, '--only', 'data')
        process = self.start(*self.long, '--only', 'pretrain', *words)
        until(lambda: self.checkpointed('pretrain') or process.poll() is not None, 'the first checkpoint')
        self.assertIsNone(process.poll(), 'training ended before it could be disturbed')
        os.kill(self.child('pretrain'), signal.SIGSTOP)
        return process

    def go_on(self):
        os.kill(self.child('pretrain'), signal.SIGCONT)

    def finish(self, process, code=0):
        output, _ = process.communicate(timeout=WAIT_S)
        self.assertEqual(process.returncode, code, output)
        return output

    def nothing_left(self, children):
        until(lambda: not any(map(alive, children)), 'the children to end')
        self.assertEqual(self.state()['children'], [])

    def pids(self):
        return [c['pid'] for c in self.state()['children']]
