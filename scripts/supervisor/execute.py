"""Runs a pipeline: stage after stage, skipping what has not changed, recording what happened."""
import os
import shutil
import time

from . import metrics, plan
from .content import Contents
from .control import Control
from .crew import KINDS, MOST
from .errors import Failure, Interrupted, suggest
from .live import load_lines
from .pipeline import resolve
from .stage import StageRun


class Selection:
    """Which stages to look at, and which of them to run in any case. `rows`: only for these rows, and what they share."""

    def __init__(self, pipeline, only=None, since=None, force=False, again=None, rows=None):
        for row in rows or ():
            if row not in pipeline.rows:
                raise Failure(f"{pipeline.file}: there is no row '{row}'{suggest(row, pipeline.rows)}", 2)
        names = {n for n, stage in pipeline.stages.items() if not rows or stage.row is None or stage.row in rows}
        if only:
            names &= set(pipeline.select(only))
        start = since or again
        if start:
            first = set(pipeline.select(start))
            names &= first | {n for n, above in pipeline.ancestors.items() if above & first}
        if not names:  # a stage of one row, and other rows
            raise Failure(f"{pipeline.file}: '{only or start}' is of none of the rows {', '.join(rows)}; leave one of the two out", 2)
        self.names = names
        self.forced = names if force else set(pipeline.select(again)) & names if again else set()


