"""What a run tells about itself: totals over restarts, the bottleneck, and the figures for Prometheus."""
import os
import re
import signal
import sys
import unittest
import urllib.error
import urllib.request

from pipeline_case import LongCase, alive, until

sys.path.insert(0, os.path.join(os.environ['TANDEM_ROOT'], 'scripts'))
from supervisor import copies, metrics, pipeline  # noqa: E402
from supervisor.bottleneck import bottleneck, load_text  # noqa: E402
from supervisor.errors import Failure  # noqa: E402
from supervisor.live import View  # noqa: E402
from supervisor.meter import Load, Meter, Role  # noqa: E402

NAME = r'[a-zA-Z_:][a-zA-Z0-9_:]*'
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"'


def parse(text):
    """{(name, labels): value} and {name: type} of a page in Prometheus' text format; raises on anything it does not allow."""
    values, types, helped, current = {}, {}, set(), None
    assert text.endswith('\n')
    for line in text[:-1].split('\n'):
        if m := re.fullmatch(rf'# HELP ({NAME}) ((?:[^\\]|\\[\\n])*)', line):
            assert m[1] not in helped, f'{m[1]} is explained twice'
            helped.add(m[1])
        elif line == '# no stage has begun yet':
            continue
        elif m := re.fullmatch(rf'# TYPE ({NAME}) (counter|gauge)', line):
            assert m[1] not in types and m[1] in helped, f'{m[1]}: TYPE comes once, after HELP'
            types[m[1]] = m[2]
            current = m[1]
        else:
            m = re.fullmatch(rf'({NAME})(?:\{{((?:{LABEL},)*{LABEL})\}})? (\S+)', line)
            assert m, f'not a sample: {line}'
            assert m[1] == current, f'{m[1]} stands among the samples of {current}'
            assert (types[m[1]] == 'counter') == m[1].endswith('_total'), m[1]
            labels = tuple((k, re.sub(r'\\(.)', lambda e: {'n': '\n'}.get(e[1], e[1]), v)) for k, v in re.findall(LABEL, m[2] or ''))
            assert len(dict(labels)) == len(labels), f'a label twice: {line}'
            assert (m[1], labels) not in values, f'twice: {line}'
            values[m[1], labels] = float(m[m.lastindex])
    return values, types


def worker(name, role='augment', images=0, busy=0, wait=0, errors=None):
    return {'name': name, 'role': role, 'host': name.split(':')[0], 'silent': False, 'shards': images // 8, 'images': images, 'bytes_in': images,
            'bytes_out': 2 * images, 'busy_ms': busy, 'wait_ms': wait, 'errors': errors or {}, 'age_ms': 0}


def told(elapsed, workers, busy=0, wait=0, what='train', done=0, **feed):
    return {'what': what, 'unit': 'images', 'done': done, 'total': 1000, 'rate': 1.5, 'elapsed_s': elapsed, 'workers': workers,
            'feed': {'busy_ms': busy, 'wait_ms': wait, 'shards': 0, 'dropped': {}, **feed}}


HERE = os.uname().nodename


