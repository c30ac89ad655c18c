"""Tables: rows of a pipeline file, files that extend others, and results beside the paper's."""
import csv
import glob
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

from pipeline_case import DATA, FEED, TRAINING, Case, read

ROOT = os.environ['TANDEM_ROOT']
sys.path.insert(0, os.path.join(ROOT, 'scripts'))
from supervisor import pipeline, table  # noqa: E402
from supervisor.errors import Failure, Problems  # noqa: E402
from supervisor.execute import Selection  # noqa: E402
from supervisor.plan import arguments  # noqa: E402
from supervisor.programs import Programs  # noqa: E402
from supervisor.state import RunFolder  # noqa: E402

ROWS = f'''name: rows
seed: 3
table:
  title: Two losses
  source: a paper
  columns:
    top1: {{label: In-domain, stage: linear, value: top1, unit: "%", best: high}}
    loss: {{stage: pretrain, value: last_epoch_losses.total, best: low, digits: 3}}
    out: {{label: Out-domain, unit: "%", waits-for: an evaluation elsewhere}}
rows:
  inv: {{label: only inv, with: {{pretrain: {{equi: 0, trans: 0}}}}, paper: {{top1: 84.7, out: 43.1}}}}
  stl: {{paper: {{top1: 84.8}}}}
stages:
  {DATA}
  pretrain:
    each: rows
    run: train
    needs: [data]
    feed: {FEED}
    with: {{{TRAINING}, epochs: 1}}
  linear:
    run: linear
    needs: [pretrain]
    feed: {FEED}
    with: {{weights: "${{pretrain}}/final.safetensors", size: 32}}
'''


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(dir='.')

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8') as stream:
            stream.write(text)
        return path

    def load(self, text=ROWS, sets=(), name='rows.yaml'):
        return pipeline.load(self.write(name, text), sets)

    def problem(self, text, sets=()):
        with self.assertRaises(Problems) as caught:
            self.load(text, sets)
        return str(caught.exception)


