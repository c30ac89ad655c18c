"""The commands of scripts/tandem. Each is a function with its flags in COMMANDS."""
import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time

from . import control, crew, graph, ledger, remote, table
from . import pipeline as pipelines
from .errors import Failure, Interrupted, suggest
from .execute import Executor, Selection
from .live import View, count, duration, progress_text
from .metrics import Exporter
from .process import StopRequest
from .programs import Programs
from .state import RunFolder, alive, read_json, write_text


def run_command(a):
    """Runs what has changed."""
    programs = Programs()
    pipeline = pipelines.load(a.file, a.set, programs)
    selection = Selection(pipeline, a.only, getattr(a, 'from'), a.force, rows=a.rows)
    return _execute(pipeline, programs, selection, a)


def rerun_command(a):
    """Runs one stage again, then what depends on it if its output is new."""
    programs = Programs()
    pipeline = pipelines.load(a.file, a.set, programs)
    return _execute(pipeline, programs, Selection(pipeline, again=a.stage, rows=a.rows), a)


def _execute(pipeline, programs, selection, a):
    run = RunFolder(a.run or os.path.join('runs', pipeline.name))
    if a.dry_run:
        run.load()
        for name, decision in Executor(pipeline, run, programs, selection, None, None).dry_run():
            verb = {True: 'would run', False: 'would be skipped', None: 'would run'}[decision.run]
            print(f'{name}: {verb}: {decision.why}')
        return 0
    exporter = Exporter(a.metrics) if a.metrics else None  # a wrong address is said before anything is written
    run.take(pipeline)
    stop = StopRequest()
    left = run.end_leftovers()
    if left:
        print(f"ended {', '.join(left)}, left by a supervisor that was killed", flush=True)
    run.register_supervisor()
    write_text(run.graph_file, graph.draw(pipeline))
    view, finished = View([n for n in pipeline.stages if n in selection.names]), False
    try:
        if exporter:
            print(f'metrics: {exporter.url}', flush=True)
        Executor(pipeline, run, programs, selection, view, stop, exporter).execute()
        finished = True
    finally:
        view.close()
        if exporter:
            exporter.close()
        run.release()
        with contextlib.nullcontext() if finished else contextlib.suppress(Failure, OSError):  # the first reason counts
            _write_report(run, programs)
    return 0


def _write_report(run, programs):
    from .report import write  # only needed here and by `report`
    shown = table.write(run)
    if shown:
        print(f'\n{table.as_text(shown)}')
    path = write(run, programs, shown)
    print(f'report: {os.path.relpath(path)}', flush=True)


def keygen_command(a):
    """Makes keys for machines that work together."""
    program = Programs().get('keygen')
    given = {'worker': a.worker, 'for': getattr(a, 'for'), 'out': a.out}
    values = {k: v for k, v in given.items() if v is not None}
    return subprocess.run([program.path, *program.arguments(values), *([a.file] if a.file else [])], check=False).returncode


def worker_command(a):
    """Brings workers into a run on another machine, until Ctrl-C."""
    return remote.Remote(a).run()


def validate_command(a):
    """Checks a pipeline file."""
    programs = Programs()
    built = bool(programs.kinds())
    pipeline = pipelines.load(a.file, a.set, programs if built else None)
    print(f"{a.file}: fine; stages: {', '.join(pipeline.stages)}")
    if not built:
        print('flags were not checked, because the programs are not built (make)', file=sys.stderr)
    return 0


def _find_run(a):
    """The run folder that --run names, or the latest below runs/."""
    if a.run:
        run = RunFolder(a.run)
        if not run.exists():
            raise Failure(f'{a.run}: no run there; scripts/tandem run FILE --run {a.run} makes one')
    else:
        found = [RunFolder(e.path) for e in os.scandir('runs')] if os.path.isdir('runs') else []
        found = [r for r in found if r.exists()]
        if not found:
            raise Failure('no run below runs/; start one with scripts/tandem run FILE, or give --run DIR')
        run = max(found, key=lambda r: os.stat(os.path.join(r.path, '.tandem', 'state.json')).st_mtime_ns)
    run.load()
    return run


def status_command(a):
    """Lists stages, their states and rates."""
    run = _find_run(a)
    supervisor = run.state.get('supervisor')
    working = alive(supervisor)
    print(f"{os.path.relpath(run.path)}: {run.state.get('pipeline', {}).get('name', '?')}, "
          + (f"supervisor {supervisor['pid']} at work" if working else 'nobody at work'))
    rows = [('stage', 'kind', 'state', 'time', 'progress')]
    for name, record in run.records().items():
        state = 'interrupted' if record['state'] == 'running' and not working else record['state']
        seconds = record['seconds'] + (time.time() - record['began'] if state == 'running' else 0)
        progress = read_json(os.path.join(run.stage_folder(name), 'progress.json'), {}) if state == 'running' else \
            record.get('progress') or {}
        text = progress_text(progress, bar=False) if state == 'running' and progress else \
            f"{count(float(progress['rate']))} {progress.get('unit', '')}/s" if progress.get('rate') else ''
        rows.append((name, record['kind'], state, duration(seconds), record.get('error', text)))
    widths = [max(len(r[i]) for r in rows) for i in range(4)]
    for row in rows:
        print('  '.join([*(f'{c:{w}}' for c, w in zip(row, widths)), row[4]]).rstrip())
    if working:
        with contextlib.suppress(Failure):  # it may just have ended
            text = control.ask(run, {'look': True})
            print(text, end='\n' if text else '')
    return 0