class Meters(unittest.TestCase):
    def test_totals_go_on_over_restarts(self):
        meter = Meter()
        meter.update(told(1, [worker(f'{HERE}:10:aa', images=80, errors={'lost': 1})], shards=10, dropped={'stale': 2}), {10: 'augment-1'})
        meter.update(told(2, [worker(f'{HERE}:11:bb', images=16, errors={'lost': 2})], shards=12, dropped={'stale': 3}), {11: 'augment-1'})
        meter.update(told(0.5, [worker(f'{HERE}:11:bb', images=24)], shards=1, dropped={'stale': 1}), {11: 'augment-1'})  # another trainer
        self.assertEqual(list(meter.members), ['augment-1'])
        self.assertEqual(meter.members['augment-1'].counts['images'], 80 + 24)
        self.assertEqual(meter.feed['shards'], 12 + 1)
        self.assertEqual(meter.errors(), {'dropped': 4, 'lost': 3})

    def test_a_worker_from_elsewhere_counts_from_its_coming(self):
        meter = Meter()
        meter.update(told(1, [worker('far:10:aa', images=800)]), {10: 'augment-1'})
        meter.update(told(2, [worker('far:10:aa', images=880)]), {10: 'augment-1'})
        self.assertEqual({place: m.counts['images'] for place, m in meter.members.items()}, {'far:10:aa': 80})
        self.assertEqual(meter.load(), None, 'it has told of no time yet')

    def test_rates_are_of_the_last_seconds(self):
        meter = Meter()
        for second in range(31):
            busy = sum(100 if s <= 15 else 900 for s in range(1, second + 1))  # ms
            meter.update(told(second, [worker(f'{HERE}:1:a', 'decode', images=second * 10, busy=second * 200, wait=second * 800),
                                       worker(f'{HERE}:2:a', images=second * 5, busy=busy, wait=1000 * second - busy),
                                       worker(f'{HERE}:3:a', images=second * 5, busy=busy, wait=1000 * second - busy)],
                              busy=second * 250, wait=second * 750, done=second * 10), {1: 'decode-1', 2: 'augment-1', 3: 'augment-2'})
        load = meter.load()
        self.assertAlmostEqual(load.roles['augment'].busy, 0.9)
        self.assertAlmostEqual(load.roles['augment'].rate, 10)
        self.assertEqual((load.roles['augment'].workers, load.roles['decode'].workers, load.remote), (2, 1, False))
        self.assertAlmostEqual(load.waits, 0.75)
        self.assertAlmostEqual(load.rate, 10)
        self.assertAlmostEqual(meter.whole().roles['augment'].busy, (15 * 0.1 + 15 * 0.9) / 30)
        meter.update({'what': 'fit', 'elapsed_s': 1, 'done': 1}, {})
        self.assertIsNone(meter.load())
        self.assertEqual(meter.whole().what, 'train')

    def test_the_bottleneck_and_what_to_do(self):
        def role(busy, workers=2, **more):
            return Role(workers, busy, 100.0, **more)

        def of(decode, augment, waits=0.5, idle=1.0, remote=False):
            roles = {name: r for name, r in (('decode', decode), ('augment', augment)) if r}
            return bottleneck('stl', Load('train', 50.0, waits, roles, idle, remote, {}))

        self.assertEqual(of(role(0.2), role(0.95)), ('augment', 'scripts/tandem scale stl 3'))
        self.assertEqual(of(role(0.95, 1), role(0.3)), ('decode', 'scripts/tandem scale stl --decode 2'))
        self.assertEqual(of(role(0.95, 1, cpu=0.2, faults=500.0), role(0.3))[0], 'disk')
        self.assertEqual(of(role(0.95, 1, cpu=0.9, faults=500.0), role(0.3))[0], 'decode')
        self.assertEqual(of(role(0.2), role(0.95), idle=0.1), ('augment', 'every core of this machine is at work; workers on another machine would help'))
        self.assertEqual(of(role(0.9), role(0.95), waits=0.02)[0], 'train')
        self.assertEqual(of(role(0.2), role(0.3))[0], 'transport')
        self.assertEqual(of(role(0.2), role(0.3), remote=True)[0], 'network')
        self.assertEqual(of(role(0.2), role(0.3), waits=None)[0], 'train')
        self.assertEqual(of(role(0.2), None), ('too few workers', 'no augment worker is there; scripts/tandem scale stl --augment 1'))
        self.assertEqual(load_text(Load('train', 50.0, 0.6, {'augment': role(0.95)}, None, False, {'lost': 2})),
                         'augment ×2 100/s 95% busy · train 40% busy')


class Terminal:
    """A stream that says it is a terminal."""

    def __init__(self):
        self.text = ''

    def isatty(self):
        return True

    def write(self, text):
        self.text += text

    def flush(self):
        pass


class Views(unittest.TestCase):
    def test_the_live_view_names_rates_and_bottleneck(self):
        load = Load('train', 50.0, 0.6, {'decode': Role(1, 0.1, 400.0), 'augment': Role(2, 0.95, 100.0)}, 1.0, False, {'lost': 2})
        stream = Terminal()
        os.environ['COLUMNS'] = '120'
        view = View(['stl', 'linear'], stream)
        view.started('stl', None)
        view.progress('stl', {'done': 5, 'total': 10, 'unit': 'images', 'rate': 2.0}, load)
        view.close()
        for words in ('5/10 images  2.0/s', 'decode ×1 400/s 10% busy · augment ×2 100/s 95% busy · train 40% busy', 'errors: 2 lost',
                      'bottleneck: augment: scripts/tandem scale stl 3'):
            self.assertIn(words, stream.text)


