"""Fault tests 12 and 13: JPEGs with bytes changed or cut off, and ingests that are killed or run out of disk at random moments.
Every bad file is named; a dataset is the old one or the new one."""
import json
import os
import resource
import signal
import subprocess
import time
import unittest

from chaos import LONG, ChaosTest
from harness import ROOT, program

INGEST = program('ingest')
ROUNDS = 40 if LONG else 6


class Ingest(ChaosTest):
    images = None

    def run_ingest(self, *flags, **options):
        return subprocess.run([INGEST, *(str(f) for f in flags)], cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=300, **options)

    def photographs(self, n, spoilt=()):
        """A folder of n JPEGs with the rows of noise that make each different; returns the names of those cut short."""
        whole = [open(f'{ROOT}/tests/fuzz/corpus/jpeg/{name}', 'rb').read() for name in ('rgb', 'grey', 'restart', 'progressive')]
        os.makedirs(self.path('photos/a'), exist_ok=True)
        cut = []
        for i in range(n):
            data = whole[i % len(whole)]
            if i in spoilt:
                data = data[:self.pick.randrange(4, len(data) // 2)]
                cut.append(f'{i:04d}.jpg')
            with open(self.path(f'photos/a/{i:04d}.jpg'), 'wb') as f:
                f.write(data)
        return cut

    def identity(self, path='x.lmdb'):
        """Fingerprint of a dataset whose every record is intact."""
        done = self.run_ingest('info', path, '--verify', '--json')
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)['fingerprint']

    def test_12_every_cut_jpeg_is_named(self):
        for flags in ((), ('--restart',), ('--short-side', 8)):
            with self.subTest(flags=flags):
                cut = self.photographs(60, set(self.pick.sample(range(60), 7)))
                done = self.run_ingest('--format', 'folder', '--in', 'photos', '--out', 'x.lmdb', *flags)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertFalse(os.path.exists(self.path('x.lmdb')))
                done = self.run_ingest('--format', 'folder', '--in', 'photos', '--out', 'x.lmdb', '--skip-bad', *flags)
                self.assertEqual(done.returncode, 0, done.stderr)
                for name in cut:
                    self.assertIn(name, done.stderr)
                self.identity()
                os.remove(self.path('x.lmdb'))

    def test_13_killed_at_random_it_leaves_the_old_or_the_new_one(self):
        self.photographs(600)
        flags = ('--format', 'folder', '--in', 'photos', '--restart')
        for out in ('old.lmdb', 'new.lmdb'):
            self.assertEqual(self.run_ingest(*flags, '--out', out, *(('--short-side', 8) if out[0] == 'n' else ())).returncode, 0)
        old, new = self.identity('old.lmdb'), self.identity('new.lmdb')
        self.assertNotEqual(old, new)
        began = time.monotonic()
        self.assertEqual(self.run_ingest(*flags, '--out', 'x.lmdb').returncode, 0)
        takes = time.monotonic() - began
        for _ in range(ROUNDS):
            p = self.start([INGEST, *flags, '--short-side', 8, '--out', 'x.lmdb', '--replace'], 'ingest')
            after = self.pick.uniform(0, 1.2 * takes)
            self.note(f'kill after {after:.3f} s')
            time.sleep(after)
            p.send(signal.SIGKILL)
            p.child.wait()
            self.assertIn(self.identity(), (old, new), self.history)

    def test_13_a_disk_that_fills_at_random_leaves_the_old_one(self):
        self.photographs(300)
        flags = ('--format', 'folder', '--in', 'photos', '--out', 'x.lmdb')
        self.assertEqual(self.run_ingest(*flags).returncode, 0)
        old, size = self.identity(), os.path.getsize(self.path('x.lmdb'))
        for _ in range(ROUNDS):
            limit = self.pick.randrange(0, size // 2)
            self.note(f'full after {limit} bytes')
            done = self.run_ingest(*flags, '--restart', '--replace',
                                   preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
            self.assertEqual(done.returncode, 1, f'{done.stderr} {self.history}')
            self.assertEqual(self.identity(), old, self.history)


if __name__ == '__main__':
    unittest.main()
