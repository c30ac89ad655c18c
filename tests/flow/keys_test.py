"""Keys: who is let in over TCP and who is not. Fault test 11: wrong key, no list, another build, a flipped pixel."""
import os
import re
import shutil
import socket
import stat
import subprocess
import tempfile
import unittest

import msgpack
import zmq
from zmq.utils.z85 import encode

from harness import SLOW, FlowTest, dial_with, program, read_keys, shapes
from tap import Tap

STEPS = 20


def setUpModule():
    global folder, DATA
    folder = tempfile.TemporaryDirectory(prefix='tandem-keys-')
    DATA = shapes(f'{folder.name}/shapes.lmdb')


def tearDownModule():
    folder.cleanup()


class Keys(FlowTest):
    shared_memory = False  # everything goes through the sockets under test
    expected = None

    def reference(self):
        """The ledger of one worker of each kind over ipc, without keys."""
        if not Keys.expected:
            self.finish(self.count(DATA, ledger='reference', steps=STEPS))
            Keys.expected = self.ledger('reference')
        return Keys.expected

    def check(self):
        workers = [self.decode(DATA), self.augment()]
        self.assertEqual(self.ledger('ledger'), self.reference())
        for w in workers:
            w.stop()

    def consumer(self, *listen, **options):
        """Listens at ipc and at a TCP port of its choice; its address is self.tcp."""
        key, allow, *self.worker_keys = self.keys('alice', 'bob')
        flags = [word for endpoint in listen or ['tcp://127.0.0.1:*'] for word in ('--listen', endpoint)]
        consumer = self.count(DATA, *flags, ledger='ledger', key=key, allow=allow, **{'steps': STEPS, **options})
        found = self.until(lambda: re.findall(r'waits for workers at (tcp://[^\s;]+)', consumer.log()), 'the consumer listens')
        self.tcp = found[0].replace('0.0.0.0', '127.0.0.1')
        return consumer

    def worker(self, name, *flags, kind='augment'):
        flags = ['--key', self.path(f'{name}.key'), *flags]
        return self.augment(self.tcp, *flags) if kind == 'augment' else self.decode(DATA, *flags, connect=self.tcp)

    def saying(self, process, text):
        self.until(lambda: text in process.log(), f'{process.name} says: {text}')

    # --- Who is let in ---

    def test_keys_carry_the_same_batches_on_both_hops(self):
        consumer = self.consumer()
        self.worker('alice', '--serve', 'tcp://127.0.0.1:*', kind='decode')
        augment = self.worker('bob')
        self.finish(consumer)
        self.assertIn('takes decoded shards from tcp://127.0.0.1:', augment.log())
        self.check()

    def test_local_workers_go_plain_beside_remote_ones_with_keys(self):
        """The decode worker of the consumer's machine serves with the consumer's own key, at every address."""
        consumer = self.consumer('tcp://0.0.0.0:*')
        self.decode(DATA, '--key', self.path('run.key'), '--serve', 'tcp://0.0.0.0:*')
        near, far = self.augment(), self.worker('alice')
        self.until(lambda: not consumer.running() or all('takes decoded shards from' in w.log() for w in (near, far)), 'both join')
        self.finish(consumer)
        self.check()

    def test_ipc_is_preferred_on_one_machine(self):
        consumer = self.consumer(sleep_ms=200)
        self.worker('alice', '--serve', 'ipc://*', '--serve', 'tcp://127.0.0.1:*', kind='decode')
        augment = self.worker('bob')
        self.saying(augment, 'takes decoded shards from ipc://')
        self.finish(consumer)
        self.check()

    # --- Who is not ---

    def test_unknown_key_is_refused_until_it_is_in_the_list(self):
        consumer = self.consumer()
        self.decode(DATA, '--key', self.path('alice.key'), '--serve', 'tcp://127.0.0.1:*')
        self.keygen(self.path('other.key'))
        self.keygen('--worker', 'carol', '--for', self.path('other.key'))
        wrong = self.worker('carol')  # knows neither the list nor the consumer's key
        self.saying(wrong, 'is not the one whose key this worker expects')
        os.mkdir(self.path('copy'))  # a key for this consumer that is in another list
        shutil.copy(self.path('run.key'), self.path('copy/run.key'))
        self.keygen('--worker', 'dora', '--for', self.path('copy/run.key'), '--out', self.path('dora.key'))
        late = self.worker('dora')
        self.saying(late, 'its key is not in the list there')
        self.saying(consumer, 'whose key is not in the list')
        self.assertEqual(self.ledger_lines('ledger'), 0)
        self.write('run.allow', self.read('run.allow') + self.read('copy/run.allow'))
        self.assertGreater(self.finish(consumer)['refused'], 0)
        self.assertEqual(late.log().count('not in the list there'), 1)  # once, however often it tried
        self.check()

    def read(self, name):
        with open(self.path(name)) as f:
            return f.read()

    def write(self, name, text):
        """As an editor does: a new file in place of the old."""
        with open(self.path(f'{name}.new'), 'w') as f:
            f.write(text)
        os.rename(self.path(f'{name}.new'), self.path(name))

    def test_key_that_leaves_the_list_gets_nothing_more(self):
        consumer = self.consumer(sleep_ms=20, steps=10 ** 6)  # it cannot end before the test says so
        self.worker('alice', '--serve', 'tcp://127.0.0.1:*', kind='decode')
        bob = self.worker('bob')
        self.until(lambda: self.ledger_lines('ledger') >= 2, 'two steps')
        listed = self.read('run.allow')
        self.write('run.allow', ''.join(line for line in listed.splitlines(True) if 'bob' not in line))
        self.saying(consumer, 'is no longer in the list')
        self.saying(bob, 'no longer in the list')
        self.augment()  # of this machine, over ipc; it cannot fetch from alice, who serves with a key
        self.decode(DATA)
        self.until(lambda: self.ledger_lines('ledger') >= STEPS, 'the run goes on')
        consumer.stop()
        with open(self.path('ledger')) as f:
            lines = f.readlines()[:STEPS]
        self.write('ledger', ''.join(lines))
        self.check()

    def test_half_written_list_changes_nothing(self):
        consumer = self.consumer()
        self.write('run.allow', 'nonsense\n')
        self.saying(consumer, 'line 1: not a public key')
        self.worker('alice', '--serve', 'tcp://127.0.0.1:*', kind='decode')
        self.worker('bob')
        self.finish(consumer)
        self.check()

    def test_worker_without_a_key_is_told(self):
        consumer = self.consumer()
        plain = self.augment(self.tcp)
        self.saying(plain, 'it asks for a key; give --key')
        self.worker('alice', kind='decode')
        self.worker('bob')
        self.assertGreater(self.finish(consumer)['refused'], 0)
        self.check()

    def test_stranger_hears_nothing(self):
        """A key that nobody knows, and none: no answer to any message, not even a refusal."""
        consumer = self.consumer()
        public, secret = zmq.curve_keypair()
        server = encode(read_keys(self.path('run.key'))['public'])
        context = zmq.Context()
        self.addCleanup(context.destroy, linger=0)
        sockets = [context.socket(zmq.DEALER) for _ in range(2)]
        sockets[0].curve_publickey, sockets[0].curve_secretkey, sockets[0].curve_serverkey = public, secret, server
        for s in sockets:
            s.linger = 0
            s.connect(self.tcp)
            s.send(msgpack.packb({'v': 1, 'kind': 'want', 'credits': 1, 'shared': 0}))
        self.worker('alice', kind='decode')
        self.worker('bob')
        self.finish(consumer)
        self.assertEqual([s.poll(0) for s in sockets], [0, 0])
        for s in sockets:
            s.close()
        self.check()

    def test_bytes_that_are_no_messages_are_counted_and_harmless(self):
        consumer = self.consumer()
        host, port = self.tcp[len('tcp://'):].split(':')
        greeting = b'\xff' + bytes(8) + b'\x7f' + b'\x03\x00' + b'CURVE'.ljust(20, b'\0') + bytes(32)
        kept, sent = [], [b'GET / HTTP/1.1\r\nHost: x\r\n\r\n', b'\x16\x03\x01\x02\x00' + os.urandom(300), os.urandom(2000), b'',
                          greeting, greeting + b'\x04\xc8' + os.urandom(200), b'\xff' * 100, bytes(100)]
        for data in sent * 3:
            s = socket.create_connection((host, int(port)), timeout=20)
            kept.append(s)  # some stay open, as those of a slow scanner do
            try:
                s.sendall(data)
            except OSError:
                pass  # it has been thrown out already
            if len(kept) % 2:
                s.close()
        self.worker('alice', '--serve', 'tcp://127.0.0.1:*', kind='decode')
        self.worker('bob')
        line = self.finish(consumer)
        for s in kept:
            s.close()
        self.assertGreater(line['refused'], len(kept) // 2)
        self.check()

    # --- Who is let in and lies ---

    def listed(self, name):
        """The keys of a worker, for pyzmq."""
        return read_keys(self.path(f'{name}.key'))

    def test_another_build_is_refused(self):
        self.consumer()
        hello = {'v': 1, 'kind': 'hello', 'role': 'augment', 'worker': 'x', 'build': 'other', 'check': '', 'host': '0' * 16,
                 'serve': [], 'key': '', 'datasets': [], 'pid': 0, 'memory_fd': 0, 'memory_nonce': 0}
        with zmq.Context() as context, context.socket(zmq.DEALER) as s:
            s.linger = 0
            dial_with(s, self.listed('alice'))
            s.connect(self.tcp)
            s.send(msgpack.packb(hello))
            self.assertTrue(s.poll(60000 * SLOW), 'no answer')
            answer = msgpack.unpackb(s.recv_multipart()[0])
        self.assertEqual(answer['kind'], 'refuse')
        self.assertIn('it is build other', answer['reason'])

    def test_flipped_pixel_stops_the_run(self):
        """A listed worker that sends every result again with one bit changed."""
        def flip(head, frames):
            if head['kind'] != 'augmented':
                return [frames]
            return [frames, [*frames[:2], bytes([frames[2][0] ^ 1]) + frames[2][1:], frames[3]]]

        consumer = self.consumer()
        tap = Tap(self.listen('tap'), self.tcp, change=flip, keys=self.listed('bob'))
        self.addCleanup(tap.stop)
        self.decode(DATA)
        self.augment(self.listen('tap'))
        self.assertEqual(consumer.wait(60), 1)
        self.assertIn('came back twice with different bytes', consumer.log().splitlines()[-1])

    # --- One clear line ---

    def one_line(self, process, expected):
        self.assertIn(process.wait(60), (1, 2))
        self.assertIn(expected, process.log().splitlines()[-1])

    def test_flags_that_do_not_protect_are_refused(self):
        key, allow, alice = self.keys('alice')
        tcp = 'tcp://127.0.0.1:*'
        self.one_line(self.count(DATA, listen=tcp, key=key), '--key needs --allow FILE')
        self.one_line(self.count(DATA, listen=tcp, allow=allow), '--allow needs --key FILE')
        self.one_line(self.count(DATA, listen='tcp://0.0.0.0:*'), 'give --key (scripts/tandem keygen)')
        self.one_line(self.decode(DATA, '--serve', 'tcp://0.0.0.0:*'), 'give --key (scripts/tandem keygen)')
        self.one_line(self.count(DATA, listen=tcp, key=key, allow=self.path('absent')), 'cannot read')
        self.one_line(self.augment('tcp://127.0.0.1:1', '--key', key), "has no line 'server'")
        self.one_line(self.count(DATA, listen='tcp://no.such.name.invalid:5555', key=key, allow=allow), 'no such address')
        os.chmod(alice, 0o640)
        self.one_line(self.augment('tcp://127.0.0.1:1', '--key', alice), f'run chmod 600 {alice}')
        with open(self.path('bad.key'), 'w', opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.write('public 00\n')
        self.one_line(self.augment('tcp://127.0.0.1:1', '--key', self.path('bad.key')), 'line 1: not a key')

    def test_worker_leaves_when_nobody_lets_it_in(self):
        [_, _, alice] = self.keys('alice')
        with socket.socket() as s:  # bound, but nobody listens
            s.bind(('127.0.0.1', 0))
            worker = self.augment(f'tcp://127.0.0.1:{s.getsockname()[1]}', '--key', alice, '--connect-wait-s', '0.5')
            self.one_line(worker, 'has let this worker in for 0.5 s')

    def test_ipv6(self):
        try:
            with socket.socket(socket.AF_INET6) as s:
                s.bind(('::1', 0))
        except OSError:
            self.skipTest('no IPv6 here')
        consumer = self.consumer('tcp://[::1]:*')
        self.assertTrue(self.tcp.startswith('tcp://[::1]:'), self.tcp)
        self.worker('alice', '--serve', 'tcp://[::1]:*', kind='decode')
        self.worker('bob')
        self.finish(consumer)
        self.check()

    # --- Key files ---

    def refuse(self, *words):
        done = subprocess.run([program('keygen'), *words], capture_output=True, text=True, cwd=self.folder)
        self.assertIn(done.returncode, (1, 2))
        return done.stderr

    def test_key_files_are_private_and_never_overwritten(self):
        key, allow, alice = self.keys('alice')
        for path in (key, alice):
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        before = [self.read(os.path.basename(p)) for p in (key, allow, alice)]
        self.assertIn('is there already', self.refuse(key))
        self.assertIn('is there already', self.refuse('--worker', 'alice', '--for', key))
        self.assertIn("a key named 'alice' already", self.refuse('--worker', 'alice', '--for', key, '--out', 'second.key'))
        self.assertFalse(os.path.exists(self.path('second.key')))
        self.assertIn('is a worker', self.refuse('--worker', 'eve', '--for', alice))
        self.assertIn('a name has', self.refuse('--worker', '../eve', '--for', key))
        self.assertIn('belong together', self.refuse('--worker', 'eve'))
        self.assertEqual([self.read(os.path.basename(p)) for p in (key, allow, alice)], before)
        self.assertEqual(sorted(os.listdir(self.folder)), ['alice.key', 'run.allow', 'run.key'])
        self.assertIn(read_keys(alice)['public'].hex() + ' alice\n', before[1])
        self.assertEqual(read_keys(alice)['server'], read_keys(key)['public'])


if __name__ == '__main__':
    unittest.main()
