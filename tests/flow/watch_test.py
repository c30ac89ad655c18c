"""What tandem-train watches while it trains: scores of the features and the spread of embeddings, which change nothing."""
import json
import os
import re
import shutil
import struct
import subprocess
import unittest
import zlib

from train_test import SPREAD, STEPS_PER_EPOCH, Training, measured, program, read, train, until

BATCH = 16
SAME = '{"size": 16, "ops": [{"op": "resize_short_center_crop", "group": "image", "filter": "bilinear"}]}'


def ingest(out, *flags):
    subprocess.run([program('ingest'), '--out', out, *flags], check=True, stderr=subprocess.DEVNULL)
    return os.path.abspath(out)


def write_png(path, side, shade):
    chunk = lambda kind, data: struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
    pixels = zlib.compress(side * (b'\0' + bytes((shade,)) * 3 * side))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as stream:
        stream.write(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', side, side, 8, 2, 0, 0, 0))
                     + chunk(b'IDAT', pixels) + chunk(b'IEND', b''))


class WatchTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dataset = ingest('watched.lmdb', '--format', 'shapes', '--size', '16', '--train', str(BATCH * STEPS_PER_EPOCH),
                             '--test', '60', '--seed', '1')
        cls.whole = os.path.abspath('watched')
        cls.watching = ('--monitor-every', '1', '--monitor-steps', '3')
        status, text = train(cls.whole, *cls.watching, dataset=cls.dataset)
        assert status == 0, text

    def test_watching_changes_nothing(self):
        status, text = train('blind', '--monitor-every', '0', '--monitor-steps', '0', dataset=self.dataset)
        self.assertEqual(status, 0, text)
        for name in ('final.safetensors', 'backbone.safetensors', 'ledger.jsonl'):
            self.assertEqual(read(self.whole, name), read('blind', name), name)
        steps, scores = measured('blind')
        self.assertEqual(scores, [])
        self.assertEqual(steps, [{k: v for k, v in m.items() if k not in SPREAD} for m in measured(self.whole)[0]])
        results = [json.loads(read(folder, 'result.json')) for folder in (self.whole, 'blind')]
        self.assertEqual(results[1]['monitors'], {})
        self.assertEqual(results[0]['settings'], results[1]['settings'])

    def test_features_are_scored_beside_the_training(self):
        steps, scores = measured(self.whole)
        epochs, last = [m['epoch'] for m in scores], steps[-1]
        self.assertEqual(epochs, sorted(set(epochs)))
        self.assertEqual((epochs[-1], scores[-1]['step']), (last['epoch'], last['step']))
        for m in scores:
            self.assertGreaterEqual(m['step'], min((m['epoch'] + 1) * STEPS_PER_EPOCH, last['step']))
        self.assertEqual([m['step'] for m in steps if SPREAD < set(m)],
                         sorted({*range(0, len(steps), 3), len(steps) - 1}))
        result = json.loads(read(self.whole, 'result.json'))
        self.assertEqual(result['monitors'], {**{k: scores[-1][k] for k in ('knn', 'probe')}, **{k: last[k] for k in SPREAD}})
        self.assertEqual(len(epochs) + result['timing']['evaluations_skipped'], last['epoch'] + 1)

    def test_features_of_a_network_that_learns_score_above_chance(self):
        dataset = ingest('shapes.lmdb', '--format', 'shapes', '--size', '32', '--train', '500', '--test', '200')
        status, text = train('learns', '--method', 'simclr', '--size', '32', '--width', '8', '--stem', 'imagenet', '--projector',
                             '32-32', '--batch', '50', '--shard', '32', '--epochs', '10', '--lr', '0.12', dataset=dataset)
        self.assertEqual(status, 0, text)
        for score in ('knn', 'probe'):
            self.assertGreater(measured('learns')[1][-1][score], 0.15)  # ten classes: chance is 0.1, its deviation 0.02

    def test_killed_and_resumed_no_score_is_there_twice(self):
        with Training('killed', *self.watching, dataset=self.dataset, until=3 * STEPS_PER_EPOCH) as t:
            until(lambda: os.path.exists('killed/metrics.jsonl') and len(measured('killed')[0]) == t.last, 'the last step')
            t.trainer.kill()
            t.finish()
        status, text = train('killed', '--resume', *self.watching, dataset=self.dataset)
        self.assertEqual(status, 0, text)
        (steps, scores), (all_steps, all_scores) = measured('killed'), measured(self.whole)
        self.assertEqual(steps, all_steps)
        self.assertEqual(read('killed', 'final.safetensors'), read(self.whole, 'final.safetensors'))
        epochs, known = [m['epoch'] for m in scores], {m['epoch']: m for m in all_scores}
        self.assertEqual(epochs, sorted(set(epochs)))
        self.assertIn(all_steps[-1]['epoch'], epochs)
        for m in scores:
            self.assertEqual((m['knn'], m['probe']), tuple(known.get(m['epoch'], m)[k] for k in ('knn', 'probe')))

    def test_a_finished_run_is_not_scored_again(self):
        shutil.copytree(self.whole, 'finished')
        status, text = train('finished', '--resume', *self.watching, dataset=self.dataset, augment=0)
        self.assertEqual(status, 0, text)
        self.assertEqual(read('finished', 'metrics.jsonl'), read(self.whole, 'metrics.jsonl'))

    def grey(self):
        for i in range(BATCH):
            write_png(f'grey/train/{i % 2}/{i}.png', 16, 128)
        return 'grey'

    def test_a_collapse_is_said_once(self):
        dataset = ingest('grey.lmdb', '--format', 'folder', '--in', self.grey())
        with open('same.json', 'w', encoding='utf-8') as stream:
            stream.write(f'{{"views": [{SAME}, {SAME}]}}')
        status, text = train('grey', '--policy', 'same.json', '--normalize', 'cifar', '--method', 'byol', '--predictor', '8-8',
                             '--monitor-steps', '1', '--epochs', '3', dataset=dataset)
        self.assertEqual(status, 0, text)
        spreads = [m['std'] for m in measured('grey')[0]]
        self.assertEqual(len(spreads), 3)
        self.assertLess(max(spreads), 1e-3)  # rows of a matrix product may round otherwise than others: which, the processor decides
        self.assertEqual(len(re.findall('all but collapsed', text)), 1, text)

    def test_a_channel_that_is_the_same_everywhere_is_only_centred(self):
        dataset = ingest('alike.lmdb', '--format', 'folder', '--in', self.grey())
        status, text = train('alike', '--epochs', '1', dataset=dataset)
        self.assertEqual(status, 0, text)
        self.assertEqual(json.loads(read('alike', 'result.json'))['settings']['std'], [1, 1, 1])

    def test_what_cannot_be_scored_is_said(self):
        for flags, says in ((['--monitor-split', 'nothing'], "no split 'nothing'"), (['--monitor-split', 'train'], 'is trained on')):
            status, text = train('some-' + flags[1], '--epochs', '1', *flags, dataset=self.dataset)
            self.assertEqual(status, 0, text)
            self.assertEqual(len(re.findall(f'features are not scored while training: .*{says}', text)), 1, text)
            self.assertEqual(measured('some-' + flags[1])[1], [])


if __name__ == '__main__':
    unittest.main()