def logs_command(a):
    """Prints what a stage's processes said."""
    run = _find_run(a)
    if a.stage not in run.records():
        raise Failure(f"{run.path}: no stage '{a.stage}' has run here{suggest(a.stage, run.records())}")
    folder = os.path.join(run.stage_folder(a.stage), 'logs')
    at, many = {}, False
    while True:
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            many = many or len(at) > 1
            with open(os.path.join(folder, name), 'rb') as stream:
                stream.seek(at.get(name, 0))
                text = stream.read()
            complete = text if not a.follow else text[:text.rfind(b'\n') + 1]
            at[name] = at.get(name, 0) + len(complete)
            for line in complete.decode(errors='replace').splitlines():
                print(f'{name[:-len(".log")]}: {line}')
        sys.stdout.flush()
        if not a.follow:
            return 0
        time.sleep(0.3)


def stop_command(a):
    """Stops the supervisor at work, which stops what it started."""
    run = _find_run(a)
    supervisor = run.state.get('supervisor')
    if not alive(supervisor):
        print(f'{os.path.relpath(run.path)}: nobody at work')
        return 0
    os.kill(supervisor['pid'], signal.SIGTERM)
    print(f"stopping supervisor {supervisor['pid']}; a stage that trains writes a checkpoint first", flush=True)
    while alive(supervisor):
        time.sleep(0.1)
    return 0


def scale_command(a):
    """Changes how many workers of a stage run on this machine."""
    counts = {kind: n for kind, n in (('augment', a.count), ('augment', a.augment), ('decode', a.decode)) if n is not None}
    if not counts or a.count is not None and a.augment is not None:
        raise Failure('tandem scale: say how many: N or --augment N for augment workers, --decode N for decode workers', 2)
    print(control.ask(_find_run(a), {'scale': counts, 'stage': a.stage}))
    return 0


def ledger_command(a):
    """Compares the ledgers of two runs: `ledger diff A B`."""
    same, lines = ledger.compare(a.first, a.second)
    print('\n'.join(lines))
    return 0 if same else 1


def graph_command(a):
    """Draws a pipeline file as SVG."""
    programs = Programs()
    pipeline = pipelines.load(a.file, a.set, programs if programs.kinds() else None)
    write_text(a.out, graph.draw(pipeline))
    print(f'{a.file}: {len(pipeline.stages)} stages drawn in {a.out}')
    return 0


def report_command(a):
    """Writes report.html, and the table where there is one, anew."""
    _write_report(_find_run(a), Programs())
    return 0


# --- Command line -----------------------------------------------------------------------------------------------------

class Parser(argparse.ArgumentParser):
    """Long flags only, and one line per mistake."""

    def __init__(self, **settings):
        super().__init__(**settings, add_help=False, allow_abbrev=False)
        self.add_argument('--help', action='help', help='print this and leave')

    def error(self, message):
        raise Failure(f'{self.prog}: {message}; --help lists what is valid', 2)


_FILE = (['file'], {'metavar': 'FILE', 'help': 'the pipeline file'})
_RUN = (['--run'], {'metavar': 'DIR', 'help': 'the run folder (default: runs/NAME)'})
_LATEST = (['--run'], {'metavar': 'DIR', 'help': 'the run folder (default: the latest below runs/)'})
_SET = (['--set'], {'metavar': 'STAGE.KEY=VALUE', 'action': 'append', 'default': [],
                    'help': "changes a key under the stage's `with` (stage.feed.key: under its feed; stage.seeds; seed); repeatable"})
_DRY = (['--dry-run'], {'action': 'store_true', 'help': 'say what would run and why, and leave'})
_ONLY = (['--only'], {'metavar': 'STAGE', 'help': 'look at this stage alone'})
_FROM = (['--from'], {'metavar': 'STAGE', 'help': 'look at this stage and those that depend on it'})
_ROWS = (['--rows'], {'metavar': 'ROW,...', 'type': lambda text: text.split(','), 'help': 'look at these rows of the table alone, and at what they share'})
_FORCE = (['--force'], {'action': 'store_true', 'help': 'run the stages even if nothing changed'})
_STAGE = (['stage'], {'metavar': 'STAGE'})
def _count(text):
    """A number of workers."""
    if not text.isdecimal() or int(text) > crew.MOST:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of workers from 0 to {crew.MOST}")
    return int(text)


_METRICS = (['--metrics'], {'metavar': 'HOST:PORT', 'help': 'answer Prometheus at http://HOST:PORT/metrics while it runs (host 127.0.0.1 if only '
                                                          'a port is given; port 0: any that is free)'})
