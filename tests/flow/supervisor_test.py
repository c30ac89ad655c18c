"""The supervisor on real stages: what runs and why, and what happens when something dies."""
import json
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import tempfile
import time
import unittest
import zlib

ROOT = os.environ['TANDEM_ROOT']
TANDEM = os.path.join(ROOT, 'scripts', 'tandem')
WAIT_S = 120

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


def png(side=16):
    """A colourful PNG file."""
    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
    rows = b''.join(b'\0' + bytes((x * 16 + c * 40 + y) % 256 for x in range(side) for c in range(3)) for y in range(side))
    header = struct.pack('>IIBBBBB', side, side, 8, 2, 0, 0, 0)
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b'')


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


class Files(Case):
    """Mistakes in a pipeline file: file, line and the fix, all before anything runs."""

    def mistake(self, old, new, *expected, below=0):
        """Replaces `old` and expects words about the line it starts on, or one `below`."""
        self.assertIn(old, TINY)
        file = self.write('bad.yaml', TINY.replace(old, new, 1))
        text = self.run_file(code=2, file=file)
        for words in expected:
            self.assertIn(words, text)
        self.assertFalse(os.path.exists(self.run_folder), 'a mistake in the file must leave nothing')
        line = TINY[:TINY.index(old)].count('\n') + 1 + below
        self.assertIn(f'{file}:{line}: ', text)
        self.assertEqual(text, self.tandem('validate', file, code=2))

    def test_a_good_file_is_fine(self):
        self.assertIn('stages: data, pretrain, linear', self.tandem('validate', self.file))

    def test_a_misspelt_key(self):
        self.mistake('    feed: {dataset', '    fed: {dataset', "unknown key 'fed'; did you mean 'feed'?")

    def test_an_unknown_kind(self):
        self.mistake('run: train', 'run: trian', "no stage kind 'trian'; did you mean 'train'?")

    def test_a_worker_as_a_stage(self):
        self.mistake('run: train', 'run: augment', 'augment is a worker, not a stage')

    def test_an_unknown_flag(self):
        self.mistake('with: {method', 'with: {epohcs: 3, method', "no flag --epohcs; did you mean 'epochs'?")

    def test_a_value_of_the_wrong_type(self):
        self.mistake('with: {method', 'with: {lr: fast, method', "lr: 'fast' is not a number")

    def test_a_fraction_for_a_count(self):
        self.mistake('augment: 1}', 'augment: 1.5}', "'augment' must be a whole number, not '1.5'")

    def test_a_value_that_is_not_a_choice(self):
        self.mistake('with: {method', 'with: {schedule: cosin, method', "schedule: 'cosin' is not one of cosine, constant",
                     "did you mean 'cosine'?")

    def test_a_missing_need(self):
        self.mistake('needs: [pretrain]', 'needs: [pretrian]', "needs 'pretrian', which is not in this file; did you mean 'pretrain'?")

    def test_a_circle(self):
        self.mistake('run: train\n    needs: [data]', 'run: train\n    needs: [data, linear]', 'in a circle: ',
                     'pretrain -> linear -> pretrain', below=1)

    def test_an_unknown_reference(self):
        self.mistake('weights: "${pretrain}', 'weights: "${pretrained}', "${pretrained} is unknown; did you mean 'pretrain'?")

    def test_a_reference_without_the_need(self):
        self.mistake('needs: [pretrain]\n    feed', 'needs: [data]\n    feed', 'uses ${pretrain} without needing it; add pretrain', below=2)

    def test_a_dataset_without_the_need(self):
        self.mistake('needs: [data]\n    feed', 'needs: []\n    feed', "which 'data' makes; add data to its needs", below=1)

    def test_no_feed(self):
        self.mistake('    feed: ' + FEED + '\n    with: {method', '    with: {method', "train needs images; add 'feed:", below=-2)

    def test_a_key_that_stands_twice(self):
        self.mistake('seed: 3\n', 'seed: 3\nseed: 4\n', "'seed' stands here twice", below=1)

    def test_stages_that_are_none(self):
        file = self.write('none.yaml', 'name: x\nstages: 3\n')
        self.assertEqual(self.tandem('validate', file, code=2),
                         f"tandem: error: {file}:2: 'stages' must be a mapping (key: value), not '3'\n")

    def test_broken_yaml(self):
        self.mistake('seed: 3\n', 'seed: [3\n', 'not valid YAML', below=1)

    def test_several_mistakes_come_together(self):
        file = self.write('bad.yaml', TINY.replace('epochs: 2', 'epohcs: 2, lr: x').replace('size: 32}', 'sise: 32}'))
        self.assertEqual(self.tandem('validate', file, code=2).count('tandem: error: '), 3)

    def test_a_bad_set(self):
        for words, expected in (('pretrian.lr=1', "no stage 'pretrian'; did you mean 'pretrain'?"), ('pretrain.lr', 'write it as'),
                                ('pretrain.lr=x', "--set pretrain.lr=x: stage 'pretrain': lr: 'x' is not a number"),
                                ('pretrain.feed.dekode=2', "unknown key 'dekode'; did you mean 'decode'?")):
            self.assertIn(expected, self.run_file('--set', words, code=2))

    def test_a_missing_file_and_a_wrong_command(self):
        self.assertIn('nothing.yaml: no such file', self.tandem('run', 'nothing.yaml', code=2))
        self.assertIn('--help lists what is valid', self.tandem('rnu', code=2))
        self.assertIn("no stage 'linaer'; did you mean 'linear'?", self.run_file('--only', 'linaer', code=2))


