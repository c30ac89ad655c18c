"""The supervisor's parts by themselves: YAML with lines, flags from --help, hashes of content, numbers and charts of the report."""
import json
import os
import sys
import tempfile
import unittest
import xml.etree.ElementTree

sys.path.insert(0, os.path.join(os.environ['TANDEM_ROOT'], 'scripts'))
from supervisor import charts, document, errors, live, report, results  # noqa: E402
from supervisor.content import Contents  # noqa: E402
from supervisor.programs import Flag  # noqa: E402
from supervisor.state import RunFolder, alive, boot, started_at  # noqa: E402


def write(path, text):
    os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
    with open(path, 'w', encoding='utf-8') as stream:
        stream.write(text)
    return path


class Documents(unittest.TestCase):
    def test_places_follow_anchors_and_merges(self):
        file = write('a.yaml', 'one: &x\n  k: 1\n  l: 2\ntwo:\n  <<: *x\n  l: 3\n')
        data, places = document.load(file)
        self.assertEqual(data, {'one': {'k': 1, 'l': 2}, 'two': {'k': 1, 'l': 3}})
        self.assertEqual([places.at(p) for p in (('two', 'k'), ('two', 'l'), ('two', 'm'), ())],
                         ['a.yaml:2', 'a.yaml:6', 'a.yaml:4', 'a.yaml:1'])

    def test_numbers_mean_what_they_say(self):
        data, _ = document.load(write('b.yaml', 'a: 1:30\nb: 5e-4\nc: 010\nd: 0.030\n'))
        self.assertEqual((data['a'], data['b'], data['d']), ('1:30', '5e-4', 0.03))

    def test_values_of_set(self):
        self.assertEqual([document.scalar(t) for t in ('3', '0.5', 'true', '[a, b]', 'random:3', '', 'a: b', '{', '../x y')],
                         [3, 0.5, True, ['a', 'b'], 'random:3', '', 'a: b', '{', '../x y'])

    def test_what_cannot_be_read_is_explained(self):
        for text, expected in (('a: 1\na: 2\n', "c.yaml:2: 'a' stands here twice"), ('', 'the file is empty'), ('a: *b\n', 'c.yaml:1: '),
                               ('a: &x {b: *x}\n', 'c.yaml:1: '), ('a: {<<: 3}\n', "c.yaml:1: '<<' needs a mapping")):
            with self.assertRaises(errors.Problems) as caught:
                document.load(write('c.yaml', text))
            self.assertIn(expected, str(caught.exception))


class Flags(unittest.TestCase):
    def test_values_are_checked_by_kind(self):
        for kind, text, good, bad in (('int', 'how many [3]', [3, '4', -1], [1.5, 'x', True, [1]]), ('float', 'rate', [1, '5e-4'], ['x', 'nan']),
                                      ('bool', 'whether', [True, False], [1, 'yes']), ('list', 'which', ['a', ['a', 'b']], [{}]),
                                      ('text', 'way (cosine|constant) [cosine]', ['cosine'], ['cosin', ['cosine']])):
            flag = Flag('f', kind, text)
            self.assertEqual([v for v in good if flag.problem(v)], [])
            self.assertEqual([v for v in bad if not flag.problem(v)], [])

    def test_a_near_miss_is_suggested(self):
        self.assertEqual(errors.suggest('epohcs', ['epochs', 'lr']), "; did you mean 'epochs'?")
        self.assertEqual(errors.suggest('zzz', ['b', 'a']), '; known: a, b')