_OUT = (['--out'], {'metavar': 'SVG', 'default': 'graph.svg', 'help': 'where the picture goes (default: graph.svg)'})
_COUNT = (['count'], {'metavar': 'N', 'nargs': '?', 'type': _count, 'help': 'augment workers'})
_AUGMENT = (['--augment'], {'metavar': 'N', 'type': _count, 'help': 'the same'})
_DECODE = (['--decode'], {'metavar': 'N', 'type': _count, 'help': 'decode workers'})
_DIFF = (['action'], {'choices': ['diff'], 'help': 'say at which step they part, and in what'})
_FIRST, _SECOND = (([name], {'metavar': metavar, 'help': 'a ledger.jsonl, or the folder of a stage or a run'})
                   for name, metavar in (('first', 'A'), ('second', 'B')))
_FOLLOW = (['--follow'], {'action': 'store_true', 'help': 'go on printing what is added, until Ctrl-C'})

_CONNECT = (['--connect'], {'metavar': 'HOST:PORT', 'required': True, 'help': "where the run's stages listen (feed.listen)"})
_KEY = (['--key'], {'metavar': 'FILE', 'help': "this machine's key, made by keygen --worker"})
_DATASET = (['--dataset'], {'metavar': 'PATH', 'action': 'append', 'default': [],
                            'help': 'a dataset for decode workers, or a folder in which datasets (*.lmdb) may appear; repeatable'})
_REMOTE_DECODE = (['--decode'], {'metavar': 'N', 'type': _count, 'help': 'decode workers (default: some if there is --dataset)'})
_REMOTE_AUGMENT = (['--augment'], {'metavar': 'N', 'type': _count, 'help': 'augment workers (default: one per core)'})
_SERVE = (['--serve'], {'metavar': 'ENDPOINT', 'help': 'let augment workers of other machines fetch from decode workers here, e.g. '
                        'tcp://0.0.0.0:5600 (the next ports for further ones); those of this machine always can'})
_ADVERTISE = (['--advertise'], {'metavar': 'HOST', 'help': 'with --serve: how other machines call this one'})
_INSECURE = (['--insecure'], {'action': 'store_true', 'help': 'go without keys, in plain'})
_LOGS = (['--logs'], {'metavar': 'DIR', 'help': 'keep what each worker says in files there'})
_KEY_FILE = (['file'], {'metavar': 'FILE', 'nargs': '?', 'help': "the consumer's key file, to be made, e.g. run.key"})
_WORKER = (['--worker'], {'metavar': 'NAME', 'help': "make a worker's key, NAME.key, instead"})
_FOR = (['--for'], {'metavar': 'FILE', 'help': "with --worker: the consumer's key file; NAME is added to the list beside it"})
_KEY_OUT = (['--out'], {'metavar': 'FILE', 'help': "with --worker: another name for the key file"})

COMMANDS = {
    'run': (run_command, [_FILE, _RUN, _ONLY, _FROM, _ROWS, _FORCE, _DRY, _SET, _METRICS]),
    'rerun': (rerun_command, [_FILE, _STAGE, _RUN, _ROWS, _DRY, _SET, _METRICS]),
    'status': (status_command, [_LATEST]),
    'logs': (logs_command, [_STAGE, _FOLLOW, _LATEST]),
    'stop': (stop_command, [_LATEST]),
    'scale': (scale_command, [_STAGE, _COUNT, _AUGMENT, _DECODE, _LATEST]),
    'ledger': (ledger_command, [_DIFF, _FIRST, _SECOND]),
    'worker': (worker_command, [_CONNECT, _KEY, _DATASET, _REMOTE_DECODE, _REMOTE_AUGMENT, _SERVE, _ADVERTISE, _INSECURE, _LOGS]),
    'keygen': (keygen_command, [_KEY_FILE, _WORKER, _FOR, _KEY_OUT]),
    'validate': (validate_command, [_FILE, _SET]),
    'graph': (graph_command, [_FILE, _OUT, _SET]),
    'report': (report_command, [_LATEST]),
}


def parser():
    top = Parser(prog='tandem', description='Runs pipeline files: docs/pipelines.md.')
    commands = top.add_subparsers(metavar='COMMAND', dest='command', required=True, parser_class=Parser)
    for name, (function, flags) in COMMANDS.items():
        about = function.__doc__.rstrip('.')
        command = commands.add_parser(name, help=about, description=about + '.')
        for names, settings in flags:
            command.add_argument(*names, **settings)
        command.set_defaults(function=function)
    return top


def main(words):
    try:
        a = parser().parse_args(words)
        return a.function(a)
    except Interrupted:
        print('stopped; run it again to go on where it was', file=sys.stderr)
        return 130
    except Failure as failure:
        print('\n'.join(f'tandem: error: {line}' for line in str(failure).splitlines()), file=sys.stderr)
        return failure.code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except OSError as error:
        print(f"tandem: error: {f'{error.filename}: ' if error.filename else ''}{(error.strerror or str(error)).lower()}", file=sys.stderr)
        return 1
