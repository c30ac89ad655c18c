"""The supervisor's ear: commands for one at work, such as `scale`, come through a Unix socket.

The socket lies in a private folder of its own, because its path may have only 107 bytes; the run's state says where. A request
and its answer are one line of JSON each. The supervisor listens between its other duties, so an answer may take a moment.
"""
import contextlib
import json
import os
import shutil
import socket
import tempfile

from .errors import Failure
from .state import alive

_ADDRESS_LIMIT = 107  # bytes of a Unix socket's path
_LINE_LIMIT = 65536
_PATIENCE_S = 60.0


def private_folder():
    """A new folder for sockets that only this user can reach, with a short name."""
    base = os.environ.get('XDG_RUNTIME_DIR', '')
    if not os.access(base, os.W_OK) or len(base) > _ADDRESS_LIMIT - 40:
        base = '/tmp'
    return tempfile.mkdtemp(prefix='tandem-', dir=base)


class Control:
    """`answer(request)` is called for every request and returns text for whoever asked; a Failure goes there too."""

    def __init__(self, run, answer):
        self._run, self._answer = run, answer
        self._folder = run.state['control'] = private_folder()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._socket.bind(os.path.join(self._folder, 'control'))
        self._socket.listen()
        self._socket.setblocking(False)
        run.save()

    def poll(self):
        """Answers who has asked since the last call."""
        while True:
            try:
                connection, _ = self._socket.accept()
            except BlockingIOError:
                return
            with connection, contextlib.suppress(OSError):  # who asked may be gone
                connection.settimeout(1.0)
                connection.sendall(json.dumps(self._handle(_line(connection))).encode() + b'\n')

    def _handle(self, line):
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise ValueError
        except ValueError:
            return {'error': 'not a request'}
        try:
            return {'text': self._answer(request)}
        except Failure as failure:
            return {'error': str(failure)}

    def close(self):
        self._socket.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._run.state.pop('control', None)


def _line(connection):
    """What comes until the end of a line or of the connection."""
    data = b''
    while not data.endswith(b'\n') and len(data) < _LINE_LIMIT:
        more = connection.recv(4096)
        if not more:
            break
        data += more
    return data.decode(errors='replace')


def ask(run, request):
    """The answer of the supervisor at work in `run`. Raises Failure: nobody there, no answer, or what it objects to."""
    where, folder = os.path.relpath(run.path), run.state.get('control')
    if not alive(run.state.get('supervisor')):
        raise Failure(f'{where}: nobody at work; set worker counts in the pipeline file, or start it: scripts/tandem run')
    if not folder:
        raise Failure(f'{where}: the supervisor is still starting; try again')
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_PATIENCE_S)
        try:
            connection.connect(os.path.join(folder, 'control'))
            connection.sendall(json.dumps(request).encode() + b'\n')
            answer = json.loads(_line(connection) or 'null')
        except TimeoutError:
            raise Failure(f'{where}: the supervisor is busy and has not answered for {_PATIENCE_S:.0f} s; try again')
        except (OSError, ValueError):
            answer = None
    if not isinstance(answer, dict):
        raise Failure(f'{where}: the supervisor ended before it answered')
    if 'error' in answer:
        raise Failure(answer['error'])
    return answer.get('text', '')