class Hashes(unittest.TestCase):
    def test_content_counts_and_time_and_place_do_not(self):
        with tempfile.TemporaryDirectory(dir='.') as a:
            folder = os.path.join(a, 'x')
            write(os.path.join(folder, 'sub', 'f'), 'one')
            write(os.path.join(folder, 'g'), '')
            contents = Contents()
            first = contents.hash(folder)
            os.utime(os.path.join(folder, 'sub', 'f'), (1, 1))
            self.assertEqual(contents.hash(folder), first)
            os.rename(folder, folder + '2')
            self.assertEqual(contents.hash(folder + '2'), first)
            os.rename(os.path.join(folder + '2', 'g'), os.path.join(folder + '2', 'h'))
            renamed = contents.hash(folder + '2')
            write(os.path.join(folder + '2', 'sub', 'f'), 'two')
            self.assertEqual(len({first, renamed, contents.hash(folder + '2')}), 3)
            self.assertIsNone(contents.hash(folder))

    def test_a_file_that_only_looks_unchanged_is_read_again(self):
        file = write('same', 'one')
        contents, before = Contents(), os.stat(file)
        first = contents.hash(file)
        write(file, 'two')
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        self.assertNotEqual(contents.hash(file), first)

    def test_links_to_folders_are_followed_once(self):
        with tempfile.TemporaryDirectory(dir='.') as a:
            write(os.path.join(a, 'elsewhere', 'f'), 'one')
            os.makedirs(os.path.join(a, 'source'))
            os.symlink('../elsewhere', os.path.join(a, 'source', 'class'))
            os.symlink('..', os.path.join(a, 'elsewhere', 'loop'))
            os.symlink('.', os.path.join(a, 'source', 'self'))
            contents = Contents()
            first = contents.hash(os.path.join(a, 'source'))
            write(os.path.join(a, 'elsewhere', 'f'), 'another')
            self.assertNotEqual(contents.hash(os.path.join(a, 'source')), first)

    def test_an_unchanged_file_is_not_read_again(self):
        file = write('big', 'x' * 100)
        contents = Contents()
        value = contents.hash(file)
        remembered = Contents(contents.cache)
        remembered.cache[os.path.realpath(file)][1] = 'remembered'
        self.assertEqual(remembered.hash(file), 'remembered')
        os.utime(file, (1, 1))
        self.assertEqual(remembered.hash(file), value)


class Processes(unittest.TestCase):
    def test_a_process_is_known_by_its_start(self):
        me = {'pid': os.getpid(), 'start': started_at(os.getpid())}
        self.assertTrue(alive(me))
        self.assertFalse(alive(dict(me, start=me['start'] + 1)), 'another process with the same number')
        self.assertFalse(alive(None))


class RunFolders(unittest.TestCase):
    def folder(self, text):
        return write(os.path.join(tempfile.mkdtemp(dir='.'), 'run', '.tandem', 'state.json'), text)

    def test_processes_of_before_a_reboot_are_gone(self):
        me = {'pid': os.getpid(), 'start': started_at(os.getpid())}
        for when, here in ((boot(), True), ('another', False)):
            state = {'version': 1, 'boot': when, 'stages': {'a': {'state': 'running'}}, 'children': [dict(me, name='a')], 'supervisor': me}
            path = self.folder(json.dumps(state))
            run = RunFolder(os.path.dirname(os.path.dirname(path)))
            run.load()
            self.assertEqual((bool(run.state['children']), alive(run.state.get('supervisor'))), (here, here))
            self.assertEqual(run.state['stages'], state['stages'])

    def test_a_damaged_state_is_said_so(self):
        for text in ('', '{"version": 1, "sta', '[]', '{"version": 1, "stages": 3}'):
            run = RunFolder(os.path.dirname(os.path.dirname(self.folder(text))))
            with self.assertRaises(errors.Failure) as caught:
                run.load()
            self.assertIn('is damaged; delete ', str(caught.exception))


