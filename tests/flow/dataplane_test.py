"""The data plane under changing workers, kills, stops and garbage. The oracle is the ledger: it must be the one of an
undisturbed run with one decode and one augment worker (docs/messages.md)."""
import json
import os
import random
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import msgpack
import zmq

from harness import SANITIZED, SLOW, FlowTest, damaged, program, shapes
from tap import Gate, Tap

STEPS = 40


def setUpModule():
    global folder, DATA
    folder = tempfile.TemporaryDirectory(prefix='tandem-data-')
    DATA = shapes(f'{folder.name}/shapes.lmdb')


def tearDownModule():
    folder.cleanup()


class DataPlane(FlowTest):
    def run_with(self, decode=1, augment=1, **options):
        """Consumer and workers from start to end; returns the closing line."""
        consumer = self.count(DATA, **{'ledger': 'ledger', 'steps': STEPS, **options})
        for _ in range(decode):
            self.decode(DATA)
        for _ in range(augment):
            self.augment()
        return self.finish(consumer)

    expected = None

    def reference(self):
        """The ledger of one decode and one augment worker, made once."""
        if not DataPlane.expected:
            workers = [self.decode(DATA, connect=self.listen('reference')), self.augment(self.listen('reference'))]
            self.finish(self.count(DATA, ledger='reference', steps=STEPS, listen=self.listen('reference')))
            DataPlane.expected = self.ledger('reference')
            self.assertEqual(len(DataPlane.expected), STEPS)
            for w in workers:
                self.assertEqual(w.stop(), 0, w.log())
        return DataPlane.expected

    def check(self, name='ledger'):
        self.assertEqual(self.ledger(name), self.reference())

    def dials(self, worker):
        """Waits until a worker hears signals."""
        self.until(lambda: 'dials' in worker.log(), 'a worker dials')

    # --- Any number, any order ---

    def test_ledger_does_not_depend_on_the_number_of_workers(self):
        self.run_with(decode=3, augment=3)
        self.check()

    def test_ledger_depends_on_seed_policy_and_data(self):
        for name, options in {'seed': {'seed': 8}, 'policy': {'policy': 'stl10'}, 'batch': {'batch': 32}}.items():
            with self.subTest(name):
                consumer = self.count(DATA, steps=3, ledger=name, listen=self.listen(name), **options)
                self.decode(DATA, connect=self.listen(name))
                self.augment(self.listen(name))
                self.finish(consumer)
                self.assertNotEqual(self.ledger(name)[0], self.reference()[0])

    def test_ledger_does_not_depend_on_the_window(self):
        self.run_with(window=1)
        self.check()

    def test_workers_may_come_before_the_consumer(self):
        workers = [self.augment(), self.decode(DATA)]
        for w in workers:
            self.dials(w)
        self.finish(self.count(DATA, steps=STEPS, ledger='ledger'))
        self.check()
        for w in workers:
            self.assertTrue(w.running(), w.log())
            self.assertEqual(w.stop(), 0, w.log())

    def test_workers_may_come_after_the_consumer(self):
        consumer = self.count(DATA, steps=STEPS, ledger='ledger')
        self.until(lambda: 'waits for workers' in consumer.log(), 'consumer')
        self.decode(DATA)
        self.until(lambda: 'decode worker' in consumer.log(), 'the decode worker joins')
        self.augment()
        self.finish(consumer)
        self.check()

    def test_tcp_carries_the_same_batches(self):
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            endpoint = f'tcp://127.0.0.1:{s.getsockname()[1]}'
        consumer = self.count(DATA, steps=STEPS, ledger='ledger', listen=endpoint)
        self.decode(DATA, connect=endpoint)
        self.augment(endpoint)
        self.finish(consumer)
        self.check()

    def test_in_order_pass_ends_with_a_ragged_batch(self):
        consumer = self.count(DATA, '--no-shuffle', ledger='ledger', batch=64, splits='test', policy='evaluate')
        self.decode(DATA)
        self.augment()
        self.assertEqual(self.finish(consumer)['steps'], 1)
        self.assertIn('"images": 40', self.ledger('ledger')[0])

    # --- Coming and going ---

    def slow_consumer(self, **options):
        return self.count(DATA, steps=STEPS, ledger='ledger', sleep_ms=40, **{'lease_ms': 400 * SLOW, **options})

    def test_workers_join_and_leave_during_the_run(self):
        consumer = self.slow_consumer()
        pick = random.Random(5)
        decoders, augmenters = [self.decode(DATA)], [self.augment()]
        while consumer.running():
            time.sleep(0.1 * SLOW)
            group, make = pick.choice([(decoders, lambda: self.decode(DATA)), (augmenters, self.augment)])
            group.append(make())
            if len(group) > 2:
                leaving = group.pop(0)
                self.dials(leaving)
                self.assertEqual(leaving.stop(), 0)
        self.finish(consumer)
        self.check()

    def test_killed_workers_cost_nothing_but_time(self):
        consumer = self.slow_consumer()
        pick = random.Random(6)
        workers = [self.decode(DATA), self.augment(), self.augment(), self.decode(DATA)]
        self.until(lambda: self.ledger_lines('ledger') >= 3, 'three steps')
        while consumer.running():
            done, i = self.ledger_lines('ledger'), pick.randrange(4)
            workers[i].stop(signal.SIGKILL)
            workers[i] = self.augment() if i in (1, 2) else self.decode(DATA)
            self.until(lambda: not consumer.running() or self.ledger_lines('ledger') > done + 2, 'three steps')
        self.finish(consumer)
        self.check()

    def test_all_workers_killed_at_once(self):
        consumer, gate = self.slow_consumer(), Gate(5)
        tap = Tap(self.listen('tap'), self.listen(), change=gate)
        self.addCleanup(tap.stop)
        workers = [self.decode(DATA), self.augment(self.listen('tap'))]
        self.until(lambda: self.ledger_lines('ledger') == 5 and gate.withheld, 'five steps, and work on the next')
        workers[1].stop(signal.SIGKILL)
        time.sleep(0.3)  # now the decode worker holds shards that nobody fetches
        workers[0].stop(signal.SIGKILL)
        self.decode(DATA)
        self.augment()
        self.assertGreater(self.finish(consumer)['reissued'], 0)
        self.check()

    def test_late_results_are_compared_and_dropped(self):
        """The first result is kept back until its shard, handed out again, has come from another attempt."""
        late = []

        def change(head, frames):
            if head['kind'] != 'augmented':
                return [frames]
            if not late:
                late.append(frames)
                return []
            if late[0] and frames[1] == late[0][1]:
                first, late[0] = late[0], None
                return [frames, first]
            return [frames]

        consumer = self.meddle(change, lease_ms=300)
        self.augment(self.listen('tap'))
        self.assertGreater(self.finish(consumer)['duplicates'], 0)
        self.check()

    def test_a_worker_stopped_past_its_lease_is_not_missed(self):
        consumer = self.slow_consumer(lease_ms=300)
        self.decode(DATA)
        stopped, _ = self.augment(), self.augment()
        self.until(lambda: self.ledger_lines('ledger') >= 5, 'five steps')
        for _ in range(3):
            stopped.stop(signal.SIGSTOP)
            time.sleep(0.4)
            stopped.send(signal.SIGCONT)
            time.sleep(0.1)
        self.finish(consumer)
        self.check()

    def test_stopped_decode_worker_does_not_stop_the_run(self):
        consumer = self.slow_consumer()
        stopped, _ = self.decode(DATA), self.decode(DATA)
        self.augment()
        self.until(lambda: self.ledger_lines('ledger') >= 5, 'five steps')
        stopped.stop(signal.SIGSTOP)
        self.finish(consumer)
        self.check()

    def test_restarted_consumer_continues_the_ledger_with_the_same_workers(self):
        consumer = self.slow_consumer()
        self.decode(DATA)
        self.augment()
        self.until(lambda: self.ledger_lines('ledger') >= 12, 'twelve steps')
        consumer.stop(signal.SIGKILL)
        self.finish(self.count(DATA, steps=STEPS, ledger='ledger', first_step=9))
        self.check()

    def test_workers_follow_from_one_run_to_the_next(self):
        self.decode(DATA)
        self.augment()
        for name in ('a', 'b'):
            self.finish(self.count(DATA, steps=STEPS, ledger=name, run=name))
            self.check(name)

    def hear(self, upstream, kind):
        """The next message of this kind to a ROUTER; returns who sent it, and its header."""
        end = time.monotonic() + 60 * SLOW
        while time.monotonic() < end and upstream.poll(60000 * SLOW):
            peer, head, *_ = upstream.recv_multipart()
            if msgpack.unpackb(head)['kind'] == kind:
                return peer, msgpack.unpackb(head)
        raise AssertionError(f'no {kind}')

    def test_what_came_before_its_run_is_given_back(self):
        """A decode worker may be in the next run before an augment worker is: what it sent too early goes to waste, so the
        augment worker starts its session anew when it enters a run."""
        with zmq.Context() as context, context.socket(zmq.ROUTER) as consumer, context.socket(zmq.ROUTER) as decode:
            for upstream, name in ((consumer, 'feed'), (decode, 'serve')):
                upstream.linger = 0
                upstream.bind(self.listen(name))
            welcome = {'v': 1, 'kind': 'welcome', 'run': 'r', 'dataset': '', 'incarnation': 1, 'beat_ms': 500, 'silence_ms': 60000,
                       'pid': 0, 'memory_fd': 0, 'memory_nonce': 0, 'shared': 0}
            self.augment()
            peer, _ = self.hear(consumer, 'hello')
            consumer.send_multipart([peer, msgpack.packb(welcome)])
            decoders = {'v': 1, 'kind': 'decoders', 'decoders': [self.listen('serve')], 'keys': ['']}
            consumer.send_multipart([peer, msgpack.packb(decoders)])
            holder, _ = self.hear(decode, 'hello')
            decode.send_multipart([holder, msgpack.packb(dict(welcome, run=''))])
            self.hear(decode, 'want')
            for end in (dict(welcome, incarnation=2), {'v': 1, 'kind': 'bye', 'reason': 'restarted'}):
                consumer.send_multipart([peer, msgpack.packb(end)])
                self.hear(decode, 'bye')
                self.hear(decode, 'hello')
                if end['kind'] == 'welcome':
                    decode.send_multipart([holder, msgpack.packb(dict(welcome, run=''))])
                    self.hear(decode, 'want')

    # --- What is told ---

    def test_progress_file_tells_what_workers_and_feed_have_done(self):
        progress = self.path('progress.json')
        consumer = self.slow_consumer(progress=progress)
        self.decode(DATA)
        self.augment()

        def report():
            """Of a moment when both workers have told of shards."""
            if os.path.exists(progress):
                with open(progress) as f:
                    told = json.load(f)
                if sorted(w['role'] for w in told.get('workers', []) if w['shards']) == ['augment', 'decode']:
                    return told
            return None

        told = self.until(report, 'workers in the progress file')
        for w in told['workers']:
            self.assertEqual(set(w), {'name', 'role', 'host', 'silent', 'shards', 'images', 'bytes_in', 'bytes_out', 'busy_ms',
                                      'wait_ms', 'errors', 'age_ms'})
            self.assertEqual(w['name'].split(':')[0], w['host'])
            self.assertGreater(w['images'], w['shards'])
            self.assertGreater(w['bytes_in'], 0)
            self.assertGreater(w['bytes_out'], w['images'] * 3)
            self.assertEqual(w['errors'], dict.fromkeys(['damaged', 'missing', 'other', 'unsent', 'lost', 'dropped'], 0))
        self.assertGreater(told['feed']['wait_ms'] + told['feed']['busy_ms'], 0)
        self.assertEqual(set(told['feed']), {'busy_ms', 'wait_ms', 'shards', 'reissued', 'hedged', 'duplicates', 'failed', 'refused', 'dropped'})
        self.assertEqual(set(told['feed']['dropped']), {'malformed', 'oversized', 'unknown', 'foreign', 'unexpected', 'stale'})
        self.assertGreater(told['feed']['shards'], 0)
        self.finish(consumer)

    # --- What must not be believed ---

    def garbage(self):
        hello = {'v': 1, 'kind': 'hello', 'role': 'augment', 'worker': 'x', 'build': 'other', 'check': '',
                 'host': '0' * 16, 'serve': [], 'key': '', 'datasets': [], 'pid': 0,
                 'memory_fd': 0, 'memory_nonce': 0}
        want = {'v': 1, 'kind': 'want', 'credits': 1, 'credit_bytes': 1, 'shared': 0}
        pack = msgpack.packb
        return [[b''], [b'nonsense'], [os.urandom(300)], [b'\xdd\xff\xff\xff\xff'], [pack({'v': 1, 'kind': 'what'})],
                [pack(dict(want, v=99))], [pack(dict(want, credits=-1))],
                [pack(want), b'extra'], [b'x'] * 20, [pack(hello)],
                [pack({'v': 1, 'kind': 'augmented'}), b'', b'', b''], [pack(dict(hello, more=1))]]

    def shower(self, endpoint):
        """Garbage as ZeroMQ messages, and bytes that are not even that. Returns when it has been read: every round holds a
        greeting that is refused."""
        rounds, refused = 20, 0
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(endpoint[len('ipc://'):])
            raw.sendall(os.urandom(1000))
        with zmq.Context() as context, context.socket(zmq.DEALER) as s, context.socket(zmq.DEALER) as oversized:
            for one in (s, oversized):
                one.linger = 0
                one.connect(endpoint)
            oversized.send(b'\x80' * 10 ** 8)  # costs the connection
            for _ in range(rounds):
                for frames in self.garbage():
                    s.send_multipart(frames)
            while refused < rounds:
                self.assertTrue(s.poll(60000 * SLOW), f'{refused} of {rounds} greetings answered')
                refused += msgpack.unpackb(s.recv())['kind'] == 'refuse'

    def test_garbage_is_counted_and_dropped(self):
        consumer = self.slow_consumer()
        serve = self.listen('serve')
        decode = self.decode(DATA, '--serve', serve)
        self.until(lambda: 'decode worker' in consumer.log(), 'the decode worker joins')
        self.shower(self.listen())
        self.shower(serve)
        self.augment()
        line = self.finish(consumer)
        self.assertGreaterEqual(line['dropped'], 100)
        self.check()
        for log in (consumer.log(), decode.log()):
            for kind in ('malformed', 'unknown', 'foreign'):
                self.assertEqual(log.count(f'dropped an {kind}' if kind[0] == 'u' else f'dropped a {kind}'), 1, log)
        self.assertTrue(decode.running())

    def test_worker_without_the_dataset_is_refused_with_the_reason(self):
        other = shapes(self.path('other.lmdb'), train=8, test=2)
        consumer = self.count(DATA, steps=STEPS, ledger='ledger')
        wrong = self.decode(other)
        self.until(lambda: 'refuses this worker' in wrong.log(), 'refusal')
        self.assertIn('fingerprint', wrong.log())
        self.decode(DATA)
        self.augment()
        self.finish(consumer)
        self.check()
        self.assertTrue(wrong.running())

    def reply_to(self, **changes):
        """What the consumer answers to this greeting."""
        version = subprocess.run([program('decode'), '--version'], check=True, capture_output=True, text=True).stdout.split()[-1]
        hello = {'v': 1, 'kind': 'hello', 'role': 'augment', 'worker': 'x', 'build': version, 'check': '',
                 'host': '0' * 16, 'serve': [], 'key': '', 'datasets': [], 'pid': 0,
                 'memory_fd': 0, 'memory_nonce': 0, **changes}
        with zmq.Context() as context, context.socket(zmq.DEALER) as s:
            s.linger = 0
            s.connect(self.listen())
            s.send(msgpack.packb(hello))
            self.assertTrue(s.poll(60000 * SLOW), 'no answer')
            return msgpack.unpackb(s.recv())

    def test_strangers_are_refused_with_the_reason(self):
        self.count(DATA, steps=STEPS)
        for changes, reason in [({'build': '0.0.1'}, 'build 0.0.1'), ({'check': '0' * 16}, 'self-test'), ({'v': 2}, 'version 2'),
                                ({'role': 'cook'}, 'role')]:
            if 'role' in changes:
                changes['check'] = self.self_test()
            answer = self.reply_to(**changes)
            self.assertEqual(answer['kind'], 'refuse')
            self.assertIn(reason, answer['reason'])

    def self_test(self):
        """The digest with which an augment worker greets."""
        with zmq.Context() as context, context.socket(zmq.ROUTER) as s:
            s.bind(self.listen('ask'))
            self.augment(self.listen('ask'))
            self.assertTrue(s.poll(60000 * SLOW), 'no greeting')
            return msgpack.unpackb(s.recv_multipart()[1])['check']

    def meddle(self, change, **options):
        """A run whose augment worker's messages, with their pixels, pass through `change`."""
        self.shared_memory = False
        consumer = self.count(DATA, steps=STEPS, ledger='ledger', **options)
        tap = Tap(self.listen('tap'), self.listen(), change=change)
        self.addCleanup(tap.stop)
        self.decode(DATA)
        self.augment(self.listen('tap'))
        return consumer

    def test_repeated_results_are_counted(self):
        consumer = self.meddle(lambda head, frames: [frames] * (2 if head['kind'] == 'augmented' else 1))
        self.assertGreater(self.finish(consumer)['duplicates'], 0)
        self.check()

    def test_flipped_pixel_stops_the_run(self):
        def flip(head, frames):
            if head['kind'] != 'augmented':
                return [frames]
            return [frames, [*frames[:2], bytes([frames[2][0] ^ 1]) + frames[2][1:], frames[3]]]

        consumer = self.meddle(flip)
        self.assertEqual(consumer.wait(), 1)
        self.assertIn('came back twice with different bytes', consumer.log().splitlines()[-1])

    def test_results_that_do_not_fit_their_ticket_are_dropped(self):
        bad = [lambda h, f: [f[0], f[1], f[2][:-1], f[3]],
               lambda h, f: [f[0], f[1], f[2], f[3] + b'1234'],
               lambda h, f: [msgpack.packb(dict(h, height=h['height'][:-1])), *f[1:]],
               lambda h, f: [msgpack.packb(dict(h, offset=[2 ** 52] * len(h['offset']))), *f[1:]],
               lambda h, f: [msgpack.packb(dict(h, params=[1000] * len(h['params']))), *f[1:]],
               lambda h, f: [f[0], msgpack.packb(dict(msgpack.unpackb(f[1]), seed=99)), *f[2:]],
               lambda h, f: [msgpack.packb(dict(h, incarnation=1)), *f[1:]]]

        def change(head, frames):
            if head['kind'] != 'augmented':
                return [frames]
            return [make(head, frames) for make in bad] + [frames]

        line = self.finish(self.meddle(change))
        self.assertGreaterEqual(line['dropped'], len(bad) * STEPS)
        self.check()

    def test_damaged_sample_stops_the_run_and_is_named(self):
        bad = damaged(DATA, self.path('bad.lmdb'))
        consumer = self.count(bad, steps=STEPS, ledger='ledger')
        self.decode(bad)
        self.decode(bad)
        self.augment()
        self.assertEqual(consumer.wait(), 1)
        last = consumer.log().splitlines()[-1]
        self.assertRegex(last, r'failed 3 times, last on worker .*sample \d+.*its samples: \d+, \d+')

    def test_failed_shard_does_not_wait_for_ever_for_a_worker_that_takes_nothing(self):
        bad = damaged(DATA, self.path('bad.lmdb'))
        # In order: the first quarter is whole, so the unreachable worker is full of good shards when the first bad one comes.
        consumer = self.count(bad, '--no-shuffle', steps=25, batch=8, shard=2, lease_ms=500 * SLOW)
        unreachable = self.path('u')
        self.decode(bad, '--serve', f'ipc://{unreachable}')
        self.until(lambda: os.path.exists(unreachable), 'the decode worker that nobody can dial')
        os.remove(unreachable)
        self.until(lambda: 'decode worker' in consumer.log(), 'it joins')
        self.decode(bad)
        self.augment()
        self.assertEqual(consumer.wait(), 1)
        self.assertIn('failed 3 times', consumer.log().splitlines()[-1])

    # --- One clear line ---

    def one_line(self, process, expected):
        self.assertNotEqual(process.wait(), 0)
        lines = process.log().splitlines()
        self.assertIn(expected, lines[-1])
        return lines

    def test_endpoint_in_use(self):
        first = self.count(DATA, steps=STEPS)
        self.until(lambda: 'waits for workers' in first.log(), 'first consumer')
        self.assertEqual(len(self.one_line(self.count(DATA, steps=STEPS), 'is in use by another process')), 1)
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            s.listen()
            taken = f'tcp://127.0.0.1:{s.getsockname()[1]}'
            self.assertEqual(len(self.one_line(self.count(DATA, listen=taken), 'is in use by another process')), 1)
            self.one_line(self.decode(DATA, '--serve', taken), 'is in use by another process')
        self.decode(DATA)
        self.augment()
        self.finish(first)

    def test_of_consumers_that_start_together_one_has_the_endpoint(self):
        for _ in range(3):
            consumers = [self.count(DATA, steps=STEPS) for _ in range(3)]
            waits = [lambda c=c: 'waits for workers' in c.log() for c in consumers]
            self.until(lambda: sum(w() or not c.running() for w, c in zip(waits, consumers)) == 3, 'all have bound or ended')
            refused = [c for c in consumers if 'is in use by another process' in c.log()]
            self.assertEqual([len(refused), sum(w() for w in waits)], [2, 1])
            for c in consumers:
                c.stop()

    def test_sockets_of_killed_processes_are_cleared_away(self):
        def served(worker):
            path = f'/tmp/tandem-{os.getuid()}/decode-{worker.pid}'
            self.until(lambda: os.path.exists(path), 'its socket')
            return path

        killed = self.decode(DATA)
        path = served(killed)
        killed.stop(signal.SIGKILL)
        served(self.decode(DATA))
        self.assertFalse(os.path.exists(path))

    def test_bad_endpoints(self):
        self.one_line(self.count(DATA, listen='nonsense'), 'is not an endpoint')
        self.one_line(self.count(DATA, listen='tcp://0.0.0.0:*'), '--insecure')
        self.one_line(self.count(DATA, listen=f'ipc://{self.folder}/{"x" * 120}'), 'too long')
        self.one_line(self.decode(DATA, connect='nonsense'), 'endpoints look like')

    def test_no_worker_comes(self):
        self.decode(DATA)
        self.one_line(self.count(DATA, worker_wait_s=1), 'worker has been at')  # whether it joins within a second or not
        both = self.count(DATA, '--listen', self.listen('both'), listen='tcp://127.0.0.1:*', worker_wait_s=0.2)
        self.one_line(both, 'no decode worker has been at tcp://127.0.0.1:')

    def test_consumer_stops_on_sigterm(self):
        consumer = self.count(DATA, steps=STEPS)
        self.until(lambda: 'waits for workers' in consumer.log(), 'consumer')
        self.assertEqual(consumer.stop(), 130)

    # --- Memory ---

    def test_workers_with_little_memory_make_the_same_batches(self):
        """A shard has 6 MiB: each worker has one at a time."""
        large = shapes(self.path('large.lmdb'), train=64, test=2, size=256)
        for name, flags in {'little': ['--memory', 1], 'much': []}.items():
            consumer = self.count(large, steps=4, ledger=name, listen=self.listen(name))
            for _ in range(2):
                self.decode(large, *flags, connect=self.listen(name))
                self.augment(self.listen(name), *flags)
            self.finish(consumer)
        self.assertEqual(self.ledger('little'), self.ledger('much'))

    def test_window_has_as_many_batches_as_memory_allows(self):
        """A batch has 64 x 2 x 3 x 128^2 bytes, 6 MiB, and some parameters."""
        log = self.one_line(self.count(DATA, memory=5, size=128), 'one batch has 7 MiB and --memory is 5')
        self.assertEqual(len(log), 1)
        consumer = self.count(DATA, memory=14, size=128)
        self.until(lambda: '2 batches of 6.0 MiB in memory' in consumer.log(), 'two of three')

    @unittest.skipIf(SANITIZED, 'sanitizers keep freed memory')
    def test_slow_consumer_grows_nothing(self):
        """A batch is 64 images of 2 x 64 px, 1.5 MB; without bounds the workers would make all 400 while the first is in use."""
        consumer = self.count(DATA, steps=400, sleep_ms=2500, size=64, window=2, ledger='ledger')
        processes = [consumer, self.decode(DATA), self.decode(DATA), self.augment(), self.augment()]
        self.until(lambda: self.ledger_lines('ledger'), 'first step')
        before = sum(p.resident_mb() for p in processes)
        time.sleep(3 * SLOW)
        self.assertLess(sum(p.resident_mb() for p in processes) - before, 24)


if __name__ == '__main__':
    unittest.main()
