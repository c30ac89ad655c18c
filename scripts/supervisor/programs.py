"""The executables build/bin/tandem-* and what flags they take.

A stage kind is an executable, and where it has several commands one of these: `run: train` starts tandem-train, `run: train cost` its
command cost. What it accepts is read from its own --help, so a new executable, command or flag is known here without a word about it, and
a misspelt one is found before anything runs.
"""
import os
import re
import subprocess

from .errors import Failure, suggest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
_KINDS = {None: 'bool', 'N': 'int', 'X': 'float', 'VALUE': 'text', 'VALUE...': 'list'}
_FLAG = re.compile(r'^  --([a-z0-9-]+)(?: (N|X|VALUE\.\.\.|VALUE))?(?:\s+(.*))?$')
_CHOICES = re.compile(r'\(([^()\s|]+(?:\|[^()\s|]+)+)\)')
_PRESET = re.compile(r'^  (\S+)\s')


def folder():
    return os.environ.get('TANDEM_BIN') or os.path.join(ROOT, 'build', 'bin')


class Flag:
    """One flag of a program. `kind`: bool, int, float, text or list."""

    def __init__(self, name, kind, text):
        choices = _CHOICES.search(text)
        self.name, self.kind = name, kind
        self.choices = choices[1].split('|') if choices else None
        self.required = text.endswith('(required)')
        self.fallback = (re.search(r'\[([^\[\]]*)\](?: \(required\))?$', text) or [None, None])[1]

    def problem(self, value):
        """What is wrong with a value for this flag; None if nothing."""
        if isinstance(value, list):
            if self.kind != 'list':
                return 'takes one value, not a list'
            return next((p for p in map(self._scalar_problem, value) if p), None)
        return self._scalar_problem(value)

    def _scalar_problem(self, value):
        if isinstance(value, (dict, list)) or value is None:
            return 'needs a plain value'
        if self.kind == 'bool':
            return None if isinstance(value, bool) else f"'{text_of(value)}' is not true or false"
        if self.choices and text_of(value) not in self.choices:
            return f"'{text_of(value)}' is not one of {', '.join(self.choices)}" + _hint(value, self.choices)
        if self.kind == 'int' and not re.fullmatch(r'[+-]?\d+', text_of(value)):
            return f"'{text_of(value)}' is not a whole number"
        if self.kind == 'float' and not _is_number(text_of(value)):
            return f"'{text_of(value)}' is not a number"
        return None


def _hint(value, choices):
    hint = suggest(value, choices)
    return hint if 'did you mean' in hint else ''


def _is_number(text):
    try:
        return abs(float(text)) < float('inf')
    except ValueError:
        return False


def text_of(value):
    """A YAML value as it stands on a command line."""
    if isinstance(value, bool):
        return 'true' if value else 'false'
    return repr(value) if isinstance(value, float) else str(value)


class Program:
    """An executable, or one command of it. `words`: what starts it; `flags`: name to Flag."""

    def __init__(self, kind, path, command=()):
        self.kind, self.path, self.words = kind, path, [path, *command]
        self.flags, self.presets = _read_help(self.words)

    def takes(self, flag):
        return flag in self.flags

    @property
    def consumer(self):
        """It asks for batches, so it needs a feed of decode and augment workers."""
        return self.takes('listen')

    @property
    def worker(self):
        return self.takes('connect') and not self.takes('out')

    def arguments(self, values):
        """[--name, value, ...] of a mapping of flags to values."""
        words = []
        for name, value in values.items():
            if isinstance(value, bool) and self.flags[name].kind == 'bool':
                words.append(f'--{name}' if value else f'--no-{name}')
                continue
            for one in value if isinstance(value, list) else [value]:
                words += [f'--{name}', text_of(one)]
        return words

    def problem(self, name, value):
        """What is wrong with `name: value` under `with`; None if nothing."""
        if name == 'preset' and self.presets:
            return None if value in self.presets else f"there is no preset '{value}'{suggest(value, self.presets)}"
        if name not in self.flags:
            return f'tandem-{self.kind} has no flag --{name}{suggest(name, self.flags)}'
        wrong = self.flags[name].problem(value)
        return f'{name}: {wrong}' if wrong else None


def _read_help(words):
    try:
        done = subprocess.run([*words, '--help'], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failure(f'{words[0]}: cannot be started: {error}')
    if done.returncode:
        raise Failure(f'{" ".join(words)} --help failed: {(done.stderr or done.stdout).strip() or done.returncode}')
    flags, presets, in_presets = {}, [], False
    for line in done.stdout.splitlines():
        in_presets = line.startswith('presets') or in_presets and line.startswith(' ')
        if in_presets:
            presets += [m[1] for m in [_PRESET.match(line)] if m and not m[1].startswith('--')]
        elif m := _FLAG.match(line):
            flags[m[1]] = Flag(m[1], _KINDS[m[2]], m[3] or '')
    return flags, presets


class Programs:
    """The executables of one build, read when first asked for."""

    def __init__(self, path=None):
        self.folder = path or folder()
        self._read = {}

    def kinds(self):
        try:
            names = sorted(os.listdir(self.folder))
        except FileNotFoundError:
            return []
        return [n[len('tandem-'):] for n in names if n.startswith('tandem-')]

    def get(self, kind):
        """Raises Failure when it is not built."""
        if kind not in self._read:
            executable, *command = kind.split()
            path = os.path.join(self.folder, f'tandem-{executable}')
            if not os.access(path, os.X_OK):
                raise Failure(f'{path} is not there; build it first: make')
            self._read[kind] = Program(kind, path, command)
        return self._read[kind]
