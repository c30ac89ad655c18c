"""Fault tests 1, 2, 3 and 7: workers in any number and order; they join, leave, die and stand still."""
import itertools
import json
import signal
import time
import unittest

from chaos import LONG, ChaosTest, Crew
from harness import SLOW

STEPS = 400 if LONG else 50
LEASE_MS = 400 * SLOW


class Workers(ChaosTest):
    def consumer(self, **options):
        return self.count(self.data, **{'ledger': 'ledger', 'steps': STEPS, 'lease_ms': LEASE_MS, 'sleep_ms': 20, **options})

    def compare(self):
        self.check(steps=STEPS)

    def test_1_any_number_of_workers(self):
        for n in (3, 8):
            with self.subTest(workers=n):
                name = f'with-{n}'
                consumer = self.count(self.data, ledger=name, steps=STEPS, listen=self.listen(name))
                workers = [self.decode(self.data, connect=self.listen(name)) for _ in range((n + 1) // 2)]
                workers += [self.augment(self.listen(name)) for _ in range(n)]
                self.finish(consumer)
                self.check(name=name, steps=STEPS)
                for w in workers:
                    self.assertEqual(w.stop(), 0, w.log())

    def test_1_2_3_a_storm_of_joins_leaves_kills_and_stops(self):
        consumer, crew = self.consumer(), Crew(self)
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
        consumer, crew = self.consumer(sleep_ms=60 if LONG else 40), Crew(self)
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

    def duplicates(self):
        """Late results so far that were compared and found equal."""
        try:
            with open(self.path('progress')) as f:
                return json.load(f)['feed']['duplicates']
        except (FileNotFoundError, KeyError):
            return 0

    def test_3_stopped_past_the_lease_its_late_results_are_compared(self):
        """A worker is stopped again and again until it was late with something: with steps this large the workers are what the run
        waits for, so it holds shards when it is stopped, and what it brings is of a step that is still remembered."""
        views = {'policy': 'imagenet', 'size': 224}
        crew = Crew(self)
        consumer = self.consumer(sleep_ms=0, steps=1000000, progress=self.path('progress'), **views)
        for kind in ('decode', 'augment', 'augment'):
            crew.join(kind)
        first = crew.workers['augment'][0]
        self.steps_done(3)
        for _ in range(20 if LONG else 1):
            before, end = self.duplicates(), time.monotonic() + 120 * SLOW
            while self.duplicates() == before and time.monotonic() < end:
                done = self.ledger_lines('ledger')
                first.send(signal.SIGSTOP)
                time.sleep(1.3 * LEASE_MS / 1000)
                self.steps_done(done + 1)  # without it
                first.send(signal.SIGCONT)
                time.sleep(0.3 * SLOW)
            self.assertGreater(self.duplicates(), before)
        consumer.stop()
        n = self.ledger_lines('ledger')
        self.assertEqual(self.ledger('ledger')[:n], self.reference(steps=n, **views))

    def test_7_every_order_of_starting(self):
        starts = {'consumer': lambda name: self.count(self.data, ledger=name, steps=STEPS, listen=self.listen(name)),
                  'decode': lambda name: self.decode(self.data, connect=self.listen(name)),
                  'augment': lambda name: self.augment(self.listen(name))}
        for order in itertools.permutations(starts):
            with self.subTest(order=order):
                name, made = '-'.join(order), {}
                for part in order:
                    made[part] = starts[part](name)
                    time.sleep(self.pick.uniform(0, 0.4))
                self.steps_done(1, name)
                self.finish(made.pop('consumer'))
                self.check(name=name, steps=STEPS)
                for worker in made.values():
                    self.assertEqual(worker.stop(), 0, worker.log())


if __name__ == '__main__':
    unittest.main()