class Rows(Folder):
    def test_stages_are_copied_with_what_needs_them(self):
        loaded = self.load()
        self.assertEqual(list(loaded.stages), ['data', 'pretrain-inv', 'linear-inv', 'pretrain-stl', 'linear-stl'])
        self.assertEqual([loaded.stages[n].needs for n in ('pretrain-stl', 'linear-stl')], [['data'], ['pretrain-stl']])
        self.assertEqual(loaded.stages['pretrain-inv'].values['equi'], 0)
        self.assertNotIn('equi', loaded.stages['pretrain-stl'].values)
        weights = [arguments(loaded, loaded.stages[n], 'R')['weights'] for n in ('linear-inv', 'linear-stl')]
        self.assertEqual(weights, ['R/pretrain-inv/final.safetensors', 'R/pretrain-stl/final.safetensors'])

    def test_rows_and_seeds_multiply(self):
        loaded = self.load(ROWS.replace('each: rows', 'each: rows\n    seeds: [1, 2]'))
        self.assertEqual(list(loaded.stages)[:5], ['data', 'pretrain-inv-1', 'pretrain-inv-2', 'linear-inv-1', 'linear-inv-2'])
        self.assertEqual(arguments(loaded, loaded.stages['linear-stl-2'], 'R')['weights'], 'R/pretrain-stl-2/final.safetensors')
        self.assertEqual(loaded.select('linear-stl'), ['linear-stl-1', 'linear-stl-2'])
        self.assertEqual(len(loaded.select('linear')), 4)

    def test_set_is_for_all_rows_or_for_one(self):
        loaded = self.load(sets=['pretrain.equi=0.5', 'pretrain-stl.trans=0.1', 'pretrain.lr=1'])
        of = {row: loaded.stages[f'pretrain-{row}'].values for row in ('inv', 'stl')}
        self.assertEqual([(v['equi'], v['trans'], v['lr']) for v in of.values()], [(0.5, 0, 1), (0.5, 0.1, 1)])
        self.assertIn("no stage 'pretrain-slt'", self.problem(ROWS, ['pretrain-slt.lr=1']))

    def test_a_selection_of_rows(self):
        loaded = self.load()
        self.assertEqual(Selection(loaded, rows=['stl']).names, {'data', 'pretrain-stl', 'linear-stl'})
        self.assertEqual(Selection(loaded, only='pretrain', rows=['inv']).names, {'pretrain-inv'})
        self.assertEqual(Selection(loaded, since='pretrain-inv').names, {'pretrain-inv', 'linear-inv'})
        again = Selection(loaded, again='pretrain', rows=['stl'])
        self.assertEqual((again.names, again.forced), ({'pretrain-stl', 'linear-stl'}, {'pretrain-stl'}))
        with self.assertRaisesRegex(Failure, "no row 'slt'; did you mean 'stl'"):
            Selection(loaded, rows=['slt'])
        for choice in ('only', 'since', 'again'):
            with self.assertRaisesRegex(Failure, "'pretrain-inv' is of none of the rows stl"):
                Selection(loaded, rows=['stl'], **{choice: 'pretrain-inv'})

    def test_mistakes_name_their_line(self):
        for old, new, expected in (
                ('with: {pretrain: {eq', 'with: {pretrian: {eq', "rows.yaml:11: row 'inv': there is no stage 'pretrian'; did you mean 'pretrain'?"),
                ('with: {pretrain: {eq', 'with: {data: {eq', "rows.yaml:11: row 'inv' sets flags of stage 'data', which is the same for all rows"),
                ('    each: rows\n', '', 'rows.yaml:10: no stage runs for these rows'),
                ('each: rows', 'each: row', "rows.yaml:16: stage 'pretrain': 'each' must be rows, not 'row'"),
                ('paper: {top1: 84.8}', 'paper: {top2: 84.8}', "rows.yaml:12: row 'stl': the table has no column 'top2'; did you mean 'top1'?"),
                ('stage: linear', 'stage: data', "column 'top1': no stage 'data' runs for each row"),
                ('value: top1, ', '', "rows.yaml:7: column 'top1': say 'stage' and 'value', or 'waits-for'"),
                ('  stl: {paper', '  s.l: {paper', "rows.yaml:12: 's.l' is not a valid row name: give a letter or digit, then"),
                ('dataset: ', 'listen: here, dataset: ', "'here' is not a valid 'listen': give an address such as tcp://"),
                ('84.8', 'many', "row 'stl': paper: 'top1' must be a number or a list, not 'many'"),
                ('84.8', '[1, 2, 3]', "row 'stl': paper: 'top1' must have 2 entries, not 3"),
                ('  stl: {paper', '  stl: {papre', "row 'stl': unknown key 'papre'; did you mean 'paper'?")):
            self.assertIn(old, ROWS)
            self.assertIn(expected, self.problem(ROWS.replace(old, new, 1)))
        without = re.sub(r'(?s)rows:\n.*?stages:', 'stages:', ROWS)
        self.assertIn("stage 'pretrain' runs for each row, but there are no rows", self.problem(without))
        self.assertIn('a table needs rows', self.problem(without.replace('    each: rows\n', '')))

    def test_a_wrong_flag_of_a_row_stands_in_the_row(self):
        file = self.write('rows.yaml', ROWS.replace('equi: 0,', 'equi: none, epohcs: 1,'))
        with self.assertRaises(Problems) as caught:
            pipeline.load(file, programs=Programs())
        self.assertIn("rows.yaml:11: stage 'pretrain': tandem-train has no flag --epohcs", str(caught.exception))


class Extends(Folder):
    def test_mappings_merge_null_removes_and_the_rest_replaces(self):
        self.write('one.yaml', ROWS)
        self.write('scale/two.yaml', 'seed: 4\nstages:\n  pretrain: {with: {policy: null, epochs: 9}}\n')
        loaded = self.load('name: three\nextends: [one.yaml, scale/two.yaml]\nrows:\n  stl: {with: {pretrain: {lr: 1}}}\n', name='three.yaml')
        self.assertEqual((loaded.name, loaded.seed, loaded.rows), ('three', 4, ['inv', 'stl']))
        values = loaded.stages['pretrain-stl'].values
        self.assertEqual((values['epochs'], values['lr'], values['batch'], 'policy' in values), (9, 1, 16, False))
        self.assertEqual(loaded.table['rows']['stl']['paper'], {'top1': 84.8})

    def test_mistakes_name_the_file_they_stand_in(self):
        self.write('one.yaml', ROWS)
        for text, expected in (('name: x\nextends: nothing.yaml\n', 'x.yaml:2: '), ('extends: one.yaml\n', "'name' is missing"),
                               ('name: x\nextends: x.yaml\n', 'extends itself'),
                               ('name: x\nextends: one.yaml\nstages: {pretrain: {fed: 1}}\n', "x.yaml:3: stage 'pretrain': unknown key 'fed'"),
                               ('name: x\nextends: one.yaml\nstages: {data: null}\n', "one.yaml:18: stage 'pretrain' needs 'data'")):
            with self.assertRaises(Problems) as caught:
                self.load(text, name='x.yaml')
            self.assertIn(expected, str(caught.exception))


