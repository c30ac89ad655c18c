"""The same bytes with every instruction set of this CPU, with what the C library takes for another CPU, and with any
number of threads per worker. The oracle is the ledger of plain code on one thread."""
import os
import re
import subprocess
import tempfile
import unittest
from unittest import mock

from harness import FlowTest, damaged, program, shapes

STEPS = 12
FOREIGN = 'neon' if os.uname().machine == 'x86_64' else 'avx2'


def setUpModule():
    global folder, DATA, SETS
    folder = tempfile.TemporaryDirectory(prefix='tandem-isa-')
    DATA = shapes(f'{folder.name}/shapes.lmdb')
    SETS = usable()


def tearDownModule():
    folder.cleanup()


def refusal(isa):
    """What a worker says that is to use an instruction set this CPU lacks."""
    command = [program('decode'), '--connect', f'ipc://{folder.name}/none.sock', '--dataset', DATA, '--isa', isa]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


def usable():
    return re.search(r'this CPU has ([a-z0-9, ]+);', refusal(FOREIGN)[1])[1].split(', ')


class InstructionSets(FlowTest):
    def run_with(self, name, decode=(), augment=(), count=(), dataset=None, **options):
        """The ledger of a run whose processes have these flags."""
        connect = self.listen(name)
        consumer = self.count(dataset or DATA, *count, ledger=name, steps=STEPS, listen=connect, policy='imagenet', **options)
        workers = [self.decode(dataset or DATA, *decode, connect=connect), self.augment(connect, *augment)]
        self.finish(consumer)
        for w in workers:
            self.assertEqual(w.stop(), 0, w.log())
        return self.ledger(name)

    def reference(self):
        return self.run_with('reference', ('--isa', 'scalar'), ('--isa', 'scalar'), ('--isa', 'scalar'), size=48)

    def test_every_instruction_set_gives_the_same_ledger(self):
        expected = self.reference()
        self.assertEqual(len(expected), STEPS)
        for isa in SETS[1:]:
            flags = '--isa', isa
            self.assertEqual(self.run_with(isa, flags, flags, flags, size=48), expected, isa)
        self.assertEqual(self.run_with('mixed', ('--isa', SETS[-1]), ('--isa', SETS[0]), size=48), expected)

    def test_another_cpu_for_the_c_library_gives_the_same_ledger(self):
        expected = self.reference()
        masks = 'glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX2,-AVX2_Usable,-FMA,-FMA_Usable,-FMA4,-AVX,-ERMS'
        with mock.patch.dict(os.environ, GLIBC_TUNABLES=masks):
            self.assertNotIn('avx2', usable())
            self.assertEqual(self.run_with('masked', size=48), expected)

    def test_any_number_of_threads_gives_the_same_ledger(self):
        expected = self.reference()
        for threads in (2, 5):
            flags = '--threads', threads
            self.assertEqual(self.run_with(f'threads-{threads}', flags, flags, size=48), expected, threads)

    def test_threads_report_the_same_damage(self):
        bad = damaged(DATA, self.path('damaged.lmdb'))
        said = []
        for threads in (1, 4):
            connect = self.listen(f'damaged-{threads}')
            consumer = self.count(bad, '--no-shuffle', listen=connect, steps=STEPS)
            decode = self.decode(bad, '--threads', threads, connect=connect)
            self.augment(connect, '--threads', threads)
            self.assertEqual(consumer.wait(120), 1, consumer.log())
            said.append(dict(re.findall(r'(step \d+, shard \d+): (.*sample \d+.*)', decode.log())))
        both = set(said[0]) & set(said[1])  # which other shards were tried is chance
        self.assertTrue(both, said)
        for shard in both:
            self.assertEqual(said[0][shard], said[1][shard])

    def test_what_the_cpu_lacks_is_refused(self):
        status, message = refusal(FOREIGN)
        self.assertEqual(status, 2)
        self.assertEqual(len(message.strip().splitlines()), 1, message)
        for word in (f'--isa {FOREIGN}', 'scalar', 'auto'):
            self.assertIn(word, message)

    def test_impossible_numbers_of_threads_are_refused(self):
        for threads in ('0', '-1', '1000'):
            for role in (self.augment(None, '--threads', threads), self.decode(DATA, '--threads', threads)):
                self.assertEqual(role.wait(60), 2)
                self.assertIn('--threads', role.log())


if __name__ == '__main__':
    unittest.main()
