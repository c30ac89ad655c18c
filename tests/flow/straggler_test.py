"""Workers that are late, that swallow shards, and that a shard ends: hedges, late duplicates, and when to give up."""
import tempfile
import unittest

import msgpack

from harness import FlowTest, shapes
from tap import Tap

STEPS = 30


def setUpModule():
    global folder, DATA
    folder = tempfile.TemporaryDirectory(prefix='tandem-stragglers-')
    DATA = shapes(f'{folder.name}/shapes.lmdb')


def tearDownModule():
    folder.cleanup()


def place(frames):
    body = msgpack.unpackb(frames[1])
    return body['step'], body['shard']


class Stragglers(FlowTest):
    shared_memory = False

    def consumer(self, **options):
        return self.count(DATA, ledger='ledger', steps=STEPS, **options)

    def check(self):
        """The ledger is that of an undisturbed run."""
        name = 'reference'
        workers = [self.decode(DATA, connect=self.listen(name)), self.augment(self.listen(name))]
        self.finish(self.count(DATA, ledger=name, steps=STEPS, listen=self.listen(name)))
        for w in workers:
            self.assertEqual(w.stop(), 0, w.log())
        self.assertEqual(self.ledger('ledger'), self.ledger(name))

    def tap(self, name='tap', **options):
        tap = Tap(self.listen(name), self.listen(), **options)
        self.addCleanup(tap.stop)
        return tap

    # --- Late ---

    def test_what_a_worker_swallows_comes_from_another(self):
        """One augment worker's results vanish, and it is not silent. --lease-ms is longer than the test may take: the pace of
        the run brings the shards, and not to the worker that has them."""
        swallowed = []

        def swallow(head, frames):
            if head['kind'] == 'augmented' and place(frames)[0] >= 5:
                swallowed.append(place(frames))
                return []
            return [frames]

        self.tap(change=swallow)
        consumer = self.consumer(lease_ms=600000)
        self.decode(DATA)
        self.augment(self.listen('tap'))
        self.until(lambda: swallowed, 'a swallowed shard')
        self.augment()
        line = self.finish(consumer)
        self.assertGreaterEqual(line['reissued'], len(set(swallowed)) - 4, line)  # what was in its hands at the end
        self.check()

    def late(self, change):
        """A run in which the first result of step 10 is held back until step 10 is long consumed; another makes it meanwhile."""
        held = []

        def hold(head, frames):
            if head['kind'] != 'augmented':
                return [frames]
            if place(frames)[0] == 10 and not held:
                held.append(frames)
                return []
            if place(frames)[0] >= 14 and len(held) == 1:  # the window is of three steps
                held.append(None)
                return [frames, change(held[0])]
            return [frames]

        self.tap(change=hold)
        consumer = self.consumer()
        self.decode(DATA)
        for _ in range(2):
            self.augment(self.listen('tap'))
        return consumer

    def test_a_late_duplicate_of_a_consumed_step_is_compared(self):
        line = self.finish(self.late(lambda frames: frames))
        self.assertGreaterEqual(line['duplicates'], 1)
        self.check()

    def test_a_late_duplicate_that_differs_stops_the_run_and_names_both_workers(self):
        consumer = self.late(lambda f: [f[0], f[1], bytes([f[2][0] ^ 1]) + f[2][1:], f[3]])
        self.assertEqual(consumer.wait(), 1)
        self.assertRegex(consumer.log().splitlines()[-1],
                         r'step 10, shard \d+ came back twice with different bytes, first from worker \S+:\d+:\w+, then from '
                         r'\S+:\d+:\w+: ')

    # --- Deadly ---

    def deadly_run(self, role, times):
        """A run in which whoever gets shard 1 of step 5 dies, so many times; the dead are replaced. Returns the consumer and how many."""
        killed, kind = set(), {'decode': 'ticket', 'augment': 'decoded'}[role]
        self.tap(deadly=lambda head, frames: head['kind'] == kind and place(frames) == (5, 1) and len(killed) < times,
                 killed=killed, second=role == 'augment')
        consumer = self.consumer()
        make = {'decode': lambda: self.decode(DATA, connect=self.listen('tap')), 'augment': self.augment}
        workers = [(kind, make[kind]()) for kind in ('decode', 'decode', 'augment', 'augment')]

        def over():
            for i, (kind, worker) in enumerate(workers):
                if not worker.running():
                    workers[i] = (kind, make[kind]())
            return not consumer.running()

        self.until(over, 'the consumer ends', 120)
        return consumer, len(killed)

    def test_a_shard_that_ends_five_workers_stops_the_run_and_names_its_samples(self):
        for role in ('decode', 'augment'):
            with self.subTest(role):
                consumer, deaths = self.deadly_run(role, 1000)
                self.assertEqual(consumer.wait(), 1)
                self.assertRegex(consumer.log().splitlines()[-1],
                                 r'step 5, shard 1: 5 workers in a row died or fell silent while they had it, last \S+; '
                                 r'its samples: \d+(, \d+)+')
                self.assertGreaterEqual(deaths, 5)  # one more may have had a second copy
                self.tearDown()
                self.setUp()

    def test_a_shard_that_was_lost_four_times_may_yet_come_back(self):
        consumer, deaths = self.deadly_run('decode', 4)
        self.finish(consumer)
        self.assertEqual(deaths, 4)
        self.check()


if __name__ == '__main__':
    unittest.main()
