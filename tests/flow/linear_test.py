"""tandem-linear with real workers: its result, its feature store, the same numbers whatever the workers do, and refusals."""
import json
import os
import signal
import struct
import unittest

import jsonschema

from harness import ROOT, FlowTest, program, shapes

SIZE, TRAIN, TEST = 16, 90, 40
NETWORK = '--arch resnet10 --width 4 --stem cifar'.split()
RANDOM = ['--weights', 'random:5', *NETWORK, '--size', SIZE]
COMMON = ['--batch', 32, '--shard', 8, '--threads', 2]


def read(path):
    with open(path, 'rb') as stream:
        return stream.read()


def header_of(path):
    data = read(path)
    length, = struct.unpack('<Q', data[:8])
    return json.loads(data[8:8 + length]), data[8 + length:]


class LinearTest(FlowTest):

    def setUp(self):
        super().setUp()
        self.dataset = shapes(self.path('shapes.lmdb'), TRAIN, TEST, SIZE)

    def linear(self, out, *flags, dataset=None, wait_s=60, listen='feed'):
        return self.start([program('linear'), '--dataset', dataset or self.dataset, '--listen', self.listen(listen), '--out',
                           self.path(out), '--worker-wait-s', wait_s, *COMMON, *flags], 'linear')

    def workers(self, augment=1):
        return [self.decode(self.dataset), *(self.augment() for _ in range(augment))]

    def result(self, linear, out):
        self.assertEqual(linear.wait(), 0, linear.log())
        result = json.loads(read(self.path(f'{out}/result.json')))
        with open(f'{ROOT}/schemas/result-linear.schema.json', encoding='utf-8') as stream:
            jsonschema.validate(result, json.load(stream))
        return result

    def numbers(self, result):
        """What must not depend on where and when."""
        return {k: v for k, v in result.items() if k not in ('timing', 'paths')}

    def pretrain(self):
        """A checkpoint of one epoch; its folder."""
        train = self.start([program('train'), '--dataset', self.dataset, '--listen', self.listen(), '--out', self.path('stl'),
                            *NETWORK, '--policy', 'cifar', '--size', SIZE, '--projector', '16-8', '--trans-backbone', '16-8',
                            '--trans-projector', '8-8', '--batch', 16, '--shard', 8, '--epochs', 1, '--threads', 2], 'train')
        self.assertEqual(train.wait(), 0, train.log())
        return self.path('stl')

    def refused(self, status, message, *flags, **options):
        linear = self.linear('refused', *flags, **options)
        self.assertEqual(linear.wait(), status, linear.log())
        errors = [line for line in linear.log().splitlines() if 'error' in line]
        self.assertEqual(len(errors), 1, linear.log())
        self.assertIn(message, errors[0])
        for name in ('features.lmdb', 'result.json', 'classifier.safetensors'):
            self.assertFalse(os.path.exists(self.path(f'refused/{name}')))
        return linear

    def test_untrained_network(self):
        self.workers()
        linear = self.linear('a', *RANDOM, '--result', self.path('copy.json'), '--progress', self.path('progress.json'))
        result = self.result(linear, 'a')
        self.assertEqual(result['weights'], 'random:5')
        self.assertEqual(result['counts'], {'train': 81, 'validation': 9, 'test': TEST, 'features': 32})
        correct = sum(c['correct'] for c in result['classes'])
        self.assertEqual(sum(c['count'] for c in result['classes']), TEST)
        self.assertAlmostEqual(result['top1'], correct / TEST)
        shares = [c['accuracy'] for c in result['classes'] if c['count']]
        self.assertAlmostEqual(result['class_mean'], sum(shares) / len(shares))
        curve = [p['top1'] for p in result['validation']]
        self.assertEqual(result['l2_index'], curve.index(max(curve)), 'the smallest l2 of the best')
        self.assertEqual(result['l2'], result['validation'][result['l2_index']]['l2'])
        self.assertEqual(read(self.path('copy.json')), read(self.path('a/result.json')))
        self.assertIn(f'top-1 {100 * result["top1"]:.2f}%', linear.output())
        classifier, _ = header_of(self.path('a/classifier.safetensors'))
        self.assertEqual(classifier['fc.weight']['shape'], [10, 32])
        self.assertEqual(classifier['fc.bias']['shape'], [10])
        self.assertTrue(json.loads(read(self.path('progress.json')))['finished'])

    def test_features_are_reused_while_their_inputs_are_the_same(self):
        workers = self.workers()
        first = self.result(self.linear('a', *RANDOM), 'a')
        for w in workers:
            w.stop()
        features = read(self.path('a/features.lmdb'))
        again = self.result(self.linear('a', *RANDOM), 'a')  # nobody is there to compute any
        self.assertTrue(again['timing']['features_reused'])
        self.assertEqual(self.numbers(first), self.numbers(again))
        paper = self.result(self.linear('a', *RANDOM, '--protocol', 'paper', '--metric', 'class-mean', '--val-count', 30), 'a')
        self.assertEqual(paper['counts']['validation'], 30)
        self.assertEqual(read(self.path('a/features.lmdb')), features)
        other = self.linear('a', '--weights', 'random:6', *RANDOM[2:], wait_s=0.2)
        self.assertEqual(other.wait(), 1)
        self.assertIn('made from other inputs', other.log())
        self.assertIn('no decode worker', other.log())
        self.assertEqual(read(self.path('a/features.lmdb')), features)

    def test_a_damaged_feature_store_is_made_again(self):
        self.workers()
        first = self.result(self.linear('a', *RANDOM), 'a')
        good = read(self.path('a/features.lmdb'))
        for damaged, why in ((good[:len(good) // 2], 'truncated'), (b'no store', 'not a feature store')):
            with open(self.path('a/features.lmdb'), 'wb') as stream:
                stream.write(damaged)
            linear = self.linear('a', *RANDOM)
            self.assertEqual(self.numbers(self.result(linear, 'a')), self.numbers(first))
            self.assertIn(why, linear.log())
            self.assertEqual(read(self.path('a/features.lmdb')), good)

    def test_workers_change_nothing(self):
        def evaluate(out, augment, kill):
            workers = self.workers(augment)
            linear = self.linear(out, *RANDOM, '--lease-ms', 500)
            if kill:
                self.until(lambda: 'augment worker' in linear.log(), 'an augment worker joins')
                workers[1].stop(signal.SIGKILL)
                workers[0].stop(signal.SIGKILL)
                workers.append(self.decode(self.dataset))
            result = self.numbers(self.result(linear, out))
            for w in workers:
                w.stop(signal.SIGKILL)
            return result, read(self.path(f'{out}/features.lmdb'))

        one = evaluate('one', 1, False)
        self.assertEqual(one, evaluate('three', 3, False))
        self.assertEqual(one, evaluate('killed', 2, True))

    def test_checkpoint(self):
        """All modules or the backbone alone, in one batch or ragged ones: the same features."""
        self.workers()
        stl = self.pretrain()
        ref = ['--device', 'ref']
        whole = self.result(self.linear('a', '--weights', f'{stl}/final.safetensors', *ref), 'a')
        self.assertEqual(whole['settings']['arch'], 'resnet10')
        self.assertEqual(whole['settings']['size'], SIZE)
        self.assertEqual(whole['settings']['normalisation'], 'weights')
        ragged = self.result(self.linear('b', '--weights', f'{stl}/backbone.safetensors', *ref, '--batch', 7, '--threads', 1), 'b')
        for key in ('top1', 'class_mean', 'l2', 'validation', 'refit', 'classes', 'counts', 'dataset'):
            self.assertEqual(whole[key], ragged[key], key)
        fast = self.result(self.linear('c', '--weights', f'{stl}/final.safetensors'), 'c')
        for a, b in zip(whole['validation'], fast['validation']):
            if a['l2'] >= 0.1:  # below, features that differ in the seventh digit can be fitted visibly better or worse
                self.assertAlmostEqual(a['fit']['objective'] / b['fit']['objective'], 1, delta=1e-3)

    def test_a_signal_leaves_nothing_half_written(self):
        linear = self.linear('a', *RANDOM)
        self.decode(self.dataset)
        self.until(lambda: 'waits for workers' in linear.log(), 'the feed opens')
        self.assertEqual(linear.stop(), 130, linear.log())
        self.assertNotIn('error', linear.log())
        self.assertEqual(os.listdir(self.path('a')), [])

    def test_wrong_command_lines(self):
        self.refused(2, '--size is required', '--weights', 'random:1', *NETWORK)
        self.refused(2, 'not a whole number', '--weights', 'random:x', '--size', SIZE)
        self.refused(2, 'leave none to train on', *RANDOM, '--val-count', TRAIN)
        self.refused(2, '--val-fraction', *RANDOM, '--val-fraction', 1)
        self.refused(2, 'are both', *RANDOM, '--test-split', 'train')
        self.refused(2, '--batch', *RANDOM, '--batch', 0)
        self.refused(2, 'is not one of default|paper', *RANDOM, '--protocol', 'fast')
        self.refused(2, 'is not one of', *RANDOM, '--arch', 'resnet19')
        self.refused(1, 'cannot write', *RANDOM, '--result', self.path('nowhere/result.json'))

    def test_wrong_inputs(self):
        self.workers()
        self.refused(1, 'missing.safetensors', '--weights', self.path('missing.safetensors'))
        with open(self.path('text.safetensors'), 'w', encoding='utf-8') as stream:
            stream.write('this is not a weights file\n')
        self.refused(1, 'text.safetensors', '--weights', self.path('text.safetensors'))
        self.refused(1, 'there is no dataset at', *RANDOM, dataset=self.path('missing.lmdb'))
        self.refused(1, "no split 'extra'; it has: train test", *RANDOM, '--train-split', 'extra')
        self.refused(1, 'no decode worker', *RANDOM, listen='elsewhere', wait_s=0.2)

    def test_weights_of_another_network(self):
        self.workers()
        stl = self.pretrain()
        self.refused(2, '--arch resnet18 contradicts the weights', '--weights', f'{stl}/final.safetensors', '--arch', 'resnet18')
        self.refused(2, '--width 8 contradicts the weights', '--weights', f'{stl}/final.safetensors', '--width', 8)
        header, body = header_of(f'{stl}/backbone.safetensors')
        del header['__metadata__']
        text = json.dumps(header).encode()
        text += b' ' * (-len(text) % 8)
        with open(self.path('bare.safetensors'), 'wb') as stream:
            stream.write(struct.pack('<Q', len(text)) + text + body)
        bare = ['--weights', self.path('bare.safetensors')]
        self.refused(2, 'does not say its image size', *bare)
        self.refused(1, 'does not fit this network: ', *bare, '--size', SIZE, '--arch', 'resnet18', '--width', 4, '--stem', 'cifar')
        result = self.result(self.linear('bare', *bare, '--size', SIZE, *NETWORK), 'bare')
        self.assertEqual(result['settings']['normalisation'], 'dataset')


if __name__ == '__main__':
    unittest.main()
