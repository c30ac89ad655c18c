"""One session of gpu-check: commands with time limits, the log, the results, the table."""
import json
import os
import signal
import subprocess
import threading
import time
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

from . import machine

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

class Done(namedtuple('Done', 'status text seconds')):
    """How a command ended. status None: stopped at its time limit."""

    @property
    def well(self):
        return self.status == 0


class Session:
    """What the parts use: `run`, `program`, the arguments `a`, what the machine has."""

    def __init__(self, a):
        self.a, self.root, self.build_dir = a, ROOT, f'{ROOT}/build/gpu'
        self.end = self.part_end = time.monotonic() + a.limit_s  # of everything, of a part
        os.makedirs(a.out, exist_ok=True)
        self.log_path, self.result_path = f'{a.out}/gpu-check.log', f'{a.out}/gpu-check.json'
        self.log, self.log_lock = open(self.log_path, 'w', encoding='utf-8'), threading.Lock()
        libraries, folders = machine.find_libraries(a.python)
        self.environment = dict(os.environ, LD_LIBRARY_PATH=':'.join(folders), TANDEM_ROOT=ROOT)
        self.results = {'machine': machine.description(libraries), 'parts': {}}
        self.torch = None
        if not a.host and not a.only:
            self.ask_for_torch()  # while the first part runs

    @property
    def has_torch(self):
        """Whether the interpreter has PyTorch; waits until that is known."""
        self.ask_for_torch()
        self.results['machine']['torch'] = self.torch.result()
        return self.torch.result() is not None

    def ask_for_torch(self):
        if not self.torch:
            self.torch = ThreadPoolExecutor(1).submit(machine.torch_version, self.a.python)

    def program(self, name):
        return f'{self.build_dir}/{name}'

    def build(self):
        """In the sources; a bundle is built."""
        if not os.path.exists(f'{ROOT}/Makefile'):
            return True
        print('gpu-check: building', flush=True)
        done = self.run(['make', '-s', f'-j{os.cpu_count()}', '-C', ROOT, 'gpu-programs'], 3600, shared=False)
        if not done.well:
            print(f'gpu-check: error: the build failed; see {self.log_path}', flush=True)
        self.end = self.part_end = time.monotonic() + self.a.limit_s
        return done.well

    def run(self, command, limit_s, shared=True, **environment):
        """Runs a command for at most limit_s, and if `shared` no longer than the part's time; all it says is logged."""
        command = [str(word) for word in command]
        limit_s = min(limit_s, self.part_end - time.monotonic()) if shared else limit_s
        start = time.monotonic()
        if limit_s <= 0:
            return self.logged(command, Done(None, 'not started: the time of gpu-check or of this part is over\n', 0))
        try:
            p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                 errors='replace', env={**self.environment, **environment}, start_new_session=True)
        except OSError as e:
            return self.logged(command, Done(127, f'{e}\n', 0))
        try:
            text, status = p.communicate(timeout=limit_s)[0], p.returncode
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)
            text, status = p.communicate()[0], None
        return self.logged(command, Done(status, text, time.monotonic() - start))

    def start(self, command):
        """A process that the caller ends; its output goes to the log."""
        return subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT,
                                env=self.environment)

    def stop(self, processes):
        """Asks them to end; who has not after ten seconds is ended."""
        for p in processes:
            p.terminate()
        for p in processes:
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()

    def logged(self, command, done):
        with self.log_lock:
            end = 'stopped at its time limit' if done.status is None else f'exit status {done.status}'
            self.log.write(f'$ {" ".join(command)}\n{done.text}[{end}, {done.seconds:.1f} s]\n\n')
            self.log.flush()
        return done

    def do(self, name, part, limit_s):
        """Runs a part and keeps what it found. A part gives a dict with verdict (passed, failed, skipped) and note, or raises."""
        print(f'gpu-check: {name}', flush=True)
        start = time.monotonic()
        self.part_end = min(self.end, start + limit_s)
        try:
            result = part(self) if start < self.end else {'verdict': 'not run', 'note': f'no time was left; --only {name} runs it'}
        except Exception as e:  # a part that breaks is a result, too
            result = {'verdict': 'failed', 'note': f'{type(e).__name__}: {e}'}
        result['seconds'] = round(time.monotonic() - start, 1)
        self.results['parts'][name] = result
        with open(f'{self.result_path}.new', 'w', encoding='utf-8') as f:
            json.dump(self.results, f, indent=1)
            f.flush()
            os.fsync(f.fileno())
        os.rename(f'{self.result_path}.new', self.result_path)

    def summary(self):
        machine_line = ', '.join(str(v) for k, v in self.results['machine'].items() if k in ('gpu', 'torch', 'cpu') and v)
        lines = [machine_line, '']
        for name, r in self.results['parts'].items():
            lines.append(f'{name:12} {r["verdict"]:8} {r["seconds"]:6.1f} s  {r["note"]}')
        tables = [r['table'] for r in self.results['parts'].values() if r.get('table')]
        text = '\n'.join(lines + [''] + ['\n'.join(t) + '\n' for t in tables])
        self.log.write(text)
        self.log.flush()
        return text

    def well(self):
        verdicts = [r['verdict'] for r in self.results['parts'].values()]
        return bool(verdicts) and set(verdicts) <= {'passed', 'skipped'}
