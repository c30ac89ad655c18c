"""Workers for a run on another machine: `tandem worker`.

They dial the run's consumer, wait while there is none, and follow it from stage to stage. Decode workers offer every dataset
they are given; which of them a stage needs is found by fingerprint, so paths may differ between machines.
"""
import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time

from .crew import Crew
from .errors import Failure, Interrupted
from .process import StopRequest
from .programs import Programs

_TICK_S = 0.1
_LOOK_S = 5.0
_LOCAL = re.compile(r'^(ipc://.*|tcp://(127\.[0-9.]+|localhost|\[::1\]):[^:]*)$')


def endpoint_of(text):
    """HOST:PORT, or an endpoint as it stands."""
    if re.match(r'^(tcp|ipc)://.+', text):
        return text
    if re.match(r'^(\[[0-9A-Fa-f:.%]+\]|[^:\[\]/]+):\d+$', text):
        return f'tcp://{text}'
    raise Failure(f"--connect '{text}' is not an address; it looks like HOST:PORT, [IPV6]:PORT or ipc://PATH", 2)


def is_local(endpoint):
    """Nobody on another machine can be at its other end."""
    return bool(_LOCAL.match(endpoint))


class _Children:
    """What Child records to; nothing of this outlives the process."""

    def add_child(self, name, pid):
        pass

    def drop_child(self, pid):
        pass


class Datasets:
    """The readable datasets at some paths, looked for again now and then. `say`: told what is found and what is not one."""

    def __init__(self, paths, ingest, say):
        self._paths, self._ingest, self._say = paths, ingest, say
        self._known = {}  # path: (stamp, fingerprint or None)
        for path in paths:
            if not os.path.exists(path):
                raise Failure(f'--dataset {path}: nothing there')

    def look(self):
        """Paths of the datasets that are there now, one per fingerprint."""
        found = {}
        for path in self._candidates():
            with contextlib.suppress(OSError):
                s = os.stat(path)
                stamp = (s.st_ino, s.st_size, s.st_mtime_ns)
                if self._known.get(path, (None,))[0] != stamp:
                    self._known[path] = (stamp, self._fingerprint(path))
                fingerprint = self._known[path][1]
                if fingerprint:
                    found.setdefault(fingerprint, path)
        return sorted(found.values())

    def _candidates(self):
        for path in self._paths:
            if not os.path.isdir(path) or path.endswith('.lmdb'):
                yield path
                continue
            for folder, folders, files in os.walk(path):
                folders.sort()
                yield from (os.path.join(folder, f) for f in sorted(files) if f.endswith('.lmdb'))

    def _fingerprint(self, path):
        done = subprocess.run([self._ingest, 'info', path, '--json'], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        try:
            info = json.loads(done.stdout) if done.returncode == 0 else None
        except ValueError:
            info = None
        if not info:
            why = (done.stderr.strip().splitlines() or ['not a dataset'])[-1]
            if path in self._paths or 'not a dataset' not in why:  # a run's folder has features, too, that nobody asked for
                self._say(f'{path} is left out: {why}')
            return None
        self._say(f"offers {path}: dataset '{info['name']}', fingerprint {info['fingerprint']}")
        return info['fingerprint']


class Remote:
    """`a`: the command line."""

    def __init__(self, a):
        self.a, self.endpoint = a, endpoint_of(a.connect)
        if not (a.key or a.insecure or is_local(self.endpoint)):
            raise Failure(f'{self.endpoint} is on another machine: give --key FILE (scripts/tandem keygen --worker NAME --for '
                          "the consumer's), or --insecure where everybody on the network is trusted", 2)
        if a.key and not os.path.isfile(a.key):
            raise Failure(f'--key {a.key}: no such file', 2)
        self.programs = Programs()
        self.datasets = Datasets([os.path.abspath(p) for p in a.dataset], self.programs.get('ingest').path, self.say)
        self.wanted = self._counts()
        self.offered = []
        self._read = {}

    def _counts(self):
        a, cores = self.a, len(os.sched_getaffinity(0))
        if a.decode and not a.dataset:
            raise Failure('--decode needs --dataset PATH: a dataset, or a folder with datasets', 2)
        if a.decode is None and a.augment is None:
            return {'decode': max(1, cores // 4) if a.dataset else 0, 'augment': cores}
        return {'decode': a.decode or 0, 'augment': a.augment or 0}

    @staticmethod
    def say(text):
        print(text, flush=True)

    def _command(self, kind, number):
        program, values = self.programs.get(kind), {'connect': self.endpoint}
        if self.a.key:
            values['key'] = os.path.abspath(self.a.key)
        if kind == 'decode':
            values['dataset'] = self.offered
            values.update(serve_values(self.a.serve, number))
            if self.a.advertise:
                values['advertise'] = self.a.advertise
            if self.a.insecure:
                values['insecure'] = True
        return [program.path, *program.arguments(values)]

    def run(self):
        """Until Ctrl-C. Raises Failure when a worker cannot be started or fails again and again."""
        stop = StopRequest()
        logs = self.a.logs or tempfile.mkdtemp(prefix='tandem-worker-')
        os.makedirs(logs, exist_ok=True)
        crew = Crew('worker', self._command, lambda name: os.path.join(logs, f'{name}.log'), _Children())
        self.say(f"workers for the run at {self.endpoint}: {self.wanted['decode']} decode, {self.wanted['augment']} augment")
        try:
            self._tend(crew, stop, logs)
        except Interrupted:
            self.say('stopping the workers')
            return 130
        finally:
            crew.stop(stop)
            self._show(logs)
            if not self.a.logs:
                shutil.rmtree(logs, ignore_errors=True)

    def _tend(self, crew, stop, logs):
        crew.scale('augment', self.wanted['augment'])
        look_at = 0.0
        while True:
            stop.check()
            if self.wanted['decode'] and time.monotonic() >= look_at:
                self._offer(crew)
                look_at = time.monotonic() + _LOOK_S
            crew.tend(self.say)
            self._show(logs)
            stop.sleep(_TICK_S)

    def _offer(self, crew):
        """Decode workers are started anew when there is another dataset to offer: what they hold is handed out again."""
        found = self.datasets.look()
        if found == self.offered:
            return
        self.offered = found
        crew.scale('decode', 0)
        crew.scale('decode', self.wanted['decode'] if found else 0)

    def _show(self, logs):
        """Prints what the workers have said since the last time."""
        for name in sorted(os.listdir(logs)):
            with open(os.path.join(logs, name), 'rb') as stream:
                stream.seek(self._read.get(name, 0))
                text = stream.read()
            whole = text[:text.rfind(b'\n') + 1]
            self._read[name] = self._read.get(name, 0) + len(whole)
            for line in whole.decode(errors='replace').splitlines():
                if not line.startswith('$ '):
                    self.say(f"{name[:-len('.log')]}: {line}")


def serve_values(serve, number):
    """Where decode worker `number` (from 1) serves: always its own machine, and at `serve` (the next ports for the next
    workers), if given."""
    if not serve:
        return {}
    host, _, port = serve.rpartition(':')
    if port.isdecimal() and int(port):
        serve = f'{host}:{int(port) + number - 1}'
    return {'serve': ['ipc://*', serve]}
