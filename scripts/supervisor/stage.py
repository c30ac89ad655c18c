"""Runs one stage: the consumer and its workers, until it has finished, failed or been stopped.

A worker that dies is started again. A consumer that crashes is resumed from its last checkpoint where it can resume,
otherwise started afresh, a few times; one that reports an error fails the stage at once, because trying again would
not help. Whatever happens, nothing it started is left running.
"""
import os
import shutil

from .bottleneck import bottleneck
from .control import private_folder
from .crew import KINDS, Crew
from .errors import Failure
from .meter import Meter
from .pipeline import resolve
from .plan import arguments
from .process import Child, ending, stop_all
from .remote import is_local, serve_values
from .state import read_json

_RESTARTS = 3
_TICK_S = 0.1
_CHECKPOINT_PATIENCE_S = 120.0  # a consumer that was asked to stop writes a checkpoint first


class StageRun:
    """One attempt at a stage. `view` is told what happens; `stop` says when to give up; `meanwhile` is called often.
    `crew`: the workers; None where the stage has no feed."""

    def __init__(self, pipeline, stage, run, programs, view, stop, meanwhile):
        self.pipeline, self.stage, self.run, self.view, self.stop = pipeline, stage, run, view, stop
        self.meanwhile, self.meter = meanwhile, Meter()
        self.programs = programs
        self.folder = run.stage_folder(stage.name)
        self.progress_file = os.path.join(self.folder, 'progress.json')
        self.restarts = 0
        self._phases = {}  # a stage may report several kinds of work, one after another
        self._sockets = None
        self.crew = Crew(stage.name, self._worker_command, self._log, run) if stage.feed else None

    def execute(self, resume, counts):
        """Returns what is worth keeping of the last progress. `counts`: kind to how many workers. Raises Failure or Interrupted."""
        os.makedirs(os.path.join(self.folder, 'logs'), exist_ok=True)
        if os.path.exists(self.progress_file):
            os.remove(self.progress_file)
        consumer = None
        try:
            consumer = Child(self.stage.name, self._command(), self._log(self.stage.kind.replace(' ', '-')), self.run)
            consumer.start(['--resume'] if resume and self.stage.program.takes('resume') else [])
            for kind in KINDS if self.crew else ():
                self.crew.scale(kind, counts[kind])
            self._watch(consumer)
        finally:
            self._end(consumer)
        self._look()
        fed = [p for p in self._phases.values() if p.get('workers')]
        last = fed or list(self._phases.values())
        return {'progress': last[-1] if last else {}, 'restarts': self.restarts,
                'worker_restarts': self.crew.restarts if self.crew else 0, 'load': self._whole_load()}

    def restart_counts(self):
        """{what: how often it was started again}."""
        return {self.stage.kind: self.restarts} | (self.crew.restart_counts() if self.crew else {})

    def _whole_load(self):
        """Who worked how much of the time, for the report; None if there was nobody to ask."""
        load = self.meter.whole()
        if not load:
            return None
        busy = {role: {'workers': r.workers, 'busy': round(r.busy, 4), 'rate': round(r.rate, 1)} for role, r in load.roles.items()}
        return {'roles': busy, 'what': load.what, 'waits': load.waits, 'bottleneck': bottleneck(self.stage.name, load)[0]}

    def _look(self):
        progress = read_json(self.progress_file)
        if progress:
            self._phases[progress.get('what')] = progress
            self.meter.update(progress, self.crew.slots() if self.crew else {})
        return progress

    # --- Starting ---

    def _log(self, name):
        return os.path.join(self.folder, 'logs', f'{name}.log')

    def _command(self):
        program, values = self.stage.program, arguments(self.pipeline, self.stage, self.run.path)
        for key in ('out', 'result'):
            if isinstance(values.get(key), str):
                os.makedirs(os.path.dirname(os.path.abspath(values[key])), exist_ok=True)
        if program.takes('replace') and os.path.abspath(values.get('out', '')).startswith(self.run.path + os.sep):
            values['replace'] = True  # what stands in the run folder is ours
        if self.stage.feed:
            values['dataset'] = self._dataset()
            values['listen'] = self._listen()
            values.update(self._keys())
        return [*program.words, *program.arguments(values), '--progress', self.progress_file]

    def _dataset(self):
        return self._path('dataset')

    def _path(self, key):
        return resolve(self.pipeline, self.stage, self.stage.feed[key], self.run.path)

    def _listen(self):
        """The consumer's addresses. The first is for the workers of this machine: a socket in a private folder with a short
        name, or the file's."""
        given = self.stage.feed.get('listen')
        if given and given.startswith('ipc://'):
            return [given]
        if not self._sockets:
            self._sockets = self.run.state['sockets'] = private_folder()
            self.run.save()
        return [f'ipc://{self._sockets}/feed', *([given] if given else [])]

    def _keys(self):
        """The flags for keys: the list stands beside the key unless the file says where."""
        key, allow = (self._path(k) if k in self.stage.feed else None for k in ('key', 'allow'))
        if key and not allow:
            allow = f"{key[:-len('.key')] if key.endswith('.key') else key}.allow"
        return {name: path for name, path in (('key', key), ('allow', allow)) if path}

    def _serve(self, number):
        """Where a decode worker of this machine serves those of others, if the consumer listens to them."""
        feed, keys = self.stage.feed, self._keys()
        listen = feed.get('listen', 'ipc://')
        if 'serve' not in feed and (is_local(listen) and not keys or listen.startswith('ipc://')):
            return {}
        values = serve_values(feed.get('serve') or f"{listen.rpartition(':')[0]}:*", number)
        if 'key' in keys:
            values['key'] = keys['key']
        elif self.stage.values.get('insecure') is True:
            values['insecure'] = True
        return values

    def _worker_command(self, kind, number):
        program, values = self.programs.get(kind), {'connect': self._listen()[0]}
        if program.takes('dataset'):
            values['dataset'] = self._dataset()
        values |= {key: self.stage.feed[key] for key in ('threads', 'isa') if key in self.stage.feed}
        if program.takes('serve'):
            values.update(self._serve(number))
        return [program.path, *program.arguments(values)]

    # --- Watching ---

    def _watch(self, consumer):
        while True:
            self.stop.check()
            status = consumer.ended()
            if status == 0:
                return
            if status is not None:
                self._revive(consumer, status)
            if self.crew:
                self.crew.tend(self.view.event)
            progress = self._look()
            self.view.progress(self.stage.name, progress, self.meter.load())
            self.meanwhile()
            self.stop.sleep(_TICK_S)

    def _revive(self, consumer, status):
        """Starts a crashed consumer again. Raises Failure when it reported an error, or crashes again and again."""
        if status in (1, 2):
            raise Failure(f"stage '{self.stage.name}' failed: {consumer.error_line() or ending(status)} (log: {consumer.log})")
        if self.restarts == _RESTARTS:
            raise Failure(f"stage '{self.stage.name}' {ending(status)}, after {_RESTARTS} restarts: {consumer.error_line()} "
                          f'(log: {consumer.log})')
        self.restarts += 1
        resumes = self.stage.program.takes('resume')
        self.view.event(f"{self.stage.name} {ending(status)}; {'resuming from its last checkpoint' if resumes else 'starting again'}"
                        f' ({self.restarts} of {_RESTARTS})')
        self.stop.sleep(0.2 * self.restarts)
        consumer.start(['--resume'] if resumes else [])

    # --- Ending ---

    def _end(self, consumer):
        """Consumer first, so that it writes its checkpoint while its workers still serve it."""
        if consumer and consumer.running:
            self.view.event(f'stopping {self.stage.name} (Ctrl-C again: at once, without a checkpoint)')
            stop_all([consumer], _CHECKPOINT_PATIENCE_S, self.stop)
        if self.crew:
            self.crew.stop(self.stop)
        if self._sockets:
            shutil.rmtree(self._sockets, ignore_errors=True)
            self.run.state.pop('sockets', None)
            self._sockets = None
