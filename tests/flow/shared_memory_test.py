"""Pixels in shared memory (docs/messages.md): the same batches with and without, whoever is killed, stopped or lies, and nothing left
behind. The oracle is the ledger of a run through sockets."""
import fcntl
import mmap
import os
import re
import signal
import struct
import tempfile
import time
import unittest

import msgpack
import zmq

from harness import SLOW, FlowTest, shapes
from tap import Gate, Tap

STEPS = 30
PAGE = 4096
MAGIC = 0x4c534d45444e4154


def setUpModule():
    global folder, DATA
    folder = tempfile.TemporaryDirectory(prefix='tandem-shared-')
    DATA = shapes(f'{folder.name}/shapes.lmdb')


def tearDownModule():
    folder.cleanup()


class Slot:
    """A slot as a producer makes it, in this process."""

    def __init__(self, payload, nonce=77):
        self.fd, self.bytes, self.nonce = os.memfd_create('test', os.MFD_ALLOW_SEALING), len(payload), nonce
        os.ftruncate(self.fd, PAGE + max(len(payload), 1))
        self.memory = mmap.mmap(self.fd, PAGE + max(len(payload), 1))
        self.memory[:24] = struct.pack('<QQQ', MAGIC, nonce, 1)
        self.memory[PAGE:PAGE + len(payload)] = payload
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)

    def use_again(self):
        self.memory[16:24] = struct.pack('<Q', 2)

    def place(self):
        return {'memory_fd': self.fd, 'memory_nonce': self.nonce, 'memory_generation': 1, 'memory_bytes': self.bytes}

    def greeting(self):
        return {'pid': os.getpid(), 'memory_fd': self.fd, 'memory_nonce': self.nonce}