class Executor:
    """One `run`. `view` shows it; `stop` ends it; `exporter` gives out its figures, if there is one."""

    def __init__(self, pipeline, run, programs, selection, view, stop, exporter=None):
        self.pipeline, self.run, self.programs, self.selection = pipeline, run, programs, selection
        self.view, self.stop, self.exporter = view, stop, exporter
        self._states, self._stages = {}, {}  # what happened to each stage; its StageRun
        self._current = None  # the StageRun at work
        self._control = None
        kinds = programs.kinds()
        self.contents = Contents(run.hashes(), programs.get('ingest').path if 'ingest' in kinds else None)

    @property
    def records(self):
        return self.run.state['stages']

    def decide(self, stage, pending=()):
        """(decision, parts) for one stage. `pending`: stages before it that will run but have not yet."""
        unsure = sorted(self.pipeline.ancestors[stage.name] & set(pending))
        record = self.records.get(stage.name)
        if unsure and not record:
            return plan.Decision(True, 'first time'), None
        if unsure:
            return plan.Decision(None, f"if {' or '.join(unsure)} makes something new"), None
        parts = plan.parts(self.pipeline, stage, self.run.path, self.contents, self.programs)
        decision = plan.decide(record, parts, self.run.path, self.contents)
        if stage.name in self.selection.forced:
            decision = plan.Decision(True, 'asked for' if not decision.run else f'asked for; {decision.why}')
        return decision, parts

    def dry_run(self):
        """[(stage name, Decision)] without running anything."""
        found, pending = [], []
        for stage in self._selected():
            decision, _ = self.decide(stage, pending)
            if stage.name in self.selection.forced and decision.run is None:
                decision = plan.Decision(True, 'asked for')
            if decision.run is not False:
                pending.append(stage.name)
            found.append((stage.name, decision))
        return found

    def execute(self):
        """Runs what has to run. A row that fails is left, and the others go on. Raises Failure or Interrupted; the records then say
        where it stopped."""
        self._control = Control(self.run, self._answer)
        self._publish()
        failed = {}  # stage of a row: why
        try:
            for stage in self._selected():
                if not self.pipeline.ancestors[stage.name].isdisjoint(failed):
                    continue
                try:
                    self._consider(stage)
                except Interrupted:
                    raise
                except Failure as failure:
                    if stage.row is None:
                        raise
                    failed[stage.name] = str(failure)
                    self.view.event(f'{failure}; the other rows go on')
                self._publish()
            if failed:
                raise Failure('\n'.join(failed.values()))
        finally:
            self._control.close()
            self._publish()
            self.run.save_hashes(self.contents.cache)

    def _consider(self, stage):
        """Runs or skips a stage."""
        self.stop.check()
        self._control.poll()
        decision, parts = self.decide(stage)
        if decision.run:
            self._run_stage(stage, decision, parts)
        else:
            self._states[stage.name] = 'skipped'
            self.view.skipped(stage.name, decision.why, self.records[stage.name])

    def _selected(self):
        return [s for s in self.pipeline.stages.values() if s.name in self.selection.names]

    def _run_stage(self, stage, decision, parts):
        record = self._begin(stage, decision, parts)
        began = time.monotonic()
        state = 'failed'
        self._states[stage.name] = 'running'
        self._current = self._stages[stage.name] = StageRun(self.pipeline, stage, self.run, self.programs, self.view, self.stop,
                                                            self._meanwhile)
        try:
            done = self._current.execute(decision.resume, self._counts(stage))
            record['outputs'] = plan.outputs(self.pipeline, stage, self.run.path, self.contents)
            record.update(done)
            state = 'done'
        except Interrupted:
            state = 'interrupted'
            raise
        except Failure as failure:
            record['error'] = str(failure)
            raise
        finally:
            self._current, self._states[stage.name] = None, state
            if state == 'done':
                self.run.state.setdefault('scaled', {}).pop(stage.name, None)
            record['state'] = state
            record['seconds'] = round(record.get('seconds', 0) + time.monotonic() - began, 3)
            self.run.save()
            self.view.ended(stage.name, record)

    def _dataset(self, stage):
        """Relative to the run folder, so that a moved run still finds what lies in it."""
        if not stage.feed:
            return None
        return os.path.relpath(resolve(self.pipeline, stage, stage.feed['dataset'], self.run.path), self.run.path)

    def _begin(self, stage, decision, parts):
        """A clean folder and record for the stage; those of an interrupted attempt when it is to be continued."""
        folder, old = self.run.stage_folder(stage.name), self.records.get(stage.name)
        if not decision.resume or not stage.program.takes('resume'):
            if old is None and os.path.isdir(folder) and os.listdir(folder):
                raise Failure(f'{folder} exists but was not made by this pipeline; move it away or choose another --run')
            shutil.rmtree(folder, ignore_errors=True)
            old = None
        os.makedirs(folder, exist_ok=True)
        record = {'kind': stage.kind, 'base': stage.group, 'label': stage.label, 'seed': stage.seed, 'parts': parts, 'state': 'running',
                  'values': plan.arguments(self.pipeline, stage, self.run.path), 'feed': stage.feed, 'why': decision.why,
                  'dataset': self._dataset(stage), 'began': time.time(), 'seconds': old.get('seconds', 0) if old else 0}
        self.records[stage.name] = record
        self.run.save()
        self.view.started(stage.name, decision)
        return record

    # --- While a stage is at work ---

    def _meanwhile(self):
        self._control.poll()
        if self.exporter and self.exporter.due():
            self._publish()

    def _publish(self):
        if self.exporter:
            restarts = {name: s.restart_counts() for name, s in self._stages.items()}
            self.exporter.publish(metrics.render(self.pipeline, self._states, {n: s.meter for n, s in self._stages.items()}, restarts))

    def look(self):
        """What the live view says about the stage at work."""
        load = self._current.meter.load() if self._current else None
        return load_lines(self._current.stage.name, load)

    # --- Worker counts ---

    def _counts(self, stage):
        """How many workers of each kind: the file's, or what `scale` has asked for since it was so."""
        if not stage.feed:
            return {}
        scaled = self.run.state.get('scaled', {}).get(stage.name, {})
        counts = {kind: stage.feed.get(kind, 1) for kind in KINDS}
        return counts | scaled['counts'] if scaled.get('file') == counts else counts

    def _answer(self, request):
        """Answers `tandem scale` and `tandem status`. Raises Failure."""
        if 'look' in request:
            return '\n'.join(self.look())
        counts = request.get('scale')
        if not isinstance(counts, dict) or not counts or not all(
                kind in KINDS and type(n) is int and 0 <= n <= MOST for kind, n in counts.items()):
            raise Failure('this supervisor does not know that request; is it of another version?')
        return '\n'.join(self._scale(self.pipeline.stages[name], counts) for name in self.pipeline.select(str(request.get('stage'))))

    def _scale(self, stage, counts):
        if not stage.feed:
            raise Failure(f"stage '{stage.name}' has no workers: {stage.kind} takes no feed")
        at_work = self._current and self._current.stage is stage
        record = self.records.get(stage.name)
        if not at_work and record and record['state'] == 'done':
            return f'{stage.name} has finished; nothing to do'
        before = self._counts(stage)
        self.run.state.setdefault('scaled', {})[stage.name] = {
            'file': {kind: stage.feed.get(kind, 1) for kind in KINDS}, 'counts': before | counts}
        self.run.save()
        words = ', '.join(f'{n} {kind} (was {before[kind]})' for kind, n in counts.items())
        if not at_work:
            return f'{stage.name}: {words} when it starts'
        for kind, count in counts.items():
            self._current.crew.scale(kind, count)
        self.view.event(f'{stage.name}: scaled to {words}')
        return f'{stage.name}: {words}'