class Pages(unittest.TestCase):
    def test_labels_are_escaped_and_every_family_is_explained(self):
        page = metrics.Exposition()
        strange = 'a "quoted" \\ and\na line, {x="y"}'
        page.add('a_total', 'counter', 'With \\ and\nlines.', 3, worker=strange, role='augment')
        page.add('b', 'gauge', 'Plain.', 0.25)
        page.add('a_total', 'counter', 'With \\ and\nlines.', 2 ** 60, worker='other', role='augment')
        values, types = parse(page.text())
        self.assertEqual(values['a_total', (('worker', strange), ('role', 'augment'))], 3)
        self.assertEqual(values['b', ()], 0.25)
        self.assertEqual(types, {'a_total': 'counter', 'b': 'gauge'})
        self.assertIn(f' {2 ** 60}\n', page.text())

    def test_every_figure_of_a_worker_is_given_out(self):
        meter = Meter()
        meter.update(told(1, [worker('far"away:10:aa')]), {})
        meter.update(told(2, [worker('far"away:10:aa', images=80, busy=2500, wait=500, errors={'lost': 1})], shards=4, dropped={'stale': 1}), {})
        stages = {'stl': copies.Stage('stl', {'run': 'train'})}
        page = metrics.render(pipeline.Pipeline('f', {'name': 'name', 'seed': 1}, stages), {'stl': 'running'}, {'stl': meter}, {'stl': {'train': 1, 'augment': 2}})
        values, _ = parse(page)
        labels = (('stage', 'stl'), ('role', 'augment'), ('worker', 'far"away:10:aa'), ('host', 'far"away'))
        self.assertEqual([values[f'tandem_worker_{name}_total', labels] for name in
                          ('shards', 'images', 'received_bytes', 'sent_bytes', 'busy_seconds', 'wait_seconds')], [10, 80, 80, 160, 2.5, 0.5])
        self.assertEqual(values['tandem_worker_errors_total', (*labels, ('error', 'lost'))], 1)
        self.assertEqual(values['tandem_feed_shards_total', (('stage', 'stl'),)], 4)
        self.assertEqual(values['tandem_feed_dropped_total', (('stage', 'stl'), ('error', 'stale'))], 1)
        self.assertEqual(values['tandem_restarts_total', (('stage', 'stl'), ('role', 'augment'))], 2)
        self.assertEqual([value for (name, _), value in values.items() if name == 'tandem_stage_state'].count(1), 1)

    def test_where_it_answers(self):
        for where in ('0', ':0', 'localhost:0', '127.0.0.1:0'):
            exporter = metrics.Exporter(where)
            exporter.publish('page\n')
            with urllib.request.urlopen(exporter.url, timeout=60) as answer:
                self.assertEqual((answer.read(), answer.headers['Content-Type']), (b'page\n', 'text/plain; version=0.0.4; charset=utf-8'))
            with self.assertRaises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(exporter.url.replace('/metrics', '/'), timeout=60)
            self.assertEqual(caught.exception.code, 404)
            caught.exception.close()
            if where != 'localhost:0':
                self.assertTrue(exporter.url.startswith('http://127.0.0.1:'))
            exporter.close()
        for where in ('x', '127.0.0.1', '127.0.0.1:99999', 'a:b:1', ''):
            with self.assertRaises(Failure) as caught:
                metrics.Exporter(where)
            self.assertIn('give HOST:PORT', str(caught.exception))


class Run(LongCase):
    def scrape(self, url):
        with urllib.request.urlopen(url, timeout=60) as answer:
            return parse(answer.read().decode())

    def test_counters_only_grow_whatever_dies(self):
        self.run_file('--only', 'data')
        process = self.start('--only', 'pretrain', '--set', 'pretrain.epochs=100000', '--metrics', '0')
        url = re.fullmatch(r'metrics: (\S+)\n', process.stdout.readline())[1]
        last = {}

        def grown(name, least, role='augment', **labels):
            """Whether a counter has grown so far; on the way, that none has shrunk or gone."""
            values, types = self.scrape(url)
            for key, value in last.items():
                self.assertGreaterEqual(values.get(key, -1), value, key)
            last.update((key, v) for key, v in values.items() if types[key[0]] == 'counter')
            found = last.get((name, tuple({'stage': 'pretrain', 'role': role, **labels}.items())), 0)
            return found if found > least else 0

        def images(least):
            return until(lambda: grown('tandem_worker_images_total', least, worker='augment-1', host=HERE), f'more than {least} images')

        first = images(0)
        status = self.tandem('status', '--run', self.run_folder)
        self.assertRegex(status, r'(?m)^pretrain +train +running')
        os.kill(self.child('pretrain/augment-1'), signal.SIGKILL)
        until(lambda: grown('tandem_restarts_total', 0), 'another worker')
        second = images(first + 64)
        os.kill(self.child('pretrain'), signal.SIGKILL)
        until(lambda: grown('tandem_restarts_total', 0, role='train'), 'another trainer')
        images(second + 64)
        # The new trainer's workers come one after the other.
        until(lambda: re.search(r'(?m)^decode ×1 [\d,]+/s \d+% busy · augment ×1 [^\n]*\nbottleneck: ',
                                self.tandem('status', '--run', self.run_folder)), 'both workers and a bottleneck')
        process.send_signal(signal.SIGTERM)
        self.finish(process, code=130)

    def test_a_port_that_is_taken_is_one_line(self):
        process = self.train('--metrics', '0')
        port = re.search(r':(\d+)/metrics', process.stdout.readline())[1]
        other = self.run_folder + '-other'
        text = self.run_file('--only', 'data', '--metrics', port, folder=other, code=1)
        self.assertRegex(text, rf'^tandem: error: --metrics {port}: address already in use; choose another address\n$')
        self.assertFalse(os.path.exists(other))
        self.go_on()
        self.finish(process)
        self.assertFalse(alive(process.pid))


if __name__ == '__main__':
    unittest.main()
