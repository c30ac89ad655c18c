"""tandem-ingest as users run it: what it takes, what it refuses and how, and that a dataset is there whole or not at all."""
import glob
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import unittest

import jsonschema
import msgpack

from harness import ROOT, FlowTest, program

INGEST = program('ingest')
CLASSES = ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck']


def corpus(name):
    """A small image that the fuzz targets start from, e.g. jpeg/cmyk."""
    with open(f'{ROOT}/tests/fuzz/corpus/{name}', 'rb') as f:
        return f.read()


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as f:
        f.write(data)


def read(path):
    with open(path, 'rb') as f:
        return f.read()


def without_progress(text):
    """The lines that are not the progress of an ingest that takes long."""
    return [line for line in text.splitlines() if not re.search(r'images .*/s  (left|in) \d', line)]


def schema(name):
    with open(f'{ROOT}/schemas/{name}.schema.json', encoding='utf-8') as f:
        return json.load(f)


class IngestTest(FlowTest):
    def run_ingest(self, *arguments, **options):
        command = [INGEST, *(str(a) for a in arguments)]
        return subprocess.run(command, cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=300, **options)

    def ingest(self, *arguments, **options):
        done = self.run_ingest(*arguments, **options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def refused(self, status, message, *arguments, **options):
        """Fails with exactly one line of error, which contains `message`, and leaves nothing."""
        before = sorted(os.listdir(self.folder))
        done = self.run_ingest(*arguments, **options)
        self.assertEqual(done.returncode, status, done.stderr)
        lines = without_progress(done.stderr)
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertIn('tandem-ingest: error: ', lines[0])
        self.assertIn(message, lines[0])
        self.assertEqual(done.stdout, '')
        self.assertEqual(sorted(os.listdir(self.folder)), before)

    def info(self, path):
        return json.loads(self.ingest('info', path, '--json').stdout)

    def counts(self, path):
        return {s['name']: s['count'] for s in self.info(path)['splits']}

    def pets(self, root='pets', splits=('train', 'test')):
        """Two classes; JPEG in every colour space, PNG in several kinds, some under a wrong extension."""
        names = {'cat': ['jpeg/rgb', 'jpeg/grey', 'jpeg/cmyk', 'png/palette'], 'dog': ['jpeg/progressive', 'png/alpha', 'png/bits']}
        for split in splits:
            for kind, images in names.items():
                for i, image in enumerate(images):
                    extension = ('jpg', 'JPEG', 'png')[i % 3]
                    write(self.path(f'{root}/{split}/{kind}/{i}.{extension}'), corpus(image))
        return root


    def raw_records(self, dataset):
        """Every record, found in the raw file by how it begins."""
        data = read(self.path(dataset))
        for start in re.finditer(rb'[\x88\x89]\xa4xxh3\xcf', data):
            unpacker = msgpack.Unpacker(raw=False)
            unpacker.feed(data[start.start():start.start() + 65536])
            yield unpacker.unpack()

    def records(self, dataset):
        """Every record as the schema sees it: binaries as text."""
        for record in self.raw_records(dataset):
            yield {k: v.hex() if isinstance(v, bytes) else v for k, v in record.items()}


class Folders(IngestTest):
    def test_splits_and_classes(self):
        self.pets()
        write(self.path('pets/train/cat/README'), b'not an image, and not called one')
        done = self.ingest('--format', 'folder', '--in', 'pets', '--out', 'pets.lmdb')
        self.assertIn('not taken: 1 files', done.stderr)
        info = self.info('pets.lmdb')
        self.assertEqual(info['name'], 'pets')
        self.assertEqual(info['classes'], ['cat', 'dog'])
        self.assertEqual(info['splits'], [{'name': n, 'count': 7, 'classes': {'cat': 4, 'dog': 3}} for n in ('train', 'test')])
        stored = read(self.path('pets.lmdb'))
        for jpeg in ('rgb', 'grey', 'cmyk', 'progressive'):
            self.assertIn(corpus(f'jpeg/{jpeg}'), stored, 'a JPEG is kept byte for byte')
        self.assertNotIn(corpus('png/palette'), stored)
        self.ingest('info', 'pets.lmdb', '--verify')

    def test_classes_alone_are_one_split(self):
        self.pets('pets', ('a', 'b'))  # not names of splits: so they are the classes, with folders inside
        self.ingest('--format', 'folder', '--in', 'pets', '--out', 'pets.lmdb')
        info = self.info('pets.lmdb')
        self.assertEqual(info['classes'], ['a', 'b'])
        self.assertEqual(info['splits'], [{'name': 'train', 'count': 14, 'classes': {'a': 7, 'b': 7}}])

    def test_images_alone_are_unlabelled(self):
        for i in range(3):
            write(self.path(f'flat/{i}.jpg'), corpus('jpeg/rgb'))
        self.ingest('--format', 'folder', '--in', 'flat', '--out', 'flat.lmdb')
        info = self.info('flat.lmdb')
        self.assertEqual(info['classes'], [])
        self.assertEqual(self.counts('flat.lmdb'), {'train': 3})

    def test_unlabeled_split_and_class_only_in_test(self):
        self.pets()
        write(self.path('pets/unlabeled/1.jpg'), corpus('jpeg/rgb'))
        write(self.path('pets/test/bird/1.jpg'), corpus('jpeg/rgb'))
        self.ingest('--format', 'folder', '--in', 'pets', '--out', 'pets.lmdb')
        self.assertEqual(self.info('pets.lmdb')['classes'], ['bird', 'cat', 'dog'])
        self.assertEqual(self.counts('pets.lmdb'), {'train': 7, 'unlabeled': 1, 'test': 8})

    def test_result_and_records_follow_their_schemas(self):
        self.pets()
        write(self.path('pets/train/cat/x.jpg'), b'hello')
        self.ingest('--format', 'folder', '--in', 'pets', '--out', 'pets.lmdb', '--skip-bad', '--result', 'r.json', '--progress', 'p.json')
        result = json.loads(read(self.path('r.json')))
        jsonschema.validate(result, schema('result-ingest'))
        self.assertEqual(result['dataset'], self.info('pets.lmdb'))
        self.assertEqual([s['source'] for s in result['skipped']], ['pets/train/cat/x.jpg'])
        self.assertTrue(json.loads(read(self.path('p.json')))['finished'])
        self.ingest('--format', 'shapes', '--out', 's.lmdb', '--train', 20, '--test', 1, '--size', 12)
        check = jsonschema.Draft202012Validator(schema('record'))
        for dataset, count in (('pets.lmdb', 14), ('s.lmdb', 21)):
            records = list(self.records(dataset))
            self.assertEqual(len(records), count)
            for r in records:
                check.validate(r)


class ClassLists(IngestTest):
    """--classes."""

    def setUp(self):
        super().setUp()
        self.pets('pets', ('train', 'val'))
        for split in ('train', 'val'):
            write(self.path(f'pets/{split}/red fox/1.jpg'), corpus('jpeg/rgb'))
        write(self.path('pets/unlabeled/1.jpg'), corpus('jpeg/grey'))

    def listed(self, text):
        write(self.path('list.txt'), text.encode())
        return ('--format', 'folder', '--in', 'pets', '--out', 'pets.lmdb', '--classes', 'list.txt')

    def test_labels_in_list_order(self):
        done = self.ingest(*self.listed('# three are there\n\nred fox\tVulpes vulpes\r\n  dog hound, canine \n'), '--result', 'r.json')
        self.assertIn('2 class folders that list.txt does not list are left out', done.stderr)
        info = self.info('pets.lmdb')
        counts = {'Vulpes vulpes': 1, 'hound, canine': 3}
        self.assertEqual(info['classes'], list(counts))
        self.assertEqual(info['splits'], [{'name': 'train', 'count': 4, 'classes': counts},
                                          {'name': 'unlabeled', 'count': 1, 'classes': dict.fromkeys(counts, 0)},
                                          {'name': 'val', 'count': 4, 'classes': counts}])
        self.assertIn('Vulpes vulpes', self.ingest('info', 'pets.lmdb').stdout)
        result = json.loads(read(self.path('r.json')))
        jsonschema.validate(result, schema('result-ingest'))
        self.assertEqual(result['settings']['classes'], 'list.txt')
        self.ingest(*self.listed('dog\ncat'), '--replace')
        info = self.info('pets.lmdb')
        self.assertEqual(info['classes'], ['dog', 'cat'])
        self.assertEqual(info['splits'][0]['classes'], {'dog': 3, 'cat': 4})

    def test_lists_that_are_refused(self):
        os.mkdir(self.path('pets/val/bird'))
        write(self.path('pets/train/bird/1.jpg'), corpus('jpeg/rgb'))
        for text, message in (('cat\nwolf\n', 'pets/train: there is no folder of class wolf, which list.txt lists'),
                              ('bird\n', 'pets/val/bird: there is no image of this class'),
                              ('cat\ndog\ncat Felis\n', 'list.txt, line 3: the class folder cat is listed twice'),
                              ('cat pet\n#\ndog pet\n', 'list.txt, line 3: the classes cat and dog have the same name, pet'),
                              ('\tcat\n', 'list.txt, line 1: there is no folder before the name'),
                              ('../train/cat\n', 'there is no folder of class ../train/cat'),
                              ('# nothing\n\n', 'list.txt: lists no class'),
                              ('cat\0dog\n', 'list.txt: this is no text file')):
            with self.subTest(text):
                self.refused(1, message, *self.listed(text))
        os.remove(self.path('list.txt'))
        self.refused(1, 'list.txt', '--format', 'folder', '--in', 'pets', '--out', 'x.lmdb', '--classes', 'list.txt')
        self.refused(2, '--classes: --format shapes has its own classes', '--format', 'shapes', '--out', 'x.lmdb', '--classes', 'list.txt')


class Rewriting(IngestTest):
    """--restart and --short-side."""

    def test_restart_keeps_pixels_and_adds_an_index(self):
        self.pets()
        self.ingest('--format', 'folder', '--in', 'pets', '--out', 'plain.lmdb', '--result', 'plain.json')
        done = self.ingest('--format', 'folder', '--in', 'pets', '--out', 'x.lmdb', '--restart', '--result', 'x.json')
        self.assertIn('--restart: 8 JPEGs were re-coded, 0 kept as they were', done.stderr)
        result, plain = (json.loads(read(self.path(f))) for f in ('x.json', 'plain.json'))
        jsonschema.validate(result, schema('result-ingest'))
        self.assertEqual((result['recoded'], result['settings']['restart']), (8, True))
        self.assertEqual((plain['recoded'], 'restart' in plain['settings']), (0, False))
        self.assertEqual(result['dataset']['mean'], plain['dataset']['mean'], 'the pixels are the same')
        self.assertEqual(result['dataset']['std'], plain['dataset']['std'])
        self.assertNotEqual(result['dataset']['fingerprint'], plain['dataset']['fingerprint'])
        self.assertIn('8 JPEG (8 with an index of restart intervals), 6 RGB', self.ingest('info', 'x.lmdb', '--verify').stdout)
        self.assertIn('8 JPEG, 6 RGB', self.ingest('info', 'plain.lmdb', '--verify').stdout)
        check = jsonschema.Draft202012Validator(schema('record'))
        for r in self.records('x.lmdb'):
            check.validate(r)
        for r in self.raw_records('x.lmdb'):
            self.assertEqual('restarts' in r, r['encoding'] == 'jpeg')
            places = [int.from_bytes(r['restarts'][i:i + 4], 'little') for i in range(0, len(r.get('restarts', b'')), 4)]
            for i, place in enumerate(places[1:]):
                self.assertEqual(r['bytes'][place - 2:place], bytes([0xff, 0xd0 + i % 8]))
            self.assertNotIn(b'\xff\xc2', r['bytes'][:200] if r['encoding'] == 'jpeg' else b'', 'progressive becomes baseline')
        for f in ('plain', 'x'):
            self.ingest('info', f'{f}.lmdb', '--sheet', f'{f}.png')
        self.assertEqual(read(self.path('x.png')), read(self.path('plain.png')))

    def test_short_side_scales_down_and_never_up(self):
        write(self.path('in/a.jpg'), corpus('jpeg/rgb'))
        write(self.path('in/b.png'), corpus('png/rgb'))
        self.ingest('--format', 'folder', '--in', 'in', '--out', 'plain.lmdb')
        before = {r['encoding']: (r['width'], r['height']) for r in self.raw_records('plain.lmdb')}
        self.assertGreater(min(before['jpeg']), 8)
        done = self.ingest('--format', 'folder', '--in', 'in', '--out', 'x.lmdb', '--short-side', '8', '--quality', '80', '--restart', '--result', 'r.json')
        self.assertIn(f'--short-side: {sum(min(size) > 8 for size in before.values())} images were scaled down', done.stderr)
        for r in self.raw_records('x.lmdb'):
            w, h = before[r['encoding']]
            expected = (w, h) if min(w, h) <= 8 else (8, 8 * h // w) if w <= h else (8 * w // h, 8)
            self.assertEqual((r['width'], r['height']), expected)
        result = json.loads(read(self.path('r.json')))
        jsonschema.validate(result, schema('result-ingest'))
        self.assertEqual({k: result['settings'][k] for k in ('short_side', 'quality')}, {'short_side': 8, 'quality': 80})
        self.ingest('info', 'x.lmdb', '--verify')
        self.ingest('--format', 'folder', '--in', 'in', '--out', 'same.lmdb', '--short-side', '4096')
        self.assertEqual(self.info('same.lmdb')['fingerprint'], self.info('plain.lmdb')['fingerprint'])

    def test_boxes_are_scaled(self):
        flags = ('--format', 'shapes', '--train', '20', '--test', '0', '--size', '64')
        self.ingest(*flags, '--out', 'a.lmdb')
        self.ingest(*flags, '--out', 'b.lmdb', '--short-side', '16')
        boxes = {f: sorted(r['boxes'][0] for r in self.raw_records(f'{f}.lmdb')) for f in 'ab'}
        self.assertEqual([[x / 4 for x in box[:4]] + box[4:] for box in boxes['a']], boxes['b'])
        self.assertEqual({(r['width'], r['height'], r['encoding']) for r in self.raw_records('b.lmdb')}, {(16, 16, 'rgb8')})

    def test_threads_leave_no_trace(self):
        self.pets()
        for threads in ('1', '5'):
            self.ingest('--format', 'folder', '--in', 'pets', '--out', f'{threads}.lmdb', '--name', 'x', '--restart', '--short-side', '9', '--threads', threads)
        self.assertEqual(read(self.path('1.lmdb')), read(self.path('5.lmdb')))

    def test_command_line(self):
        self.refused(2, '--short-side: 3 is neither 0 nor 8..65535', '--format', 'shapes', '--out', 'x.lmdb', '--short-side', '3')
        self.refused(2, '--quality: 0 is not 1..100', '--format', 'shapes', '--out', 'x.lmdb', '--quality', '0')


class BadInput(IngestTest):
    def test_truncated_and_mistaken_images(self):
        bad = {'truncated.jpg': (corpus('jpeg/rgb')[:-40], 'a truncated or corrupt JPEG'),
               'no-end.jpg': (corpus('jpeg/rgb')[:-2], 'a truncated or corrupt JPEG'),
               'text.jpg': (b'hello, I am a text\n', 'not an image: neither JPEG nor PNG (the content is text)'),
               'empty.png': (b'', 'an empty file'),
               'animated.jpg': (b'GIF89a' + bytes(20), 'a GIF file; convert it'),
               'cut.png': (corpus('png/rgb')[:-20], 'a truncated or corrupt PNG')}
        for name, (data, message) in bad.items():
            with self.subTest(name):
                shutil.rmtree(self.path('pets'), ignore_errors=True)
                self.pets()
                write(self.path(f'pets/train/dog/{name}'), data)
                flags = ('--format', 'folder', '--in', 'pets', '--out', 'pets.lmdb')
                self.refused(1, f'pets/train/dog/{name}: {message}', *flags)
                self.refused(1, '(--skip-bad leaves such images out)', *flags)
                self.refused(1, f'pets/train/dog/{name}: {message}', *flags, '--restart', '--short-side', '16')
                done = self.ingest(*flags, '--skip-bad', '--replace')
                self.assertIn(f'skipped pets/train/dog/{name}: {message}', done.stderr)
                self.assertEqual(self.counts('pets.lmdb'), {'train': 7, 'test': 7})
                os.remove(self.path('pets.lmdb'))

    def test_nothing_usable(self):
        os.makedirs(self.path('empty/cat'))
        self.refused(1, 'empty: no images there; expected', '--format', 'folder', '--in', 'empty', '--out', 'x.lmdb')
        self.refused(1, 'cannot read the folder nowhere: No such file', '--format', 'folder', '--in', 'nowhere', '--out', 'x.lmdb')
        write(self.path('bad/1.jpg'), b'hello')
        done = self.run_ingest('--format', 'folder', '--in', 'bad', '--out', 'x.lmdb', '--skip-bad')
        self.assertEqual(done.returncode, 1)
        self.assertIn('bad: not one usable image', done.stderr)
        self.assertFalse(os.path.exists(self.path('x.lmdb')))

    def test_named_pipes_hold_nobody_up(self):
        self.pets()
        os.mkfifo(self.path('pets/train/dog/notes'))
        self.ingest('--format', 'folder', '--in', 'pets', '--out', 'pets.lmdb')
        os.mkfifo(self.path('pets/train/dog/pipe.jpg'))
        self.refused(1, 'pipe.jpg: not a regular file', '--format', 'folder', '--in', 'pets', '--out', 'other.lmdb')

    def test_command_line(self):
        self.refused(2, 'unknown flag --colour', '--format', 'shapes', '--out', 'x.lmdb', '--colour', 'red')
        self.refused(2, "'jpegs' is not one of cifar10|folder|shapes|stl10", '--format', 'jpegs', '--out', 'x.lmdb')
        self.refused(2, '--in is required for --format folder', '--format', 'folder', '--out', 'x.lmdb')
        self.refused(2, '--format shapes reads nothing', '--format', 'shapes', '--in', '.', '--out', 'x.lmdb')
        self.refused(2, '--out is required', '--format', 'shapes')
        self.refused(2, '--size: 3 is not 8..4096', '--format', 'shapes', '--out', 'x.lmdb', '--size', '3')
        self.refused(2, '--train: 0 is not 1..', '--format', 'shapes', '--out', 'x.lmdb', '--train', '0')

    def test_places_that_cannot_be_written(self):
        tiny = ('--format', 'shapes', '--train', '9', '--test', '1', '--out')
        self.refused(1, 'cannot write no/such/x.lmdb: No such file', *tiny, 'no/such/x.lmdb')
        self.ingest(*tiny, 'x.lmdb')
        self.refused(1, 'x.lmdb exists already; choose another --out or give --replace', *tiny, 'x.lmdb')
        os.mkdir(self.path('folder.lmdb'))
        self.refused(1, 'folder.lmdb exists and is not a dataset file', *tiny, 'folder.lmdb', '--replace')

    def test_dataset_of_another_version_or_none(self):
        self.ingest('--format', 'shapes', '--out', 'x.lmdb', '--train', '9', '--test', '1')
        data = read(self.path('x.lmdb'))
        self.assertEqual(data.count(b'\xa7version\x01'), 1)
        write(self.path('x.lmdb'), data.replace(b'\xa7version\x01', b'\xa7version\x02'))
        self.refused(1, 'x.lmdb: a dataset of version 2, but this build reads version 1; ingest the images again', 'info', 'x.lmdb')
        write(self.path('x.lmdb'), data[:len(data) // 2])
        self.refused(1, 'x.lmdb is truncated', 'info', 'x.lmdb')
        write(self.path('x.lmdb'), b'hello')
        self.refused(1, 'x.lmdb is not a dataset', 'info', 'x.lmdb')
        self.refused(1, 'there is no dataset at y.lmdb', 'info', 'y.lmdb')


class BinarySets(IngestTest):
    def test_cifar10(self):
        def image(k):
            return bytes((k * 7 + i * 3 + i // 1024) % 256 for i in range(3072))
        for name, labels in [(f'data_batch_{b}', (b, 9)) for b in range(1, 6)] + [('test_batch', (0, 0, 0))]:
            write(self.path(f'c/cifar-10-batches-bin/{name}.bin'), b''.join(bytes([y]) + image(y) for y in labels))
        self.ingest('--format', 'cifar10', '--in', 'c', '--out', 'c.lmdb')
        info = self.info('c.lmdb')
        self.assertEqual(info['classes'], CLASSES)
        self.assertEqual(self.counts('c.lmdb'), {'train': 10, 'test': 3})
        self.assertEqual(info['splits'][0]['classes']['truck'], 5)
        planes = image(4)
        pixels = bytes(planes[c * 1024 + i] for i in range(1024) for c in range(3))
        self.assertIn(pixels, read(self.path('c.lmdb')))
        write(self.path('c/cifar-10-batches-bin/batches.meta.txt'), b'\n'.join(b'kind%d' % i for i in range(10)) + b'\n\n')
        self.ingest('--format', 'cifar10', '--in', 'c/cifar-10-batches-bin', '--out', 'd.lmdb')
        self.assertEqual(self.info('d.lmdb')['classes'][9], 'kind9')
        os.truncate(self.path('c/cifar-10-batches-bin/data_batch_3.bin'), 4000)
        self.refused(1, 'data_batch_3.bin: 4000 bytes are not a whole number of records of 3073', '--format', 'cifar10', '--in', 'c', '--out', 'e.lmdb')
        write(self.path('c/cifar-10-batches-bin/data_batch_3.bin'), bytes([77]) + image(1))
        self.refused(1, 'data_batch_3.bin record 0: label 77', '--format', 'cifar10', '--in', 'c', '--out', 'e.lmdb')
        os.remove(self.path('c/cifar-10-batches-bin/data_batch_3.bin'))
        self.refused(1, 'data_batch_3.bin: No such file', '--format', 'cifar10', '--in', 'c', '--out', 'e.lmdb')

    def test_stl10(self):
        def image(k):  # planes, each column by column
            return bytes((k * 5 + x * 3 + y * 7 + c * 11) % 251 for c in range(3) for x in range(96) for y in range(96))
        write(self.path('s/train_X.bin'), image(1) + image(2))
        write(self.path('s/train_y.bin'), bytes([1, 10]))
        write(self.path('s/test_X.bin'), image(3))
        write(self.path('s/test_y.bin'), bytes([4]))
        write(self.path('s/class_names.txt'), b'airplane\nbird\ncar\ncat\ndeer\ndog\nhorse\nmonkey\nship\ntruck\n')
        self.ingest('--format', 'stl10', '--in', 's', '--out', 'a.lmdb')
        self.assertEqual(self.counts('a.lmdb'), {'train': 2, 'test': 1})
        write(self.path('s/unlabeled_X.bin'), image(4) * 3)
        self.ingest('--format', 'stl10', '--in', 's', '--out', 'b.lmdb')
        info = self.info('b.lmdb')
        self.assertEqual(self.counts('b.lmdb'), {'train': 2, 'unlabeled': 3, 'test': 1})
        self.assertEqual(info['splits'][0]['classes']['truck'], 1)
        self.assertEqual(info['splits'][1]['classes']['truck'], 0)
        self.assertEqual(info['splits'][2]['classes']['cat'], 1)
        pixels = bytes((2 * 5 + x * 3 + y * 7 + c * 11) % 251 for y in range(96) for x in range(96) for c in range(3))
        self.assertIn(pixels, read(self.path('b.lmdb')))
        write(self.path('s/test_y.bin'), bytes([4, 4]))
        self.refused(1, 'test_y.bin has 2 labels for 1 images', '--format', 'stl10', '--in', 's', '--out', 'e.lmdb')


class Shapes(IngestTest):
    def test_same_seed_same_bytes_whatever_the_threads(self):
        flags = ('--format', 'shapes', '--train', '300', '--test', '70', '--size', '24', '--name', 'x')
        self.ingest(*flags, '--out', 'a.lmdb', '--threads', '1', '--result', 'a.json')
        self.ingest(*flags, '--out', 'b.lmdb', '--threads', '5', '--result', 'b.json')
        self.ingest(*flags, '--out', 'c.lmdb', '--seed', '1')
        self.assertEqual(read(self.path('a.lmdb')), read(self.path('b.lmdb')))
        self.assertEqual(read(self.path('a.json')), read(self.path('b.json')))
        self.assertNotEqual(self.info('a.lmdb')['fingerprint'], self.info('c.lmdb')['fingerprint'])
        info = self.info('a.lmdb')
        self.assertEqual(info['splits'][0]['classes'], {c: 30 for c in info['classes']})
        self.assertIn('rotation', info['attributes'])

    def test_any_size_and_count(self):
        self.ingest('--format', 'shapes', '--train', '1', '--test', '0', '--size', '301', '--out', 'a.lmdb')
        self.assertEqual(self.counts('a.lmdb'), {'train': 1, 'test': 0})
        self.assertIn('301x301 pixels', self.ingest('info', 'a.lmdb').stdout)


class Interrupted(IngestTest):
    """A dataset is either the old one or the new one."""

    LONG = ('--format', 'shapes', '--size', '64', '--train', '1000000', '--out', 'x.lmdb')

    def begin(self, *flags):
        p = self.start([INGEST, *self.LONG, *flags], 'ingest')
        self.until(lambda: any(os.path.getsize(f) > 1 << 20 for f in glob.glob(self.path('x.lmdb.tmp-*'))), 'data on disk')
        return p

    def test_killed(self):
        self.assertEqual(self.begin().stop(signal.SIGKILL), -signal.SIGKILL)
        self.assertFalse(os.path.exists(self.path('x.lmdb')))
        self.assertEqual(len(glob.glob(self.path('x.lmdb.tmp-*'))), 1)
        self.ingest('--format', 'shapes', '--train', '30', '--test', '3', '--out', 'x.lmdb')
        self.assertEqual(self.counts('x.lmdb'), {'train': 30, 'test': 3})
        self.assertEqual(glob.glob(self.path('x.lmdb.tmp-*')), [], 'the next ingest removes what the dead one left')
        old = read(self.path('x.lmdb'))
        self.begin('--replace').stop(signal.SIGKILL)
        self.assertEqual(read(self.path('x.lmdb')), old)

    def test_terminated(self):
        p = self.begin()
        self.assertEqual(p.stop(signal.SIGTERM), 130)
        self.assertEqual(glob.glob(self.path('x.lmdb*')), [])

    def test_two_at_once(self):
        running = self.begin()
        self.ingest('--format', 'shapes', '--train', '30', '--test', '3', '--out', 'x.lmdb')
        self.assertEqual(len(glob.glob(self.path('x.lmdb.tmp-*'))), 1, "a live ingest's file is left alone")
        self.assertEqual(running.stop(signal.SIGTERM), 130)
        self.assertEqual(self.counts('x.lmdb'), {'train': 30, 'test': 3})


class InterruptedRewriting(IngestTest):
    """The same where images are re-coded: many links to one JPEG."""

    def many(self, n):
        write(self.path('many/0.jpg'), corpus('jpeg/rgb'))
        for i in range(1, n):
            os.link(self.path('many/0.jpg'), self.path(f'many/{i}.jpg'))
        return ('--format', 'folder', '--in', 'many', '--out', 'x.lmdb', '--restart')

    def on_disk(self):
        try:
            return max(map(os.path.getsize, glob.glob(self.path('x.lmdb.tmp-*'))), default=0)
        except FileNotFoundError:  # renamed in this moment
            return 0

    def test_killed(self):
        self.ingest('--format', 'shapes', '--train', '30', '--test', '3', '--out', 'x.lmdb')
        old = read(self.path('x.lmdb'))
        p = self.start([INGEST, *self.many(5000), '--replace'], 'ingest')
        self.until(lambda: not p.running() or self.on_disk() > 1 << 16, 'data on disk')
        p.stop(signal.SIGKILL)
        if read(self.path('x.lmdb')) != old:  # it was done before it was killed: then it is all there
            self.assertEqual(self.counts('x.lmdb'), {'train': 5000})
        self.ingest('info', 'x.lmdb', '--verify')

    def test_full_disk(self):
        limit = 1 << 17
        self.refused(1, 'x.lmdb: File too large; free some space or choose another place', *self.many(1000),
                     preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))


class FullDisk(IngestTest):
    FLAGS = ('--format', 'shapes', '--size', '64', '--train', '1000', '--test', '0', '--out')

    def test_file_size_limit(self):
        limit = 5 << 20
        self.refused(1, 'x.lmdb: File too large; free some space or choose another place', *self.FLAGS, 'x.lmdb',
                     preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))

    def test_small_tmpfs(self):
        os.mkdir(self.path('disk'))
        script = 'mount -t tmpfs -o size=5m tmpfs disk || exit 99; "$0" "$@" 2>err; echo $?; ls disk; cat err; head -c 1000 /dev/zero >disk/room'
        done = subprocess.run(['unshare', '-m', 'sh', '-c', script, INGEST, *self.FLAGS, 'disk/x.lmdb'], cwd=self.folder,
                              capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if not done.stdout:  # nothing ran: unshare or mount refused (no privilege, a chroot)
            self.skipTest(f'cannot mount here ({done.stderr.strip()}); test_file_size_limit stands in')
        self.assertEqual(done.stdout.splitlines()[0], '1', done.stderr)
        self.assertEqual(len(without_progress(done.stdout)), 2, done.stdout)
        self.assertIn('disk/x.lmdb: No space left on device; free some space', done.stdout)


if __name__ == '__main__':
    unittest.main()
