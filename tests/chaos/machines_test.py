"""Fault tests 1 and 11 over a network: augment workers in network namespaces, as on machines of their own, with keys. The ledger
is that of one worker over ipc. Needs root and `ip`; a machine without them skips, and counts it."""
import os
import re
import shutil
import subprocess
import sys
import unittest

from chaos import ChaosTest
from harness import ROOT, program

STEPS = 40
MACHINES = 4


def ip(*words, check=True):
    return subprocess.run(['ip', *words], check=check, capture_output=True, text=True)


def why_not():
    """What is missing for namespaces; None if nothing is."""
    if os.geteuid() != 0:
        return 'needs root'
    pid, made = os.getpid(), []
    try:
        for words in (['netns', 'add', f'tandem-{pid}-try'], ['link', 'add', f'tb{pid}', 'type', 'bridge'],
                      ['link', 'add', f'th{pid}', 'type', 'veth', 'peer', 'name', f'tc{pid}']):
            ip(*words)
            made.append([words[0], 'del', words[2]])
    except (OSError, subprocess.CalledProcessError) as error:
        return f'no network namespaces here: {getattr(error, "stderr", "") or error}'.strip()
    finally:
        for words in reversed(made):
            ip(*words, check=False)
    return None


def sweep():
    """Removes what a test that was killed has left."""
    gone = lambda pid: not os.path.exists(f'/proc/{pid}')
    for name, pid in re.findall(r'^(tandem-(\d+)-\w+)', ip('netns', 'list', check=False).stdout, re.M):
        if gone(pid):
            ip('netns', 'del', name, check=False)
    for name, pid in re.findall(r'^(tb(\d+)) ', ip('-br', 'link', check=False).stdout, re.M):
        if gone(pid):
            ip('link', 'del', name, check=False)


