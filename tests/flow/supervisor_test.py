"""The supervisor on real stages: mistakes in pipeline files, and what runs and why."""
import os
import re
import struct
import sys
import unittest
import zlib

from pipeline_case import FEED, ROOT, TINY, Case, read

sys.path.insert(0, os.path.join(ROOT, 'scripts'))
from supervisor.remote import Datasets  # noqa: E402


def png(side=16):
    """A colourful PNG file."""
    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
    rows = b''.join(b'\0' + bytes((x * 16 + c * 40 + y) % 256 for x in range(side) for c in range(3)) for y in range(side))
    header = struct.pack('>IIBBBBB', side, side, 8, 2, 0, 0, 0)
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b'')


class Files(Case):
    """Mistakes in a pipeline file: file, line and the fix, all before anything runs."""

    def mistake(self, old, new, *expected, below=0):
        """Replaces `old` and expects words about the line it starts on, or one `below`."""
        self.assertIn(old, TINY)
        file = self.write('bad.yaml', TINY.replace(old, new, 1))
        text = self.run_file(code=2, file=file)
        for words in expected:
            self.assertIn(words, text)
        self.assertFalse(os.path.exists(self.run_folder), 'a mistake in the file must leave nothing')
        line = TINY[:TINY.index(old)].count('\n') + 1 + below
        self.assertIn(f'{file}:{line}: ', text)
        self.assertEqual(text, self.tandem('validate', file, code=2))

    def test_a_good_file_is_fine(self):
        self.assertIn('stages: data, pretrain, linear', self.tandem('validate', self.file))

    def test_a_misspelt_key(self):
        self.mistake('    feed: {dataset', '    fed: {dataset', "unknown key 'fed'; did you mean 'feed'?")

    def test_an_unknown_kind(self):
        self.mistake('run: train', 'run: trian', "no stage kind 'trian'; did you mean 'train'?")

    def test_an_unknown_command(self):
        self.mistake('run: train', 'run: train coost', 'train coost --help failed')

    def test_a_worker_as_a_stage(self):
        self.mistake('run: train', 'run: augment', 'augment is a worker, not a stage')

    def test_an_unknown_flag(self):
        self.mistake('with: {method', 'with: {epohcs: 3, method', "no flag --epohcs; did you mean 'epochs'?")

    def test_a_value_of_the_wrong_type(self):
        self.mistake('with: {method', 'with: {lr: fast, method', "lr: 'fast' is not a number")

    def test_a_fraction_for_a_count(self):
        self.mistake('augment: 1}', 'augment: 1.5}', "'augment' must be a whole number, not '1.5'")

    def test_a_value_that_is_not_a_choice(self):
        self.mistake('with: {method', 'with: {schedule: cosin, method', "schedule: 'cosin' is not one of cosine, constant",
                     "did you mean 'cosine'?")

    def test_a_missing_need(self):
        self.mistake('needs: [pretrain]', 'needs: [pretrian]', "needs 'pretrian', which is not in this file; did you mean 'pretrain'?")

    def test_a_circle(self):
        self.mistake('run: train\n    needs: [data]', 'run: train\n    needs: [data, linear]', 'in a circle: ',
                     'pretrain -> linear -> pretrain', below=1)

    def test_an_unknown_reference(self):
        self.mistake('weights: "${pretrain}', 'weights: "${pretrained}', "${pretrained} is unknown; did you mean 'pretrain'?")

    def test_a_reference_without_the_need(self):
        self.mistake('needs: [pretrain]\n    feed', 'needs: [data]\n    feed', 'uses ${pretrain} without needing it; add pretrain', below=2)

    def test_a_dataset_without_the_need(self):
        self.mistake('needs: [data]\n    feed', 'needs: []\n    feed', "which 'data' makes; add data to its needs", below=1)

    def test_no_feed(self):
        self.mistake('    feed: ' + FEED + '\n    with: {method', '    with: {method', "train needs images; add 'feed:", below=-2)

    def test_a_key_that_stands_twice(self):
        self.mistake('seed: 3\n', 'seed: 3\nseed: 4\n', "'seed' stands here twice", below=1)

    def test_stages_that_are_none(self):
        file = self.write('none.yaml', 'name: x\nstages: 3\n')
        self.assertEqual(self.tandem('validate', file, code=2),
                         f"tandem: error: {file}:2: 'stages' must be a mapping (key: value), not '3'\n")

    def test_broken_yaml(self):
        self.mistake('seed: 3\n', 'seed: [3\n', 'not valid YAML', below=1)

    def test_several_mistakes_come_together(self):
        file = self.write('bad.yaml', TINY.replace('epochs: 2', 'epohcs: 2, lr: x').replace('size: 32}', 'sise: 32}'))
        self.assertEqual(self.tandem('validate', file, code=2).count('tandem: error: '), 3)

    def test_a_bad_set(self):
        for words, expected in (('pretrian.lr=1', "no stage 'pretrian'; did you mean 'pretrain'?"), ('pretrain.lr', 'write it as'),
                                ('pretrain.lr=x', "--set pretrain.lr=x: stage 'pretrain': lr: 'x' is not a number"),
                                ('pretrain.feed.dekode=2', "unknown key 'dekode'; did you mean 'decode'?")):
            self.assertIn(expected, self.run_file('--set', words, code=2))

    def test_a_missing_file_and_a_wrong_command(self):
        self.assertIn('nothing.yaml: no such file', self.tandem('run', 'nothing.yaml', code=2))
        self.assertIn('--help lists what is valid', self.tandem('rnu', code=2))
        self.assertIn("no stage 'linaer'; did you mean 'linear'?", self.run_file('--only', 'linaer', code=2))


