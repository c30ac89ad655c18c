"""Child processes: how they start, what their end means, how they stop.

Children get a session of their own, so that Ctrl-C reaches only the supervisor, which stops them in order. TANDEM_PARENT
makes them leave when the supervisor dies. What they print goes to a log file each.
"""
import os
import re
import select
import signal
import subprocess
import time

from .errors import Failure, Interrupted

_BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)
_STEADY_S = 10.0  # a child that lived this long starts counting its failures anew
_QUICK_FAILURES = 5


def quoted(words):
    """A command line that can be pasted into a shell."""
    return ' '.join(w if re.fullmatch(r'[\w@%+=:,./-]+', w) else "'" + w.replace("'", "'\\''") + "'" for w in words)


class Child:
    """One program, started as often as needed; its log is appended to. `run` is the RunFolder that records it."""

    def __init__(self, name, command, log, run):
        self.name, self.command, self.log, self.run = name, command, log, run
        self.process, self.started, self.restarts = None, 0.0, 0
        self._log_start = 0

    def start(self, extra=()):
        with open(self.log, 'ab') as out:
            out.write(f'$ {quoted(self.command + list(extra))}\n'.encode())
            out.flush()
            self._log_start = out.tell()
            try:
                self.process = subprocess.Popen(self.command + list(extra), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                                start_new_session=True,
                                                env=dict(os.environ, TANDEM_PARENT=str(os.getpid())))
            except OSError as error:
                raise Failure(f'{self.name}: cannot start {self.command[0]}: {error.strerror.lower()}')
        self.started = time.monotonic()
        self.run.add_child(self.name, self.process.pid)

    def ended(self):
        """The exit status once it has ended (negative: the signal that ended it), None before."""
        if self.process is None:
            return None
        status = self.process.poll()
        if status is not None:
            self.run.drop_child(self.process.pid)
        return status

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        if self.running:
            self.process.send_signal(number)

    def error_line(self):
        """The last error this start printed, for people."""
        try:
            with open(self.log, 'rb') as stream:
                stream.seek(self._log_start)
                lines = stream.read()[-65536:].decode(errors='replace').splitlines()
        except OSError:
            return ''
        errors = [line for line in lines if ': error: ' in line or 'ERROR: ' in line]
        return (errors or lines or [''])[-1].strip()


class Worker(Child):
    """A decode or augment worker: started again when it dies, a little later each time."""

    def __init__(self, *args):
        super().__init__(*args)
        self._failures, self._again_at = 0, None

    def tend(self, events):
        """Call often: notices an end and starts again in time. Raises Failure when starting again cannot help."""
        if self._again_at is not None:
            if time.monotonic() >= self._again_at:
                self._again_at = None
                self.restarts += 1
                self.start()
            return
        status = self.ended()
        if status is None:
            return
        if time.monotonic() - self.started >= _STEADY_S:
            self._failures = 0
        if status == 2:
            raise Failure(f'{self.name}: {self.error_line()} (log: {self.log})')
        if status != 0:
            self._failures += 1
            if status > 0 and status != 130 and self._failures >= _QUICK_FAILURES:
                raise Failure(f'{self.name} failed {self._failures} times in a row: {self.error_line()} (log: {self.log})')
            events(f'{self.name} {ending(status)}; starting it again')
        wait = _BACKOFF_S[min(max(self._failures - 1, 0), len(_BACKOFF_S) - 1)]
        self._again_at = time.monotonic() + wait
        self.process = None


def ending(status):
    """How a process ended, in words."""
    if status >= 0:
        return f'ended with status {status}'
    try:
        return f'was ended by {signal.Signals(-status).name}'
    except ValueError:
        return f'was ended by signal {-status}'


class StopRequest:
    """SIGINT, SIGTERM and SIGHUP, counted; and a sleep that they, and children that end, cut short."""

    def __init__(self):
        self.count = 0
        self._reader, self._writer = os.pipe()
        for end in (self._reader, self._writer):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup
            signal.signal(signal.SIGHUP, self._stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def _stop(self, *_):
        self.count += 1

    def check(self):
        if self.count:
            raise Interrupted()

    def sleep(self, seconds):
        select.select([self._reader], [], [], seconds)
        try:
            os.read(self._reader, 4096)
        except BlockingIOError:
            pass


def stop_all(children, patience_s, stop):
    """SIGTERM to all; SIGKILL to those still there after `patience_s` or at the next signal to us."""
    seen = stop.count
    for child in children:
        child.signal(signal.SIGTERM)
        child.signal(signal.SIGCONT)  # a stopped one would not hear it
    until = time.monotonic() + patience_s
    while any(c.running for c in children) and time.monotonic() < until and stop.count == seen:
        stop.sleep(0.1)
    for child in children:
        child.signal(signal.SIGKILL)
    for child in children:
        if child.process:
            child.process.wait()
            child.ended()