class Tables(Folder):
    """What a table shows of a run folder in which some stages have run."""

    def shown(self, text, results, states=None):
        loaded = self.load(text)
        run = RunFolder(os.path.join(self.folder, 'run'))
        run.state['pipeline'] = {'stages': list(loaded.stages), 'table': loaded.table}
        for name, result in results.items():
            self.write(f'run/{name}/result.json', json.dumps(result))
            run.state['stages'][name] = {'kind': loaded.stages[name].kind, 'state': (states or {}).get(name, 'done')}
        return table.Table(run)

    def cells(self, shown):
        return [[c.text + ('*' if c.best else '') for c in line] for line in shown.lines()]

    def test_ours_beside_the_papers(self):
        shown = self.shown(ROWS, {'linear-inv': {'top1': 0.5}, 'linear-stl': {'top1': 0.625}, 'pretrain-inv': {'last_epoch_losses': {'total': 1.25}},
                                  'pretrain-stl': {'last_epoch_losses': {'total': 4}}})
        self.assertEqual([word for word, _ in shown.heading()], ['row', 'In-domain, %', 'paper', 'loss', 'Out-domain, %', 'paper'])
        self.assertEqual(self.cells(shown), [['only inv', '50.00', '84.70', '1.250*', 'to come', '43.10'], ['stl', '62.50*', '84.80', '4.000', 'to come', '–']])
        self.assertEqual(shown.notes(), ["Columns 'paper': a paper.", 'Out-domain: to come; waits for an evaluation elsewhere.'])

    def test_what_has_not_run_is_said_so(self):
        shown = self.shown(ROWS, {'linear-inv': {}, 'pretrain-inv': {'last_epoch_losses': {'total': 1}}, 'pretrain-stl': {}}, {'pretrain-stl': 'failed'})
        self.assertEqual(self.cells(shown), [['only inv', 'no value', '84.70', '1.000', 'to come', '43.10'], ['stl', 'not run', '84.80', 'failed', 'to come', '–']])
        self.assertEqual(shown.notes()[-1], 'Not complete: only inv, stl.')

    def test_seeds_give_mean_and_deviation(self):
        text = ROWS.replace('each: rows', 'each: rows\n    seeds: [1, 2, 3]').replace('top1: 84.7', 'top1: [84.74, 0.186]')
        shown = self.shown(text, {'linear-inv-1': {'top1': 0.5}, 'linear-inv-2': {'top1': 0.6}, 'linear-inv-3': {'top1': 0.7}, 'linear-stl-2': {'top1': 0.9}})
        self.assertEqual([line[1:3] for line in self.cells(shown)], [['60.00 ± 10.00', '84.74 ± 0.19'], ['90.00 (1 of 3 seeds)*', '84.80']])
        inv, stl = csv.DictReader(table.as_csv(shown).splitlines())
        for key, expected in (('top1', 60), ('top1 sd', 10), ('top1 paper', 84.74), ('top1 paper sd', 0.186)):
            self.assertAlmostEqual(float(inv[key]), expected, 9)
        self.assertEqual((stl['row'], stl['top1 sd'], stl['loss'], stl['out paper']), ('stl', '', '', ''))

    def test_groups_and_strange_words(self):
        text = ROWS.replace('only inv', '"<a|b>"').replace('{label', '{group: first, label', 4).replace('columns:\n    top1: {group: first, ', 'columns:\n    top1: {')
        text = text.replace('    out: {group: first, ', '    out: {')
        shown = self.shown(text, {})
        self.assertEqual([line[:2] for line in self.cells(shown)], [['first', '<a|b>'], ['', 'stl']])
        self.assertIn('&lt;a|b&gt;', table.as_html(shown))
        self.assertIn(r'| first | <a\|b> | not run |', table.as_markdown(shown))
        lines = table.as_text(shown).splitlines()
        self.assertEqual(lines[0], 'Two losses')
        self.assertEqual(len({line.index('to come') for line in lines[3:5]}), 1, 'columns stand under each other')