class Report(unittest.TestCase):
    def test_mean_and_standard_deviation(self):
        self.assertEqual(results.mean_sd([3.0]), (3.0, None))
        mean, sd = results.mean_sd([44.0, 46.0, 48.0])
        self.assertEqual((mean, sd), (46.0, 2.0))

    def test_loss_curves_average_and_survive_half_a_line(self):
        run = RunFolder('run')
        lines = ''.join(f'{{"step":{i},"epoch":{i // 4},"total":{i // 4},"inv":1}}\n' for i in range(80))
        write('run/stl/metrics.jsonl', lines + '{"step":80,"ep')
        curves = results.loss_curves(run, 'stl')
        self.assertEqual(set(curves), {'total', 'inv'})
        self.assertEqual([y for _, y in curves['total']], list(range(20)))
        self.assertAlmostEqual(curves['total'][0][0], 0.5)
        self.assertEqual(results.loss_curves(run, 'nothing'), {})

    def test_scores_stand_at_the_epoch_whose_weights_they_are_of(self):
        run = RunFolder('run')
        spread = ',"std":0.5,"alignment":1,"uniformity":-2'
        lines = [f'{{"step":{i},"epoch":{i // 4},"total":{i // 4}{spread if i % 4 == 0 else ""}}}\n' for i in range(8)]
        lines[6] += '{"step":6,"epoch":0,"knn":0.25,"probe":0.5}\n'
        write('run/watched/metrics.jsonl', ''.join(lines) + '{"step":7,"epoch":1,"knn":0.75,"probe":NaN}\n')
        curves = results.score_curves(run, 'watched')
        self.assertEqual(curves, {'knn': [(1, 0.25), (2, 0.75)], 'probe': [(1, 0.5)], 'std': [(0.25, 0.5), (1.25, 0.5)],
                                  'alignment': [(0.25, 1), (1.25, 1)], 'uniformity': [(0.25, -2), (1.25, -2)]})
        self.assertEqual(len(results.loss_curves(run, 'watched')['total']), 8)
        self.assertEqual(results.score_curves(run, 'nothing'), {})

    def test_scores_are_drawn_where_there_are_two(self):
        run = RunFolder('run')
        run.records = lambda: {'drawn': {'kind': 'train', 'state': 'done', 'base': 'drawn'}}
        step = '{{"step":{0},"epoch":{0},"total":1,"std":0.5,"alignment":1,"uniformity":-2}}\n'
        score = '{{"step":{0},"epoch":{0},"knn":0.5,"probe":0.25}}\n'
        for scores, lines in ((1, 3), (2, 5)):
            write('run/drawn/metrics.jsonl', ''.join(map(step.format, range(2))) + ''.join(map(score.format, range(scores))))
            page = xml.etree.ElementTree.fromstring(f'<p>{report._scores(run)}</p>')
            self.assertEqual(len(page.findall('.//polyline')), lines)
        self.assertIn('class="probe" points=', report._scores(run))
        write('run/drawn/metrics.jsonl', '')
        self.assertEqual(report._scores(run), '')

    def test_a_moved_run_keeps_its_labels(self):
        run = RunFolder('moved')
        write('moved/pretrain/result.json', '{"settings": {"method": "stl", "base": "simclr"}}')
        for weights, label in (('/was/here/run/pretrain/final.safetensors', 'STL'), ('random:3', 'random weights'),
                               ('downloaded.safetensors', 'evaluation')):
            self.assertEqual(results.label_of(run, {'base': 'evaluation', 'values': {'weights': weights}}), label)

    def test_charts_are_well_formed(self):
        chart = charts.lines([('total', [(0, 1.0), (1, float('nan')), (2, 3.0)])], 'epoch', 'loss', 'a "quoted" & label')
        self.assertEqual(len(xml.etree.ElementTree.fromstring(chart).findall('polyline')), 1)
        self.assertEqual(charts.lines([('total', [])], 'x', 'y', 'none'), '')
        bars = xml.etree.ElementTree.fromstring(charts.bars([('STL', 'first', 46.5, 0.4, ''), ('<b>', 'rest', 0.0, None, '')], 'x'))
        self.assertEqual(len(bars.findall('rect')), 2)
        self.assertEqual(charts.nice_ticks(0, 10), [0, 2, 4, 6, 8, 10])

    def test_times_and_counts_for_people(self):
        self.assertEqual([live.duration(s) for s in (0.04, 59.9, 61, 3725)], ['0.0 s', '59.9 s', '1m01s', '1h02m'])
        self.assertEqual([live.count(n) for n in (1234567, 12.34, 812.3)], ['1,234,567', '12.3', '812'])


if __name__ == '__main__':
    unittest.main()