class Machines(ChaosTest):
    """A bridge with the consumer's address, and a namespace per machine with a cable to it."""
    shared_memory = False

    def setUp(self):
        super().setUp()
        missing = why_not()
        if missing:
            self.skipTest(missing)
        sweep()
        pid = os.getpid()
        self.net = f'10.{200 + pid // 250 % 50}.{pid % 250}'
        self.bridge, self.names = f'tb{pid}', [f'tandem-{pid}-{i}' for i in range(MACHINES)]
        self.address = f'{self.net}.254'
        self.addCleanup(self.unplug)
        ip('link', 'add', self.bridge, 'type', 'bridge')
        ip('addr', 'add', f'{self.address}/24', 'dev', self.bridge)
        ip('link', 'set', self.bridge, 'up')
        for i, name in enumerate(self.names):
            self.plug(i, name)
        for where, address in ((self.names[0], f'{self.net}.1'), (None, self.address)):
            if not self.reaches(where, address):
                self.skipTest(f'a firewall keeps network namespaces from {address}')

    def reaches(self, where, address):
        """Whether machine 1 can connect to a process on the machine `where` (None: here)."""
        inside = lambda name: ['ip', 'netns', 'exec', name] if name else []
        serve = 'import socket; s = socket.create_server(("", 0)); print(s.getsockname()[1], flush=True); s.accept()'
        with subprocess.Popen([*inside(where), sys.executable, '-c', serve], stdout=subprocess.PIPE, text=True) as server:
            dial = f'import socket; socket.create_connection(("{address}", {server.stdout.readline().strip()}), 60)'
            done = subprocess.run([*inside(self.names[1]), sys.executable, '-c', dial], capture_output=True)
            server.kill()
        return done.returncode == 0

    def plug(self, i, name):
        here, there = f'th{os.getpid()}-{i}', f'tc{os.getpid()}-{i}'
        ip('netns', 'add', name)
        ip('link', 'add', here, 'type', 'veth', 'peer', 'name', there)
        ip('link', 'set', here, 'master', self.bridge, 'up')
        ip('link', 'set', there, 'netns', name)
        ip('-n', name, 'addr', 'add', f'{self.net}.{i + 1}/24', 'dev', there)
        ip('-n', name, 'link', 'set', there, 'up')
        ip('-n', name, 'link', 'set', 'lo', 'up')

    def unplug(self):
        """Whatever has been made of it. The processes in the namespaces are gone: tearDown ends them."""
        for name in self.names:
            ip('netns', 'del', name, check=False)
        ip('link', 'del', self.bridge, check=False)

    def on_machine(self, i, *command, name='augment'):
        return self.start(['ip', 'netns', 'exec', self.names[i], *command], name)

    def augment_on(self, i, key):
        return self.on_machine(i, program('augment'), '--connect', self.tcp, '--key', key, '--no-shared-memory')

    def consumer(self, *names, **options):
        """Listens at every address of this machine and does not end by itself; returns it and the key files: its own and the
        workers'."""
        key, allow, *workers = self.keys(*names)
        consumer = self.count(self.data, '--listen', options.pop('tcp', 'tcp://0.0.0.0:*'), ledger='ledger', steps=10 ** 6, sleep_ms=20,
                              key=key, allow=allow, **options)
        port = self.until(lambda: re.findall(r'waits for workers at tcp://[^\s;]+:(\d+)', consumer.log()), 'the consumer listens')[0]
        self.tcp = f'tcp://{self.address}:{port}'
        return consumer, key, workers

    def takes_from(self, worker, *endpoints):
        self.until(lambda: all(f'takes decoded shards from {e}' in worker.log() for e in endpoints), f'{worker.name} fetches')

    def check_first_steps(self, consumer):
        """Lets the run go on for a while, ends it, and compares its first steps with those of one worker over ipc."""
        self.steps_done(max(STEPS, self.ledger_lines('ledger') + 10))
        consumer.stop()
        with open(self.path('ledger')) as f:
            lines = f.readlines()[:STEPS]
        with open(self.path('ledger'), 'w') as f:
            f.writelines(lines)
        self.check(steps=STEPS)

    def test_four_machines_give_the_batches_of_one(self):
        """The decode worker stands beside the consumer and is dialled at the consumer's host. One machine is killed and comes back."""
        consumer, key, keys = self.consumer('a', 'b', 'c', 'd')
        workers = [self.augment_on(i, k) for i, k in enumerate(keys)]
        self.until(lambda: consumer.log().count('augment worker') == MACHINES, 'all join')
        self.decode(self.data, '--key', key, '--serve', 'tcp://0.0.0.0:*')
        for w in workers:
            self.takes_from(w, f'tcp://{self.address}:')
        workers[1].child.kill()
        again = self.augment_on(1, keys[1])
        self.takes_from(again, f'tcp://{self.address}:')
        self.check_first_steps(consumer)
        self.assertNotIn('refused', consumer.log())

    def test_machines_serve_each_other(self):
        """A decode worker on machine 0 is dialled by machines 1 and 2, at the address from which it dialled; another on machine 3
        serves its own machine only, as behind NAT."""
        consumer, _, keys = self.consumer('a', 'b', 'c', 'd')
        serve = ['--dataset', self.data, '--no-shared-memory']
        decode = [self.on_machine(i, program('decode'), '--connect', self.tcp, '--key', keys[i], *serve, *more, name='decode')
                  for i, more in ((0, ['--serve', 'tcp://0.0.0.0:*']), (3, []))]
        self.until(lambda: all('works for run' in d.log() for d in decode), 'both decode workers join')
        far, near = [self.augment_on(i, keys[i]) for i in (1, 2)], self.augment_on(3, keys[3])
        for w in far:
            self.takes_from(w, f'tcp://{self.net}.1:')
        self.takes_from(near, f'tcp://{self.net}.1:', 'ipc://')
        self.check_first_steps(consumer)
        for w in far:
            self.assertNotIn('from ipc://', w.log())

    def test_worker_command_follows_from_run_to_run(self):
        """`tandem worker` on another machine, with a decode worker that finds the dataset in a folder by its fingerprint."""
        consumer, _, [key] = self.consumer('a', run='first')
        worker = self.on_machine(2, f'{ROOT}/scripts/tandem', 'worker', '--connect', self.tcp[len('tcp://'):], '--key', key,
                                 '--decode', '1', '--augment', '2', '--dataset', os.path.dirname(self.data), name='tandem')
        self.check_first_steps(consumer)
        os.remove(self.path('ledger'))
        consumer, *_ = self.consumer(run='second', tcp=f"tcp://0.0.0.0:{self.tcp.rpartition(':')[2]}")
        self.check_first_steps(consumer)
        self.assertEqual(worker.stop(), 130)
        self.assertIn(f'offers {self.data}', worker.output())
        for kind in ('decode-1', 'augment-1', 'augment-2'):
            for run in ('first', 'second'):
                self.assertRegex(worker.output(), rf"{kind}: .*works for run '{run}'")

    def test_wrong_key_gets_nothing(self):
        consumer, key, [good] = self.consumer('a')
        os.mkdir(self.path('copy'))  # a key for this consumer that is in another list
        shutil.copy(key, self.path('copy/run.key'))
        self.keygen('--worker', 'x', '--for', self.path('copy/run.key'))
        wrong = self.augment_on(0, self.path('copy/x.key'))
        self.until(lambda: 'its key is not in the list there' in wrong.log(), 'refusal')
        self.until(lambda: f'refused a connection from {self.net}.1' in consumer.log(), 'the consumer says so')
        self.decode(self.data, '--key', key, '--serve', 'tcp://0.0.0.0:*')
        self.takes_from(self.augment_on(1, good), f'tcp://{self.address}:')
        self.check_first_steps(consumer)
        self.assertNotIn('takes decoded shards', wrong.log())


if __name__ == '__main__':
    unittest.main()
