"""Fault tests 1, 2, 3 and 7: workers in any number and order; they join, leave, die and stand still."""
import itertools
import signal
import tempfile
import time
import unittest

from chaos import LONG, ChaosTest, Crew
from harness import SLOW, shapes

STEPS = 400 if LONG else 50
LEASE_MS = 400 * SLOW


def setUpModule():
    global folder, DATA
    folder = tempfile.TemporaryDirectory(prefix='tandem-chaos-')
    DATA = shapes(f'{folder.name}/shapes.lmdb')


def tearDownModule():
    folder.cleanup()


class Workers(ChaosTest):
    def consumer(self, **options):
        return self.count(DATA, **{'ledger': 'ledger', 'steps': STEPS, 'lease_ms': LEASE_MS, 'sleep_ms': 20, **options})

    def compare(self):
        self.check(DATA, steps=STEPS)

    def test_1_any_number_of_workers(self):
        for n in (3, 8):
            with self.subTest(workers=n):
                name = f'with-{n}'
                consumer = self.count(DATA, ledger=name, steps=STEPS, listen=self.listen(name))
                workers = [self.decode(DATA, connect=self.listen(name)) for _ in range((n + 1) // 2)]
                workers += [self.augment(self.listen(name)) for _ in range(n)]
                self.finish(consumer)
                self.check(DATA, name=name, steps=STEPS)
                for w in workers:
                    self.assertEqual(w.stop(), 0, w.log())

    def test_1_2_3_a_storm_of_joins_leaves_kills_and_stops(self):
        consumer, crew = self.consumer(), Crew(self, DATA)
        for kind in ('decode', 'decode', 'augment', 'augment'):
            crew.join(kind)
        while consumer.running():
            done = self.ledger_lines('ledger')
            crew.fault(hold_s=2.5 * LEASE_MS / 1000)
            until = time.monotonic() + self.pick.uniform(0, 0.3 * SLOW)
            # A step between two faults, or workers could be killed faster than a busy machine starts them.
            while consumer.running() and (time.monotonic() < until or self.ledger_lines('ledger') <= done):
                time.sleep(0.01)
                crew.wake()
        crew.wake(everyone=True)
        self.finish(consumer)
        self.compare()

    def test_2_a_random_worker_killed_every_two_seconds(self):
        consumer, crew = self.consumer(sleep_ms=60 if LONG else 40), Crew(self, DATA)
        for kind in ('decode', 'decode', 'augment', 'augment'):
            crew.join(kind)
        kills = 0
        while consumer.running():
            done = self.ledger_lines('ledger')
            kind = self.pick.choice(('decode', 'augment'))
            crew.workers[kind].pop(self.pick.randrange(2)).stop(signal.SIGKILL)
            crew.join(kind)
            kills += 1
            self.note(f'kill {kind} at step {done}')
            until = time.monotonic() + (2 if LONG else 0.5) * SLOW
            while consumer.running() and (time.monotonic() < until or self.ledger_lines('ledger') <= done):
                time.sleep(0.02)
        self.finish(consumer)
        self.assertGreater(kills, 1)
        self.compare()

    def test_3_stopped_past_the_lease_its_late_results_are_compared(self):
        """The workers are what the run waits for, so one that is stopped holds shards."""
        options = {'policy': 'stl10', 'size': 96, 'steps': 8 * STEPS}
        consumer, crew = self.consumer(sleep_ms=0, **options), Crew(self, DATA)
        for kind in ('decode', 'augment', 'augment'):
            crew.join(kind)
        first = crew.workers['augment'][0]
        self.steps_done(3)
        while consumer.running():
            first.send(signal.SIGSTOP)
            time.sleep(1.3 * LEASE_MS / 1000)
            done = self.ledger_lines('ledger')
            self.until(lambda: not consumer.running() or self.ledger_lines('ledger') > done, 'a step without it')
            first.send(signal.SIGCONT)
            time.sleep(0.2 * SLOW)
        self.assertGreater(self.finish(consumer)['duplicates'], 0)
        self.check(DATA, **options)

    def test_7_every_order_of_starting(self):
        starts = {'consumer': lambda name: self.count(DATA, ledger=name, steps=STEPS, listen=self.listen(name)),
                  'decode': lambda name: self.decode(DATA, connect=self.listen(name)),
                  'augment': lambda name: self.augment(self.listen(name))}
        for order in itertools.permutations(starts):
            with self.subTest(order=order):
                name, made = '-'.join(order), {}
                for part in order:
                    made[part] = starts[part](name)
                    time.sleep(self.pick.uniform(0, 0.4))
                self.steps_done(1, name)
                self.finish(made.pop('consumer'))
                self.check(DATA, name=name, steps=STEPS)
                for worker in made.values():
                    self.assertEqual(worker.stop(), 0, worker.log())


if __name__ == '__main__':
    unittest.main()