class Incremental(Case):
    """What runs, what is skipped, and the reasons given."""

    def expect(self, words, runs, *reasons):
        output = self.run_file(*words)
        verdicts = self.verdicts(output)
        self.assertEqual({n for n, v in verdicts.items() if v == 'runs'}, set(runs), output)
        for reason in reasons:
            self.assertIn(reason, output)
        return output

    def test_only_what_changed_runs(self):
        self.assertIn('data: would run: first time', self.run_file('--dry-run'))
        self.assertFalse(os.path.exists(self.run_folder), 'a dry run leaves nothing')
        self.expect([], ['data', 'pretrain', 'linear'])
        began = time.monotonic()
        self.expect([], [], 'linear: skipped: unchanged')
        self.assertLess(time.monotonic() - began, 10)

        # Neither worker counts nor a moved run folder change anything.
        self.expect(['--set', 'pretrain.feed.augment=3', '--set', 'pretrain.feed.decode=2'], [])
        moved = self.run_folder + '-moved'
        os.rename(self.run_folder, moved)
        self.run_folder = moved
        self.expect([], [])

        # Another flag runs the stage, and what reads its output where that is new.
        self.assertIn('linear: would run: if pretrain makes something new', self.run_file('--dry-run', '--set', 'pretrain.keep=1'))
        self.expect(['--set', 'pretrain.keep=1'], ['pretrain'], 'pretrain: runs: keep is now 1', 'linear: skipped: unchanged')
        self.expect(['--set', 'pretrain.keep=1', '--set', 'pretrain.lr=0.05'], ['pretrain', 'linear'], 'lr is now 0.05',
                    'weights has other content')

        # So does an output that is gone or not as it was; deleted checkpoints do not.
        settings = ['--set', 'pretrain.keep=1', '--set', 'pretrain.lr=0.05']
        for name in os.listdir(os.path.join(self.run_folder, 'pretrain')):
            if name.startswith('checkpoint-'):
                os.remove(os.path.join(self.run_folder, 'pretrain', name))
        self.expect(settings, [])
        os.remove(os.path.join(self.run_folder, 'linear', 'result.json'))
        self.expect(settings, ['linear'], 'its output linear/result.json is gone')
        with open(os.path.join(self.run_folder, 'pretrain', 'final.safetensors'), 'ab') as stream:
            stream.write(b'x')
        self.expect(settings, ['pretrain'], 'its output pretrain/final.safetensors was changed')

        # A part of the pipeline, by force, or again.
        self.expect([*settings, '--only', 'linear', '--force'], ['linear'], 'linear: runs: asked for')
        output = self.expect([*settings, '--from', 'pretrain'], [])
        self.assertNotIn('data:', output)
        output = self.tandem('rerun', self.file, 'data', '--run', self.run_folder, *settings)
        self.assertEqual(self.verdicts(output), {'data': 'runs', 'pretrain': 'skipped', 'linear': 'skipped'})

        status = self.tandem('status', '--run', self.run_folder)
        self.assertRegex(status, r'(?m)^pretrain +train +done .* images/s')
        self.assertIn('tandem-train', self.tandem('logs', 'pretrain', '--run', self.run_folder))
        self.assertIn("did you mean 'linear'?", self.tandem('logs', 'liner', '--run', self.run_folder, code=1))
        self.report_is_complete()

    def report_is_complete(self):
        os.remove(os.path.join(self.run_folder, 'report.html'))
        self.tandem('report', '--run', self.run_folder)
        page = read(self.run_folder, 'report.html').decode()
        for words in ('Linear accuracy', 'class="total"', 'data:image/png;base64,', 'pretrain', 'images/s'):
            self.assertTrue(words in page, f'the report lacks {words}')
        self.assertEqual(re.findall(r'(?:src|href)="(?!data:)[^"]*"', page), [], 'the report must need no other file')

    def test_sources_count_by_content(self):
        source = os.path.join(self.folder, 'source')
        for split, name in (('train', 'a'), ('train', 'b'), ('test', 'a'), ('test', 'b')):
            folder = os.path.join(source, split, name)
            os.makedirs(folder)
            with open(os.path.join(folder, 'x.png'), 'wb') as stream:
                stream.write(png())
        self.file = self.write('folder.yaml', 'name: folder\nstages:\n  data: {run: ingest, with: {format: folder, in: nowhere}}\n')
        words = ['--set', f'data.in={source}']
        self.expect(words, ['data'])
        os.utime(os.path.join(source, 'train', 'a', 'x.png'))
        self.expect(words, [])
        os.rename(source, source + '-moved')
        self.expect(['--set', f'data.in={source}-moved'], [])
        with open(os.path.join(source + '-moved', 'train', 'a', 'y.png'), 'wb') as stream:
            stream.write(png())
        self.expect(['--set', f'data.in={source}-moved'], ['data'], 'in has other content')

    def test_copies_for_seeds(self):
        text = TINY.replace('  linear:', '    seeds: [1, 2]\n  linear:')
        output = self.tandem('validate', self.write('seeds.yaml', text))
        self.assertIn('data, pretrain-1, pretrain-2, linear-1, linear-2', output)
        self.file = self.write('seeds.yaml', text)
        self.run_file('--set', 'pretrain.epochs=1')
        first, second = (read(self.run_folder, f'pretrain-{s}', 'final.safetensors') for s in (1, 2))
        self.assertNotEqual(first, second)
        self.assertIn('2 seeds', read(self.run_folder, 'report.html').decode())
        log = read(self.run_folder, 'linear-2', 'logs', 'linear.log').decode()
        self.assertIn('pretrain-2/final.safetensors', log)
        self.expect(['--set', 'pretrain.epochs=1', '--set', 'pretrain.seeds=[1]'], [])


