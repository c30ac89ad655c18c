"""`tandem ledger diff`: where two runs part, and what that says."""
import json
import os
import subprocess
import tempfile
import unittest

from harness import ROOT, FlowTest, shapes


def line(step, images=64, **digests):
    return {'step': step, 'images': images, 'tickets': f'{step:016x}', 'pixels': f'{step * 7:016x}', 'labels': f'{step * 5:016x}', **digests}


class Diff(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(dir='.')

    def write(self, name, steps, tail='', settings=None):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8') as stream:
            stream.write(''.join(json.dumps(s) + '\n' for s in steps) + tail)
        if settings:
            with open(os.path.join(os.path.dirname(path), 'result.json'), 'w', encoding='utf-8') as stream:
                json.dump({'settings': settings}, stream)
        return path

    def diff(self, a, b, code):
        done = subprocess.run([f'{ROOT}/scripts/tandem', 'ledger', 'diff', a, b], capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertEqual(bool(done.stderr), code == 2, done.stderr)
        return done.stdout + done.stderr

    def differ(self, change, *expected):
        steps = [line(i) for i in range(10)]
        a = self.write('a', steps)
        steps[6] = line(6, **change)
        steps[8] = line(8, **change)
        text = self.diff(a, self.write('b', steps), 1)
        self.assertIn('step 6 differs first', text)
        self.assertIn('(2 of 10 common steps differ)', text)
        for words in expected:
            self.assertIn(words, text)
        return text

    def test_equal(self):
        steps = [line(i) for i in range(10)]
        self.assertEqual(self.diff(self.write('a', steps), self.write('b', steps), 0), 'equal: 10 steps\n')

    def test_other_pixels_of_the_same_tickets(self):
        text = self.differ({'pixels': 'f' * 16}, 'differs first: pixels', 'a: pixels 000000000000002a', 'b: pixels ffffffffffffffff',
                           'the same batches were asked for, and other pixels came')
        self.assertNotIn('labels', text)

    def test_other_labels(self):
        self.differ({'labels': 'f' * 16}, 'differs first: labels', 'other labels or transformation parameters came')
        self.differ({'labels': 'f' * 16, 'pixels': '0' * 16}, 'differs first: pixels and labels', 'other pixels and labels came')

    def test_other_batches(self):
        self.differ({'tickets': 'f' * 16, 'pixels': 'e' * 16}, 'first: tickets and pixels', 'other batches were asked for')
        self.differ({'images': 32}, 'first: images', 'other batches were asked for')

    def test_settings_that_differ_are_named(self):
        a = self.write('x/pretrain/ledger.jsonl', [line(0)], settings={'seed': 3, 'batch': 64, 'policy': {'a' * 99: 1}})
        b = self.write('y/pretrain/ledger.jsonl', [line(0, tickets='a' * 16)], settings={'seed': 4, 'batch': 64, 'policy': {'b' * 99: 1}})
        text = self.diff(os.path.dirname(a), os.path.dirname(b), 1)
        self.assertIn('their result.json: seed 3 and 4, policy {"aaaa', text)
        self.assertNotIn('batch 64', text)

    def test_missing_steps(self):
        whole = self.write('a', [line(i) for i in range(10)])
        self.assertRegex(self.diff(whole, self.write('b', [line(i) for i in range(6)]), 1),
                         r'^step 6 is missing first: .*/b ends before it, .*/a goes on to step 9; up to there they are equal \(6 steps\)')
        self.assertRegex(self.diff(self.write('b', [line(i) for i in range(10) if i not in (2, 3)]), whole, 1),
                         r'^step 2 is missing first: .*/b goes on with step 4')
        self.assertRegex(self.diff(self.write('b', []), whole, 1), '^step 0 is missing first: .*/b ends before it, .*; it has no step')

    def test_a_torn_last_line_does_not_count(self):
        a = self.write('a', [line(i) for i in range(9)], tail=json.dumps(line(9))[:40])
        text = self.diff(a, self.write('b', [line(i) for i in range(9)]), 0)
        self.assertIn('equal: 9 steps\n', text)
        self.assertIn('the last line of ' + a + ' is torn', text)
        self.assertIn('step 9 is missing first', self.diff(a, self.write('b', [line(i) for i in range(10)]), 1))

    def test_folders(self):
        for run, pixels in (('x', '0' * 16), ('y', '1' * 16)):
            self.write(f'{run}/stl/ledger.jsonl', [line(0)])
            self.write(f'{run}/simclr/ledger.jsonl', [line(0, pixels=pixels)])
        x, y = (os.path.join(self.folder, run) for run in 'xy')
        self.assertEqual(self.diff(x, x, 0), 'simclr: equal: 1 step\nstl: equal: 1 step\n')
        text = self.diff(x, y, 1)
        self.assertIn('simclr: step 0 differs first: pixels', text)
        self.assertIn('stl: equal: 1 step', text)
        self.assertIn('several stages have a ledger there (simclr, stl); name one', self.diff(x, os.path.join(y, 'stl'), 2))
        self.write('y/byol/ledger.jsonl', [line(0)])
        self.assertIn(f'byol: only {y} has a ledger of this stage', self.diff(x, y, 1))

    def test_what_is_no_ledger(self):
        good = self.write('a', [line(0)])
        for text, expected in (('hello\n', 'line 1 is not a ledger line'), ('{"step": 0}\n', 'line 1 is not'), ('[]\n', 'line 1 is not'),
                               (json.dumps(line(0, pixels='xyz')) + '\n', 'line 1 is not'),
                               (json.dumps(line(1)) + '\n' + json.dumps(line(1)) + '\n', 'line 2: step 1 comes after step 1'),
                               ('\xff\xfe\n', 'line 1 is not'), ('[' * 100000 + '\n', 'line 1 is not')):
            with self.subTest(text):
                with open(os.path.join(self.folder, 'bad'), 'w', encoding='latin-1') as stream:
                    stream.write(text)
                said = self.diff(good, os.path.join(self.folder, 'bad'), 2)
                self.assertIn(expected, said)
                self.assertEqual(len(said.splitlines()), 1)
        os.makedirs(os.path.join(self.folder, 'empty'))
        self.assertIn('no ledger there', self.diff(good, os.path.join(self.folder, 'empty'), 2))
        self.assertIn('no such file', self.diff(good, os.path.join(self.folder, 'nothing'), 2))
        self.assertIn('--help lists what is valid', self.diff(good, '--nothing', 2))


class RealLedgers(FlowTest):
    def test_of_runs_with_other_workers_and_another_seed(self):
        data = shapes(self.path('shapes.lmdb'))
        for name, options in (('a', {}), ('b', {}), ('c', {'seed': 8})):
            consumer = self.count(data, steps=10, ledger=name, listen=self.listen(name), **options)
            workers = [self.decode(data, connect=self.listen(name)) for _ in range(2 if name == 'b' else 1)]
            workers.append(self.augment(self.listen(name)))
            self.finish(consumer)
            for w in workers:
                w.stop()
        for name, code, says in (('b', 0, 'equal: 10 steps\n'), ('c', 1, 'step 0 differs first: tickets, pixels and labels')):
            done = subprocess.run([f'{ROOT}/scripts/tandem', 'ledger', 'diff', self.path('a'), self.path(name)], capture_output=True, text=True)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(says, done.stdout)


if __name__ == '__main__':
    unittest.main()
