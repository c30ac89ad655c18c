"""What the fault tests share: seeded chance, so that a failure replays, and the ledger of an undisturbed run with one worker
of each kind as the oracle.

TANDEM_CHAOS=long makes every test longer and rougher (make chaos); TANDEM_CHAOS_SEED=N draws other faults.
"""
import os
import random
import signal
import socket
import tempfile
import threading
import time

from harness import FlowTest, shapes

LONG = os.environ.get('TANDEM_CHAOS') == 'long'
SEED = int(os.environ.get('TANDEM_CHAOS_SEED') or 1)


def free_port():
    """A TCP port of the loopback that was free a moment ago."""
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class ChaosTest(FlowTest):
    """With a dataset for all its tests."""
    images = {}  # what the dataset is, in the words of harness.shapes; None: there is none
    expected = {}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if cls.images is not None:
            temporary = tempfile.TemporaryDirectory(prefix='tandem-chaos-')
            cls.addClassCleanup(temporary.cleanup)
            cls.data = shapes(f'{temporary.name}/shapes.lmdb', **cls.images)

    def setUp(self):
        super().setUp()
        self.pick = random.Random(f'{SEED} {self.id()}')
        self.history = []  # of faults, shown when a test fails

    def note(self, what):
        self.history.append(what)

    def reference(self, **options):
        """The ledger of an undisturbed run, made once for these options."""
        key = (self.data, *sorted(options.items()))
        if key not in self.expected:
            workers = [self.decode(self.data, connect=self.listen('reference')), self.augment(self.listen('reference'))]
            self.finish(self.count(self.data, ledger='reference', listen=self.listen('reference'), **options))
            self.expected[key] = self.ledger('reference')
            for w in workers:
                self.assertEqual(w.stop(), 0, w.log())
        return self.expected[key]

    def check(self, name='ledger', **options):
        self.assertEqual(self.ledger(name), self.reference(**options), f'seed {SEED}, faults: {self.history}')

    def finish(self, consumer, seconds=600):
        return super().finish(consumer, seconds)

    def steps_done(self, n, name='ledger', seconds=60):
        self.until(lambda: self.ledger_lines(name) >= n, f'step {n}, after {self.history}', seconds)


class Crew:
    """Workers that come, leave, die, and stand still, by chance. At least one of each kind is left able to work."""

    def __init__(self, test, connect=None):
        self.test, self.connect = test, connect
        self.workers = {'decode': [], 'augment': []}
        self.stopped = []  # (when to continue, worker)

    def join(self, kind):
        make = {'decode': lambda: self.test.decode(self.test.data, connect=self.connect),
                'augment': lambda: self.test.augment(self.connect)}[kind]
        self.workers[kind].append(make())

    def fault(self, hold_s):
        """One random event. `hold_s`: how long a worker may stand still, at most."""
        pick, kind = self.test.pick, self.test.pick.choice(('decode', 'augment'))
        group = self.workers[kind]
        event = pick.choice(('join', 'leave', 'kill', 'stop') if len(group) < 4 else ('leave', 'kill', 'stop'))
        self.test.note(f'{event} {kind}')
        if event == 'join' or len(group) < 2:
            self.join(kind)
        elif event == 'stop':
            worker = group.pop(0)
            worker.send(signal.SIGSTOP)
            self.stopped.append((time.monotonic() + pick.uniform(0, hold_s), kind, worker))
        else:
            worker = group.pop(pick.randrange(len(group)))
            if event == 'kill':
                worker.stop(signal.SIGKILL)
            else:
                self.test.assertEqual(worker.stop(), 0, worker.log())

    def wake(self, everyone=False):
        """Lets those go on whose time is over."""
        now = time.monotonic()
        due = [s for s in self.stopped if everyone or s[0] <= now]
        self.stopped = [s for s in self.stopped if s not in due]
        for _, kind, worker in due:
            worker.send(signal.SIGCONT)
            self.workers[kind].append(worker)


class Proxy:
    """A TCP hop that misbehaves: `mode` may be changed at any time.

    pass       bytes go both ways
    delay      each piece is 200 ms late
    blackhole  bytes are swallowed: the connections stay open, and what was lost never comes
    deaf       connections are taken, but nothing is ever read from them (half-open)
    """

    def __init__(self, upstream_port):
        self.upstream_port, self.mode, self.pairs, self.lock = upstream_port, 'pass', [], threading.Lock()
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(('127.0.0.1', 0))
        self.socket.listen()
        self.port = self.socket.getsockname()[1]
        self.poisoned = set()  # pairs that lost bytes: a stream cannot go on after that
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(('127.0.0.1', self.upstream_port))
            except OSError:
                client.close()
                continue
            pair = (client, server)
            with self.lock:
                self.pairs.append(pair)
            for a, b in (pair, pair[::-1]):
                threading.Thread(target=self._pump, args=(pair, a, b), daemon=True).start()

    def _pump(self, pair, source, sink):
        try:
            while data := source.recv(1 << 16):
                while self.mode == 'deaf':
                    time.sleep(0.02)
                if self.mode == 'delay':
                    time.sleep(0.2)
                if self.mode == 'blackhole':
                    self.poisoned.add(pair)
                if pair not in self.poisoned:
                    sink.sendall(data)
        except OSError:
            pass
        self._close(pair)

    def _close(self, pair):
        for s in pair:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()
        with self.lock:
            if pair in self.pairs:
                self.pairs.remove(pair)

    def reset(self):
        """Ends every connection with RST."""
        with self.lock:
            pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for s in pair:
                try:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
                except OSError:
                    pass
            self._close(pair)

    def close(self):
        self.mode = 'pass'
        self.socket.close()
        self.reset()