class Faults(Case):
    """Kills and stops. `long` trains for a few seconds, with a checkpoint after every epoch of four steps."""

    long = ['--set', 'pretrain.epochs=20']

    def undisturbed(self):
        """(weights, ledger) of a run that nothing happened to; computed once."""
        if not hasattr(Faults, 'reference'):
            folder = os.path.join(self.folder, 'reference')
            self.run_file(*self.long, '--only', 'data', folder=folder)
            self.run_file(*self.long, '--only', 'pretrain', folder=folder)
            Faults.reference = self.result(folder)
        return Faults.reference

    def result(self, folder):
        return [read(folder, 'pretrain', name) for name in ('final.safetensors', 'ledger.jsonl', 'metrics.jsonl')]

    def train(self):
        """A supervisor whose training has reached its first checkpoint."""
        self.run_file(*self.long, '--only', 'data')
        process = self.start(*self.long, '--only', 'pretrain')
        until(lambda: self.checkpointed('pretrain') or process.poll() is not None, 'the first checkpoint')
        self.assertIsNone(process.poll(), 'training ended before it could be disturbed')
        return process

    def finish(self, process, code=0):
        output, _ = process.communicate(timeout=WAIT_S)
        self.assertEqual(process.returncode, code, output)
        return output

    def nothing_left(self, children):
        until(lambda: not any(map(alive, children)), 'the children to end', 15)
        self.assertEqual(self.state()['children'], [])

    def pids(self):
        return [c['pid'] for c in self.state()['children']]

    def test_killed_workers_are_started_again(self):
        process = self.train()
        for name in ('pretrain/augment-1', 'pretrain/decode-1'):
            os.kill(self.child(name), signal.SIGKILL)
        output = self.finish(process)
        self.assertIn('pretrain/augment-1 was ended by SIGKILL; starting it again', output)
        self.assertIn('pretrain/decode-1 was ended by SIGKILL; starting it again', output)
        self.assertEqual(self.result(self.run_folder), self.undisturbed())

    def test_a_killed_trainer_is_resumed_to_the_same_bytes(self):
        process = self.train()
        os.kill(self.child('pretrain'), signal.SIGKILL)
        self.assertIn('resuming from its last checkpoint (1 of 3)', self.finish(process))
        self.assertEqual(self.result(self.run_folder), self.undisturbed())

    def test_a_trainer_that_keeps_dying_is_given_up(self):
        process = self.train()
        for _ in range(4):
            pid = until(lambda: self.child('pretrain'), 'the trainer to run')
            os.kill(pid, signal.SIGKILL)
            until(lambda: not alive(pid), 'the trainer to end')
        children = self.pids()
        output = self.finish(process, code=1)
        self.assertRegex(output, r"stage 'pretrain' was ended by SIGKILL, after 3 restarts: .*\(log: .*train\.log\)")
        self.nothing_left(children)

    def test_ctrl_c_leaves_no_process_and_the_next_run_goes_on(self):
        process = self.train()
        children = self.pids()
        self.assertEqual(len(children), 3)
        process.send_signal(signal.SIGINT)
        self.finish(process, code=130)
        self.nothing_left(children)
        self.assertRegex(self.tandem('status', '--run', self.run_folder), r'(?m)^pretrain +train +interrupted')
        self.assertIn('pretrain: runs: interrupted last time', self.run_file(*self.long, '--only', 'pretrain'))
        self.assertEqual(self.result(self.run_folder), self.undisturbed())

    def test_the_supervisor_killed_and_run_again(self):
        process = self.train()
        children = self.pids()
        process.kill()
        process.wait()
        output = self.run_file(*self.long, '--from', 'data', '--only', 'pretrain')
        self.assertIn('pretrain: runs: interrupted last time', output)
        self.nothing_left(children)
        self.assertEqual(self.result(self.run_folder), self.undisturbed())
        self.assertEqual(self.verdicts(self.run_file(*self.long, '--only', 'data')), {'data': 'skipped'})

    def test_a_leftover_child_is_ended(self):
        """A child that cannot follow its supervisor, because it is stopped."""
        process = self.train()
        trainer = self.child('pretrain')
        os.kill(trainer, signal.SIGSTOP)
        process.kill()
        process.wait()
        self.assertTrue(alive(trainer))
        output = self.run_file(*self.long, '--only', 'pretrain')
        # its workers may be on their way out still, and are then named beside it
        self.assertRegex(output, r'(?m)^ended pretrain(, pretrain/\S+)*, left by a supervisor that was killed$')
        self.assertFalse(alive(trainer))
        self.assertEqual(self.result(self.run_folder), self.undisturbed())

    def test_one_supervisor_per_run_folder_and_stop(self):
        process = self.train()
        children = self.pids()
        self.assertIn('another supervisor (process', self.run_file(*self.long, code=1))
        self.assertIn('stopping supervisor', self.tandem('stop', '--run', self.run_folder))
        self.finish(process, code=130)
        self.nothing_left(children)
        self.assertIn('nobody at work', self.tandem('stop', '--run', self.run_folder))

    def test_an_error_of_a_stage_is_shown_and_final(self):
        text = self.run_file('--set', 'pretrain.batch=7', code=1)
        self.assertRegex(text, r"stage 'pretrain' failed: tandem-train: error: .*batch.* \(log: .*train\.log\)")
        self.assertEqual(self.state()['children'], [])
        self.assertEqual(self.verdicts(self.run_file()), {'data': 'skipped', 'pretrain': 'runs', 'linear': 'runs'})

    def test_a_port_in_use(self):
        with socket.socket() as taken:
            taken.bind(('127.0.0.1', 0))
            taken.listen()
            port = taken.getsockname()[1]
            text = self.run_file('--set', f'pretrain.feed.listen=tcp://127.0.0.1:{port}', code=1)
        self.assertIn(str(port), text)
        self.assertEqual(len(text.strip().splitlines()), 1, text)

    def test_a_full_disk_is_one_line(self):
        for limit in (0, 400, 4000, 30000):  # a limit on the size of files answers like a full disk, at different moments
            with self.subTest(limit):
                done = subprocess.run([TANDEM, 'run', self.file, '--run', self.run_folder], capture_output=True, text=True,
                                      timeout=WAIT_S, stdin=subprocess.DEVNULL,
                                      preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY)))
                self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
                self.assertRegex(done.stderr, r'\Atandem: error: .*(ile too large|No space left).*\n\Z')
        self.run_file('--only', 'data')

    def test_a_folder_that_is_not_ours_is_left_alone(self):
        os.makedirs(os.path.join(self.run_folder, 'pretrain'))
        mine = self.write(os.path.join('run', 'pretrain', 'letters.txt'), 'dear ...')
        self.assertIn('was not made by this pipeline', self.run_file(code=1))
        self.assertTrue(os.path.exists(mine))


if __name__ == '__main__':
    unittest.main()
