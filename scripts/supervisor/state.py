"""The run folder: what happened in it, who is at work in it, and what a killed supervisor left behind.

    DIR/.tandem/lock        held (flock) by the supervisor at work
    DIR/.tandem/state.json  supervisor, children, and a record per stage; replaced atomically
    DIR/.tandem/hashes.json what `content` remembers
"""
import contextlib
import fcntl
import json
import os
import shutil
import signal
import time

from .errors import Failure

VERSION = 1


def started_at(pid):
    """The start time of a process in clock ticks since boot; None if it is gone. With the pid it names a process for good."""
    try:
        with open(f'/proc/{pid}/stat', encoding='utf-8', errors='replace') as stream:
            fields = stream.read().rpartition(')')[2].split()
    except OSError:
        return None
    return None if fields[0] == 'Z' else int(fields[19])


def boot():
    """Names this start of this machine."""
    try:
        with open('/proc/sys/kernel/random/boot_id', encoding='ascii') as stream:
            return stream.read().strip()
    except OSError:
        return ''


def alive(process):
    """Whether a recorded {pid, start} is still the same running process."""
    return bool(process) and started_at(process['pid']) == process['start']


def write_text(path, text):
    """Old or new, never half. Raises Failure."""
    temporary = f'{path}.tmp'
    try:
        with open(temporary, 'w', encoding='utf-8') as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.remove(temporary)
        raise Failure(f'cannot write {path}: {error.strerror.lower()}')


def read_json(path, default=None):
    try:
        with open(path, encoding='utf-8') as stream:
            return json.load(stream)
    except (OSError, ValueError):
        return default


class RunFolder:
    """A run folder. Reading needs no lock; whoever runs stages takes it with `take`."""

    def __init__(self, path):
        self.path = os.path.abspath(path)
        self._own = os.path.join(self.path, '.tandem')
        self._lock = None
        self.state = {'version': VERSION, 'stages': {}, 'children': []}

    def stage_folder(self, name):
        return os.path.join(self.path, name)

    @property
    def graph_file(self):
        """The pipeline's picture, for the report."""
        return os.path.join(self._own, 'graph.svg')

    def exists(self):
        return os.path.isfile(os.path.join(self._own, 'state.json'))

    def load(self):
        """Reads what happened. Raises Failure if another version wrote it, or if it cannot be read."""
        path = os.path.join(self._own, 'state.json')
        found = read_json(path)
        if found is None and not os.path.exists(path):
            return
        if not isinstance(found, dict) or not isinstance(found.get('stages', {}), dict):
            raise Failure(f'{path} is damaged; delete {self._own} to forget what has run here, or choose another --run')
        if found.get('version') != VERSION:
            raise Failure(f"{self.path}: made by another version of Tandem (state {found.get('version')}, this one writes "
                          f'{VERSION}); choose another --run')
        if found.get('boot') != boot():  # process numbers of then mean nothing now
            found['children'] = []
            found.pop('supervisor', None)
        self.state = found

    def save(self):
        write_text(os.path.join(self._own, 'state.json'), json.dumps(self.state, indent=1) + '\n')

    def _try_to_save(self):
        """For what the next supervisor finds out by itself: on a full disk, the first reason is the one to tell."""
        with contextlib.suppress(Failure):
            self.save()

    def take(self, pipeline):
        """Becomes the one supervisor of this folder. Raises Failure if there is another, or it holds something else."""
        try:
            os.makedirs(self._own, exist_ok=True)
            self._lock = open(os.path.join(self._own, 'lock'), 'w', encoding='utf-8')
        except OSError as error:
            raise Failure(f'{self._own}: {error.strerror.lower()}; choose another --run')
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.load()
            pid = self.state.get('supervisor', {}).get('pid', '?')
            raise Failure(f'{self.path}: another supervisor (process {pid}) is at work here; stop it with scripts/tandem stop '
                          f'--run {self.path}, or choose another --run')
        self.load()
        self.state['pipeline'] = {'file': os.path.abspath(pipeline.file), 'name': pipeline.name,
                                  'stages': list(pipeline.stages), 'table': pipeline.table}

    def records(self):
        """{name: record} of the pipeline's stages that have run, in the pipeline's order."""
        found = self.state['stages']
        return {n: found[n] for n in self.state.get('pipeline', {}).get('stages', []) if n in found}

    def table(self):
        """What the pipeline's table shows (`table.definition`); None if it has none."""
        return self.state.get('pipeline', {}).get('table')

    def hashes(self):
        return read_json(os.path.join(self._own, 'hashes.json'), {})

    def save_hashes(self, cache):
        """What is not saved is computed again."""
        known = {p: v for p, v in cache.items() if os.path.exists(p)}
        with contextlib.suppress(Failure):
            write_text(os.path.join(self._own, 'hashes.json'), json.dumps(known, indent=1) + '\n')

    # --- Processes ---

    def register_supervisor(self):
        self.state['boot'] = boot()
        self.state['supervisor'] = {'pid': os.getpid(), 'start': started_at(os.getpid())}
        self.save()

    def release(self):
        self.state.pop('supervisor', None)
        self.state['children'] = []
        self._try_to_save()
        self._lock.close()

    def add_child(self, name, pid):
        self.state['children'].append({'name': name, 'pid': pid, 'start': started_at(pid)})
        self.save()

    def drop_child(self, pid):
        self.state['children'] = [c for c in self.state['children'] if c['pid'] != pid]
        self._try_to_save()

    def end_leftovers(self, patience_s=20.0):
        """Ends what a supervisor that was killed left running, first to last. Returns their names."""
        left = [c for c in self.state['children'] if alive(c)]
        for child in left:
            _signal(child, signal.SIGTERM)
            _signal(child, signal.SIGCONT)  # a stopped one would not hear it
        until = time.monotonic() + patience_s
        while any(map(alive, left)) and time.monotonic() < until:
            time.sleep(0.05)
        for child in left:
            _signal(child, signal.SIGKILL)
        self.state['children'] = []
        for record in self.state['stages'].values():
            if record['state'] == 'running':
                record['state'] = 'interrupted'
        for sockets in filter(None, (self.state.pop(key, None) for key in ('sockets', 'control'))):
            shutil.rmtree(sockets, ignore_errors=True)
        return [c['name'] for c in left]


def _signal(child, number):
    if alive(child):
        try:
            os.kill(child['pid'], number)
        except ProcessLookupError:
            pass