class Run(Case):
    """A table of two rows, in two halves."""

    def test_row_after_row_and_what_is_done_is_skipped(self):
        self.file = self.write('rows.yaml', ROWS)
        self.assertEqual(self.verdicts(self.run_file('--rows', 'stl')), dict.fromkeys(('data', 'pretrain-stl', 'linear-stl'), 'runs'))
        self.assertIn('| only inv | not run | 84.70 |', read(self.run_folder, 'table.md').decode())

        output = self.run_file()
        self.assertEqual([line.split(':')[0] for line in output.splitlines() if ': runs: ' in line], ['pretrain-inv', 'linear-inv'])
        self.assertEqual(self.verdicts(output)['linear-stl'], 'skipped')
        self.assertRegex(output, r'(?m)^Two losses$')
        with open(os.path.join(self.run_folder, 'table.csv'), encoding='utf-8') as stream:
            lines = {line['row']: line for line in csv.DictReader(stream)}
        for row, line in lines.items():
            self.assertAlmostEqual(float(line['top1']), 100 * json.loads(read(self.run_folder, f'linear-{row}', 'result.json'))['top1'])
            self.assertAlmostEqual(float(line['loss']), json.loads(read(self.run_folder, f'pretrain-{row}', 'result.json'))['last_epoch_losses']['total'])
        page = read(self.run_folder, 'report.html').decode()
        for words in ('<h2>Two losses</h2>', 'Out-domain: to come; waits for an evaluation elsewhere.', '<h3>pretrain-inv</h3>', 'rows inv, stl'):
            self.assertIn(words, page)

        # One row's flag runs that row alone; so does rerun.
        output = self.run_file('--set', 'pretrain-inv.lr=0.5')
        self.assertEqual({n for n, v in self.verdicts(output).items() if v == 'runs'}, {'pretrain-inv', 'linear-inv'})
        output = self.tandem('rerun', self.file, 'linear-stl', '--run', self.run_folder)
        self.assertEqual(self.verdicts(output), {'linear-stl': 'runs'})
        self.assertIn("no row 'slt'", self.run_file('--rows', 'slt', code=2))


    def test_a_row_that_fails_leaves_the_others_alone(self):
        self.file = self.write('rows.yaml', ROWS.replace('{equi: 0, trans: 0}', '{weights: nothing.safetensors}'))
        error = self.run_file(code=1)
        self.assertRegex(error, r"tandem: error: stage 'pretrain-inv' failed: .*nothing.safetensors")
        states = {name: record['state'] for name, record in self.state()['stages'].items()}
        self.assertEqual(states, {'data': 'done', 'pretrain-inv': 'failed', 'pretrain-stl': 'done', 'linear-stl': 'done'})
        self.assertIn('| only inv | not run | 84.70 | failed |', read(self.run_folder, 'table.md').decode())


class Files(unittest.TestCase):
    """The tables that come with it."""

    def test_every_row_is_a_configuration_that_trains(self):
        programs, seen = Programs(), set()
        for file in sorted(glob.glob(f'{ROOT}/pipelines/table*.yaml')):
            loaded = pipeline.load(file, programs=programs)
            for stage in loaded.stages.values():
                if stage.kind != 'train':
                    continue
                values = {key: value for key, value in stage.values.items() if key not in ('out', 'result')}
                command = [programs.get('train').path, 'describe', *programs.get('train').arguments(values)]
                if tuple(command) not in seen:
                    done = subprocess.run(command, capture_output=True, text=True)
                    self.assertEqual(done.returncode, 0, f'{file}: {stage.name}: {done.stderr}')
                seen.add(tuple(command))
        self.assertGreater(len(seen), 30)

    def test_a_demo_has_the_rows_and_figures_of_its_table(self):
        for demo in glob.glob(f'{ROOT}/pipelines/table*-demo.yaml'):
            small, full = pipeline.load(demo), pipeline.load(demo.replace('-demo', ''))
            self.assertEqual(small.table['rows'], full.table['rows'])
            self.assertIn('demo scale', small.table['note'])


if __name__ == '__main__':
    unittest.main()