class SharedMemory(FlowTest):
    expected = None

    def reference(self):
        """The ledger without shared memory, made once."""
        if not SharedMemory.expected:
            self.shared_memory = False
            listen = self.listen('reference')
            workers = [self.decode(DATA, connect=listen), self.augment(listen)]
            self.finish(self.count(DATA, ledger='reference', steps=STEPS, listen=listen))
            for w in workers:
                self.assertEqual(w.stop(), 0, w.log())
            self.shared_memory = True
            SharedMemory.expected = self.ledger('reference')
        return SharedMemory.expected

    def check(self, name='ledger'):
        self.assertEqual(self.ledger(name), self.reference())

    def start_with(self, process, shared, *arguments, **options):
        self.shared_memory = shared
        try:
            return process(*arguments, **options)
        finally:
            self.shared_memory = True

    def maps(self, process):
        """How many memory files the process has mapped."""
        try:
            with open(f'/proc/{process.pid}/maps') as f:
                text = f.read()
        except (FileNotFoundError, ProcessLookupError):
            return 0
        self.assertNotIn('/dev/shm/', text)
        return len(re.findall('/memfd:tandem', text))

    # --- The same batches ---

    def test_ledger_is_the_same_whoever_shares(self):
        """Consumer, decode and two augment workers, each with or without."""
        for case in ((1, 1, 1, 1), (0, 1, 1, 1), (1, 0, 1, 1), (1, 1, 0, 1), (1, 1, 0, 0)):
            with self.subTest(case=case):
                name = ''.join(map(str, case))
                listen = self.listen(name)
                consumer = self.start_with(self.count, case[0], DATA, ledger=name, steps=STEPS, listen=listen)
                workers = [self.start_with(self.decode, case[1], DATA, connect=listen),
                           *(self.start_with(self.augment, c, listen) for c in case[2:])]
                self.finish(consumer)
                self.check(name)
                for w in workers:
                    self.assertEqual(w.stop(), 0, w.log())
                    self.assertNotIn('dropped', w.log())

    def held(self, step=STEPS // 2, **options):
        """A run that gets to a step and no further; ends with `release`. Returns consumer, decode and augment worker."""
        self.gate = Gate(step)
        self.tap = Tap(self.listen('tap'), self.listen(), second=False,
                       change=lambda head, frames: self.gate(head, frames) if self.gate else [frames])
        self.addCleanup(self.tap.stop)
        processes = (self.count(DATA, ledger='ledger', steps=STEPS, lease_ms=1000 * SLOW, **options), self.decode(DATA),
                     self.augment(self.listen('tap')))
        self.until(lambda: self.gate.withheld, 'the step at which the run is held')
        return processes

    def release(self):
        self.gate = None

    def test_pixels_are_in_memory_without_a_name(self):
        consumer, decode, augment = self.held()
        for p in (consumer, decode, augment):
            self.assertGreater(self.maps(p), 0, p.name)

    def test_nothing_is_shared_when_told_not_to(self):
        self.shared_memory = False
        for p in self.held():
            self.assertEqual(self.maps(p), 0, p.name)

    # --- Kills and stops ---

    def test_killed_workers_leave_nothing(self):
        """Their files are gone when the consumer, the last that has them mapped, has noticed."""
        consumer = self.count(DATA, ledger='ledger', steps=STEPS, sleep_ms=100, lease_ms=1000 * SLOW)
        for lines in (3, 6, 9):
            workers = [self.decode(DATA), self.augment()]
            self.until(lambda: self.ledger_lines('ledger') >= lines, f'{lines} steps')
            for w in workers:
                w.stop(signal.SIGKILL)
            self.until(lambda: self.maps(consumer) == 0, 'mappings of killed workers are gone')
        self.decode(DATA)
        self.augment()
        self.finish(consumer)
        self.check()

    def test_killed_consumer_is_followed_by_another(self):
        consumer, decode, augment = self.held()
        consumer.stop(signal.SIGKILL)
        self.release()
        self.finish(self.count(DATA, ledger='ledger', steps=STEPS, first_step=3))
        self.check()
        self.until(lambda: self.maps(augment) == 1 and self.maps(decode) == 1, 'only the pages of the greetings are left')

    def test_stopped_workers_do_not_spoil_batches(self):
        """Stopped for longer than the silence that ends their sessions, their slots are used again; then they go on."""
        consumer = self.count(DATA, ledger='ledger', steps=STEPS, sleep_ms=400, window=1, lease_ms=1000 * SLOW)
        stopped = [self.decode(DATA), self.augment()]
        self.until(lambda: self.ledger_lines('ledger') >= 3, 'three steps')
        for w in stopped:
            w.stop(signal.SIGSTOP)
        others = [self.decode(DATA), self.augment()]
        where = self.ledger_lines('ledger')
        self.until(lambda: self.ledger_lines('ledger') >= min(where + 15, STEPS - 5), 'fifteen steps without them')
        for w in stopped:
            w.send(signal.SIGCONT)
        self.finish(consumer)
        self.check()
        for w in (*stopped, *others):
            self.assertEqual(w.stop(), 0, w.log())

    # --- What must not be believed ---

    def test_descriptors_that_lie_are_dropped(self):
        """Copies of every result that name other memory go before it."""
        lies = [{'memory_fd': 0}, {'memory_fd': 2**31 - 1}, {'memory_nonce': 1}, {'memory_generation': 9}, {'memory_bytes': 2**53 - 1},
                {'memory_bytes': 1}, {'memory_bytes': 0}]

        def change(head, frames):
            if head['kind'] != 'augmented' or not head['memory_bytes']:
                return [frames]
            return [*([msgpack.packb(dict(head, **lie)), *frames[1:]] for lie in lies), frames,
                    [frames[0], frames[1], b'pixels too', frames[3]]]

        consumer = self.count(DATA, ledger='ledger', steps=STEPS)
        tap = Tap(self.listen('tap'), self.listen(), change=change)
        self.addCleanup(tap.stop)
        self.decode(DATA)
        self.augment(self.listen('tap'))
        self.assertGreaterEqual(self.finish(consumer)['dropped'], STEPS * 2 * len(lies))
        self.check()

    def real_messages(self, kind, n):
        """n messages of a kind as they pass through sockets, and the environment in which they make sense."""
        kept = []
        tap = Tap(self.listen('real'), self.listen(), kept)
        self.shared_memory = False
        consumer = self.count(DATA, steps=n)
        workers = [self.decode(DATA, connect=self.listen('real')), self.augment(self.listen('real'))]
        self.finish(consumer)
        for w in workers:
            w.stop()
        tap.stop()
        self.shared_memory = True
        found = [(msgpack.unpackb(f[0]), f) for f in kept]
        return [(h, f) for h, f in found if h['kind'] == kind][:n]

    def hear(self, upstream, kind):
        """The next message of this kind to a ROUTER: who sent it, its header and frames."""
        end = time.monotonic() + 60 * SLOW
        while time.monotonic() < end and upstream.poll(60000 * SLOW):
            peer, *frames = upstream.recv_multipart()
            head = msgpack.unpackb(frames[0])
            if head['kind'] == kind:
                return peer, head, frames
        raise AssertionError(f'no {kind}')

    def test_a_shard_that_changes_while_it_is_read_counts_for_nothing(self):
        """An augment worker with two results that nobody acknowledges keeps the third shard waiting. Its slot is used again before the
        worker comes to it: no result is sent for it, and the next one is as good as ever."""
        shards = self.real_messages('decoded', 4)
        slots = [Slot(frames[2], nonce=100 + i) for i, (_, frames) in enumerate(shards)]
        run = {k: shards[0][0][k] for k in ('run', 'incarnation')}
        welcome = {'v': 1, 'kind': 'welcome', 'dataset': '', 'beat_ms': 500, 'silence_ms': 3600000, **run, 'shared': 0,
                   **slots[0].greeting()}
        with zmq.Context() as context, context.socket(zmq.ROUTER) as consumer, context.socket(zmq.ROUTER) as decode:
            for upstream, name in ((consumer, 'fake-feed'), (decode, 'fake-serve')):
                upstream.linger = 0
                upstream.bind(self.listen(name))
            worker = self.augment(self.listen('fake-feed'))
            peer, _, _ = self.hear(consumer, 'hello')
            consumer.send_multipart([peer, msgpack.packb(welcome)])
            consumer.send_multipart([peer, msgpack.packb({'v': 1, 'kind': 'decoders', 'decoders': [self.listen('fake-serve')], 'keys': ['']})])
            reader, _, _ = self.hear(decode, 'hello')
            decode.send_multipart([reader, msgpack.packb(welcome)])
            self.assertEqual(self.hear(decode, 'want')[1]['shared'], 1)

            def lend(i):
                head, frames = shards[i]
                decode.send_multipart([reader, msgpack.packb(dict(head, **run, **slots[i].place())), frames[1], b''])

            def mapped():
                with open(f'/proc/{worker.pid}/maps') as f:
                    return f.read().count('/memfd:test')

            for i in range(3):
                lend(i)
            results = [self.hear(consumer, 'augmented') for _ in range(2)]
            self.until(lambda: mapped() == 3, 'the third shard is there')
            slots[2].use_again()
            lend(3)
            for _, head, frames in results:
                body = msgpack.unpackb(frames[1])
                consumer.send_multipart([peer, msgpack.packb({'v': 1, 'kind': 'ack', **run, 'attempt': head['attempt'],
                                                              'step': body['step'], 'shard': body['shard']})])
            _, _, frames = self.hear(consumer, 'augmented')
            self.assertEqual(frames[1], shards[3][1][1])
            self.assertIn('dropped a stale message', worker.log())


if __name__ == '__main__':
    unittest.main()
