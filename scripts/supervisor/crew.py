"""The workers of a stage on this machine: how many of each kind, started, tended, and let go.

Any number gives the same batches, so counts may change at any moment (`scale`). A worker that is let go gets SIGTERM: it finishes
the shard in hand, says goodbye and leaves; what it held otherwise is handed out again at once.
"""
import signal
import time

from .process import Worker, stop_all

KINDS = ('decode', 'augment')
MOST = 1024
_PATIENCE_S = 10.0


class Crew:
    """`command(kind, number)`: the command line of a worker, counted from 1; `log(name)`: its log file; `run`: the RunFolder that records children."""

    def __init__(self, stage, command, log, run):
        self._stage, self._command, self._log, self._run = stage, command, log, run
        self._workers = {kind: [] for kind in KINDS}  # number i + 1 stands at place i
        self._leaving = []  # (worker, until when)
        self._gone_restarts = dict.fromkeys(KINDS, 0)

    def counts(self):
        return {kind: len(workers) for kind, workers in self._workers.items()}

    @property
    def restarts(self):
        return sum(self.restart_counts().values())

    def restart_counts(self):
        """{kind: how many starts were not the first}."""
        return {kind: self._gone_restarts[kind] + sum(w.restarts for w in self._workers[kind]) for kind in KINDS}

    def _all(self):
        return [w for kind in KINDS for w in self._workers[kind]]

    def slots(self):
        """{pid: 'augment-2'} of the workers at work."""
        return {w.process.pid: w.name.rpartition('/')[2] for w in self._all() + [w for w, _ in self._leaving] if w.running}

    def scale(self, kind, count):
        """Starts workers or lets the last ones go until there are `count`. Raises Failure when one cannot be started."""
        workers = self._workers[kind]
        while len(workers) > count:
            worker = workers.pop()
            self._gone_restarts[kind] += worker.restarts
            worker.signal(signal.SIGTERM)
            worker.signal(signal.SIGCONT)  # a stopped one would not hear it
            if worker.running:
                self._leaving.append((worker, time.monotonic() + _PATIENCE_S))
            else:
                worker.ended()
        while len(workers) < count:
            name = f'{kind}-{len(workers) + 1}'
            worker = Worker(f'{self._stage}/{name}', self._command(kind, len(workers) + 1), self._log(name), self._run)
            worker.start()
            workers.append(worker)

    def tend(self, events):
        """Call often: starts workers that died again, and sees off those that leave. Raises Failure when nothing helps."""
        for worker in self._all():
            worker.tend(events)
        still = []
        for worker, until in self._leaving:
            if worker.ended() is not None:
                continue
            if time.monotonic() >= until:
                worker.signal(signal.SIGKILL)
            still.append((worker, until))
        self._leaving = still

    def stop(self, stop):
        stop_all(self._all() + [w for w, _ in self._leaving], _PATIENCE_S, stop)
