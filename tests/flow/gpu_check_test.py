"""gpu-check where there is no GPU, and the bundle that it travels in, unpacked into an empty environment."""
import ctypes
import json
import os
import shutil
import subprocess
import unittest

from harness import BUILD, ROOT, FlowTest

EMPTY = {'PATH': '/usr/bin:/bin'}
HAS_NVCC = shutil.which('nvcc') and os.environ.get('CUDA') != '0'


def has_driver():
    try:
        return ctypes.CDLL('libcuda.so.1') is not None
    except OSError:
        return False


def execute(*command, **more):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=1800, **more)


class GpuCheck(FlowTest):
    def unpacked(self, archive):
        done = execute('tar', '-xf', archive, '-C', self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        return self.path('tandem-gpu')

    def bundle(self, *programs):
        archive = self.path('tandem-gpu.tar.xz')
        done = execute(f'{ROOT}/scripts/gpu-bundle', archive, BUILD, *programs)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return self.unpacked(archive)

    def check(self, root, *flags):
        """gpu-check's exit status, output and results."""
        out = self.path('results')
        done = execute('python3', f'{root}/scripts/gpu-check', '--out', out, *flags, env=EMPTY, cwd=self.folder)
        self.assertTrue(os.path.getsize(f'{out}/gpu-check.log'))
        with open(f'{out}/gpu-check.json') as f:
            return done.returncode, done.stdout + done.stderr, json.load(f)['parts']

    @unittest.skipIf(has_driver(), 'this machine has a GPU')
    def test_without_a_gpu_it_says_what_is_missing(self):
        done = execute('python3', f'{ROOT}/scripts/gpu-check', '--out', self.path('results'), env=EMPTY)
        self.assertEqual(done.returncode, 3)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
        self.assertIn('libcuda.so.1', done.stderr)

    def test_a_bundle_runs_in_an_empty_environment(self):
        status, said, parts = self.check(self.bundle('bin/tandem-ingest'), '--host', '--only', 'ingest')
        self.assertEqual((status, parts['ingest']['verdict']), (0, 'passed'), said)

    def test_a_part_that_fails_stops_no_other(self):
        status, said, parts = self.check(self.bundle('bin/tandem-ingest'), '--host')
        self.assertEqual(status, 1, said)
        self.assertEqual({name: parts[name]['verdict'] for name in ('steps', 'ingest')}, {'steps': 'failed', 'ingest': 'passed'}, said)
        self.assertIn('steps', said)

    def test_what_no_time_is_left_for_is_said(self):
        status, said, parts = self.check(self.bundle('bin/tandem-ingest'), '--host', '--only', 'ingest', '--limit-s', 0)
        self.assertEqual((status, parts['ingest']['verdict']), (1, 'not run'), said)
        self.assertIn('--only ingest', said)

    @unittest.skipUnless(HAS_NVCC, 'no nvcc (or CUDA=0)')
    def test_the_whole_bundle_brings_all_but_cuda(self):
        done = execute('make', '-s', '-C', ROOT, 'gpu-bundle')
        self.assertEqual(done.returncode, 0, done.stderr)
        root = self.unpacked(f'{ROOT}/build/gpu/tandem-gpu.tar.xz')
        status, said, parts = self.check(root, '--host')
        self.assertEqual(status, 0, said)
        self.assertIn('programs start; cuda: step: error: ', parts['starts']['note'])


if __name__ == '__main__':
    unittest.main()
