"""`tandem scale` while a pipeline runs: workers come and go, and nothing that was computed changes."""
import json
import os
import signal
import unittest

from pipeline_case import LongCase, alive, read, until


class Scale(LongCase):
    def scale(self, *words, code=0):
        return self.tandem('scale', *words, '--run', self.run_folder, code=code)

    def workers(self):
        return sorted(c['name'].partition('/')[2] for c in self.state()['children'] if '/' in c['name'] and alive(c['pid']))

    def test_workers_come_and_go_and_the_ledger_stays(self):
        process = self.train()
        self.assertEqual(self.scale('pretrain', '3'), 'pretrain: 3 augment (was 1)\n')
        until(lambda: self.workers() == ['augment-1', 'augment-2', 'augment-3', 'decode-1'], 'two more')
        gone = self.child('pretrain/augment-3')
        self.assertEqual(self.scale('pretrain', '--decode', '2', '--augment', '2'), 'pretrain: 2 augment (was 3), 2 decode (was 1)\n')
        until(lambda: self.workers() == ['augment-1', 'augment-2', 'decode-1', 'decode-2'] and not alive(gone), 'one less')
        os.kill(self.child('pretrain/augment-2'), signal.SIGKILL)  # started again: the new number holds
        until(lambda: self.workers() == ['augment-1', 'augment-2', 'decode-1', 'decode-2'], 'it to be started again')
        os.kill(self.child('pretrain'), signal.SIGKILL)  # the workers serve the trainer that is resumed
        output = self.finish(process)
        self.assertIn('pretrain: scaled to 3 augment (was 1)', output)
        self.assertNotIn('augment-3 was ended', output)
        self.assertEqual(self.result(self.run_folder), self.undisturbed())
        self.assertNotIn('control', self.state())
        self.assertIn('pretrain: skipped: unchanged', self.run_file(*self.long, '--only', 'pretrain'))

    def test_a_number_holds_until_the_stage_has_finished(self):
        """Also past a supervisor that was killed: what it left is ended, the next has as many workers."""
        process = self.train()
        self.scale('pretrain', '2')
        children = until(lambda: len(self.workers()) == 3 and self.pids(), 'the second worker')
        process.kill()
        process.wait()
        self.assertIn('nobody at work', self.scale('pretrain', '4', code=1))
        process = self.start(*self.long, '--only', 'pretrain')
        until(lambda: 'augment-2' in self.workers() and not set(children) & set(self.pids()), 'two workers again')
        self.finish(process)
        self.nothing_left(children)
        self.assertEqual(self.result(self.run_folder), self.undisturbed())
        self.assertEqual(self.state()['scaled'], {})

    def test_other_counts_in_the_file_are_newer(self):
        process = self.train()
        self.scale('pretrain', '4')
        self.assertEqual(self.state()['scaled']['pretrain']['counts'], {'decode': 1, 'augment': 4})
        self.tandem('stop', '--run', self.run_folder)
        self.finish(process, code=130)
        third = os.path.join('pretrain', 'logs', 'augment-3.log')
        before = read(self.run_folder, third)
        self.finish(self.start(*self.long, '--only', 'pretrain', '--set', 'pretrain.feed.augment=2'))
        self.assertEqual(read(self.run_folder, third), before, 'a third worker was started')
        self.assertEqual(self.result(self.run_folder), self.undisturbed())

    def test_threads_and_instruction_sets_reach_the_workers_and_the_ledger_stays(self):
        process = self.train('--set', 'pretrain.feed.threads=3', '--set', 'pretrain.feed.isa=scalar')
        for worker in ('decode-1', 'augment-1'):
            pid = until(lambda: self.child(f'pretrain/{worker}'), worker)
            flags = read('/proc', str(pid), 'cmdline').decode().split('\0')
            for flag, value in (('--threads', '3'), ('--isa', 'scalar')):
                self.assertEqual(flags[flags.index(flag) + 1], value)
        self.go_on()
        self.finish(process)
        self.assertEqual(self.result(self.run_folder), self.undisturbed())

    def test_a_stage_without_a_worker_says_so_and_takes_one(self):
        self.run_file('--only', 'data')
        process = self.start('--only', 'pretrain', '--set', 'pretrain.feed.augment=0')

        def status():
            text = self.tandem('status', '--run', self.run_folder)
            return text if 'bottleneck' in text else None
        text = until(status, 'what holds it up')
        self.assertRegex(text, r'(?m)^pretrain +train +running .* waits for an augment worker$')
        self.assertIn('too few workers: no augment worker is there; scripts/tandem scale pretrain --augment 1', text)
        self.scale('pretrain', '--augment', '1')
        self.finish(process)

    def test_mistakes_are_one_line(self):
        process = self.train()
        for words, expected, code in ((['pretrian', '2'], "no stage 'pretrian'; did you mean 'pretrain'?", 1),
                                      (['data', '2'], 'has no workers: ingest takes no feed', 1), (['linear', '2'], 'when it starts', 0),
                                      (['pretrain'], 'say how many', 2), (['pretrain', '1', '--augment', '2'], 'say how many', 2),
                                      (['pretrain', '-1'], '', 2), (['pretrain', 'x'], "'x' is not a number of workers", 2),
                                      (['pretrain', '1025'], 'from 0 to 1024', 2)):
            with self.subTest(words):
                text = self.scale(*words, code=code)
                self.assertIn(expected, text)
                self.assertEqual(len(text.splitlines()), 1, text)
        self.go_on()
        self.finish(process)
        self.assertIn('nobody at work', self.scale('pretrain', '2', code=1))


if __name__ == '__main__':
    unittest.main()