class Incremental(Case):
    """What runs, what is skipped, and the reasons given."""

    def expect(self, words, runs, *reasons):
        output = self.run_file(*words)
        verdicts = self.verdicts(output)
        self.assertEqual({n for n, v in verdicts.items() if v == 'runs'}, set(runs), output)
        for reason in reasons:
            self.assertIn(reason, output)
        return output

    def test_only_what_changed_runs(self):
        self.assertIn('data: would run: first time', self.run_file('--dry-run'))
        self.assertFalse(os.path.exists(self.run_folder), 'a dry run leaves nothing')
        self.expect([], ['data', 'pretrain', 'linear'])
        self.expect([], [], 'linear: skipped: unchanged')

        # Neither worker counts, their threads and instruction sets nor a moved run folder change anything.
        self.expect(['--set', 'pretrain.feed.augment=3', '--set', 'pretrain.feed.decode=2', '--set', 'pretrain.feed.threads=2',
                     '--set', 'pretrain.feed.isa=scalar'], [])
        moved = self.run_folder + '-moved'
        os.rename(self.run_folder, moved)
        self.run_folder = moved
        self.expect([], [])

        # Another flag runs the stage, and what reads its output where that is new.
        self.assertIn('linear: would run: if pretrain makes something new', self.run_file('--dry-run', '--set', 'pretrain.keep=1'))
        self.expect(['--set', 'pretrain.keep=1'], ['pretrain'], 'pretrain: runs: keep is now 1', 'linear: skipped: unchanged')
        self.expect(['--set', 'pretrain.keep=1', '--set', 'pretrain.lr=0.05'], ['pretrain', 'linear'], 'lr is now 0.05',
                    'weights has other content')

        # So does an output that is gone or not as it was; deleted checkpoints do not.
        settings = ['--set', 'pretrain.keep=1', '--set', 'pretrain.lr=0.05']
        for name in os.listdir(os.path.join(self.run_folder, 'pretrain')):
            if name.startswith('checkpoint-'):
                os.remove(os.path.join(self.run_folder, 'pretrain', name))
        self.expect(settings, [])
        os.remove(os.path.join(self.run_folder, 'linear', 'result.json'))
        self.expect(settings, ['linear'], 'its output linear/result.json is gone')
        with open(os.path.join(self.run_folder, 'pretrain', 'final.safetensors'), 'ab') as stream:
            stream.write(b'x')
        self.expect(settings, ['pretrain'], 'its output pretrain/final.safetensors was changed')

        # A part of the pipeline, by force, or again.
        self.expect([*settings, '--only', 'linear', '--force'], ['linear'], 'linear: runs: asked for')
        output = self.expect([*settings, '--from', 'pretrain'], [])
        self.assertNotIn('data:', output)
        output = self.tandem('rerun', self.file, 'data', '--run', self.run_folder, *settings)
        self.assertEqual(self.verdicts(output), {'data': 'runs', 'pretrain': 'skipped', 'linear': 'skipped'})

        status = self.tandem('status', '--run', self.run_folder)
        self.assertRegex(status, r'(?m)^pretrain +train +done .* images/s')
        self.assertIn('tandem-train', self.tandem('logs', 'pretrain', '--run', self.run_folder))
        self.assertIn("did you mean 'linear'?", self.tandem('logs', 'liner', '--run', self.run_folder, code=1))
        self.report_is_complete()
        self.workers_offer_its_dataset_alone()

    def workers_offer_its_dataset_alone(self):
        data, features = (os.path.join(self.run_folder, name) for name in ('shapes.lmdb', 'linear/features.lmdb'))
        self.assertTrue(os.path.isfile(features))
        for paths, words in (([self.run_folder], ['offers']), ([data, features], ['offers', 'not a dataset'])):
            said = []
            found = Datasets(paths, os.path.join(os.environ['TANDEM_BIN'], 'tandem-ingest'), said.append).look()
            self.assertEqual((found, len(said)), ([data], len(words)), said)
            for word, line in zip(words, said):
                self.assertIn(word, line)

    def report_is_complete(self):
        os.remove(os.path.join(self.run_folder, 'report.html'))
        self.tandem('report', '--run', self.run_folder)
        page = read(self.run_folder, 'report.html').decode()
        for words in ('Linear accuracy', 'class="total"', 'data:image/png;base64,', 'pretrain', 'images/s', 'class="tg"'):
            self.assertTrue(words in page, f'the report lacks {words}')
        self.assertEqual(re.findall(r'(?:src|href)="(?!data:)[^"]*"', page), [], 'the report must need no other file')

    def test_sources_count_by_content(self):
        source = os.path.join(self.folder, 'source')
        for split, name in (('train', 'a'), ('train', 'b'), ('test', 'a'), ('test', 'b')):
            folder = os.path.join(source, split, name)
            os.makedirs(folder)
            with open(os.path.join(folder, 'x.png'), 'wb') as stream:
                stream.write(png())
        self.file = self.write('folder.yaml', 'name: folder\nstages:\n  data: {run: ingest, with: {format: folder, in: nowhere}}\n')
        words = ['--set', f'data.in={source}']
        self.expect(words, ['data'])
        os.utime(os.path.join(source, 'train', 'a', 'x.png'))
        self.expect(words, [])
        os.rename(source, source + '-moved')
        self.expect(['--set', f'data.in={source}-moved'], [])
        with open(os.path.join(source + '-moved', 'train', 'a', 'y.png'), 'wb') as stream:
            stream.write(png())
        self.expect(['--set', f'data.in={source}-moved'], ['data'], 'in has other content')

    def test_copies_for_seeds(self):
        text = TINY.replace('  linear:', '    seeds: [1, 2]\n  linear:')
        output = self.tandem('validate', self.write('seeds.yaml', text))
        self.assertIn('data, pretrain-1, pretrain-2, linear-1, linear-2', output)
        self.file = self.write('seeds.yaml', text)
        self.run_file('--set', 'pretrain.epochs=1')
        first, second = (read(self.run_folder, f'pretrain-{s}', 'final.safetensors') for s in (1, 2))
        self.assertNotEqual(first, second)
        self.assertIn('2 seeds', read(self.run_folder, 'report.html').decode())
        log = read(self.run_folder, 'linear-2', 'logs', 'linear.log').decode()
        self.assertIn('pretrain-2/final.safetensors', log)
        self.expect(['--set', 'pretrain.epochs=1', '--set', 'pretrain.seeds=[1]'], [])


if __name__ == '__main__':
    unittest.main()
