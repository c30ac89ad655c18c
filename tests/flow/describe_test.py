"""tandem-train describe: what a configuration costs, without data, workers or a folder."""
import json
import os
import subprocess
import unittest

from harness import FlowTest, program


class DescribeTest(FlowTest):
    def describe(self, *arguments, code=0):
        done = subprocess.run([program('train'), 'describe', *arguments], cwd=self.folder, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(os.listdir(self.folder), [])
        return done

    def as_json(self, *arguments):
        return json.loads(self.describe(*arguments, '--json', '--device', 'ref').stdout)

    def test_the_published_code_on_stl10(self):
        d = self.as_json('--preset', 'stl10/code')
        self.assertEqual(d['total']['parameters'], 45569088)
        modules = {m['name']: m for m in d['modules']}
        self.assertEqual(modules['backbone']['parameters'], 11176512)
        self.assertEqual(modules['equi_transform']['parameters'], 128 * 512 * 512)
        self.assertEqual(modules['equi_transform']['shape'], [512, 512])
        self.assertEqual((d['method'], d['base'], d['batch'], d['size']), ('stl', 'simclr', 256, 96))
        # both directions in one call: 2 * 2BKD^2 forward
        phi = modules['equi_transform']['flops']
        self.assertAlmostEqual(phi['forward'] / (2 * 2 * 256 * 128 * 512 ** 2), 1, delta=0.01)
        self.assertAlmostEqual(phi['backward'] / (2 * phi['forward']), 1, delta=0.01)
        for part in ('forward', 'backward'):
            for rows in ('ops', 'modules', 'graph'):
                self.assertAlmostEqual(sum(r['flops'][part] for r in d[rows]) / d['total']['flops'][part], 1, delta=1e-9)
        self.assertEqual(sum(m['parameters'] for m in d['modules']), 45569088)
        self.assertAlmostEqual(d['flops']['step'], sum(d['total']['flops'].values()), delta=1)
        self.assertAlmostEqual(d['flops']['image'], d['flops']['step'] / 256, delta=1)
        memory = d['memory']
        self.assertEqual(memory.pop('total'), sum(memory.values()))
        self.assertEqual(memory['parameters'], 8 * 45569088)
        self.assertEqual(memory['inputs'], 8 * 512 * 3 * 96 * 96)
        self.assertGreater(memory['arena'], 10 ** 9)

    def test_every_method_and_base(self):
        small = ('--arch', 'resnet10', '--width', '8', '--stem', 'cifar', '--policy', 'cifar', '--size', '16', '--batch', '8')
        totals = {}
        for method in ('none', 'stl', 'equimod', 'sie', 'sen', 'augself'):
            totals[method] = self.as_json(*small, '--method', method)['total']['parameters']
        self.assertLess(totals['none'], totals['stl'])
        for base in ('simclr', 'byol', 'simsiam', 'barlow'):
            d = self.as_json(*small, '--method', base)
            self.assertEqual('target.backbone' in {m['name'] for m in d['modules']}, base == 'byol')
        d = self.as_json('--arch', 'resnet10', '--width', '8', '--method', 'essl', '--policy', 'stl10+essl', '--batch', '8')
        self.assertIn('rotation_head', {m['name'] for m in d['modules']})

    def test_state_of_the_optimiser(self):
        small = ('--arch', 'resnet10', '--width', '8', '--method', 'simclr', '--policy', 'cifar', '--size', '16', '--batch', '8')
        for name, states in (('sgd', 1), ('lars', 1), ('adam', 2)):
            memory = self.as_json(*small, '--optimizer', name)['memory']
            self.assertEqual(memory['optimiser'], states * memory['gradients'])
            self.assertGreaterEqual(memory['gradients'], 8 * 78312)

    def test_memory_on_a_gpu(self):
        small = ('--arch', 'resnet10', '--width', '16', '--method', 'stl', '--policy', 'cifar', '--size', '32', '--batch', '8')
        done = subprocess.run([program('train'), 'describe', *small, '--device', 'cuda:h200'], capture_output=True, text=True, timeout=300)
        if done.returncode:
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            if 'without CUDA' in done.stderr or 'libcudnn' in done.stderr:
                self.skipTest(done.stderr.strip())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('; cuda:h200 in f32 (NVIDIA H200, which is only described)', done.stdout.splitlines()[0])
        of = {}
        for name, arguments in (('f32', ()), ('bf16', ('--precision', 'bf16')), ('large', ('--batch', '16'))):
            of[name] = json.loads(self.describe(*small, '--device', 'cuda:h200', '--json', *arguments).stdout)
            memory = of[name]['memory']
            self.assertEqual(of[name]['gpu'], {'name': 'NVIDIA H200', 'described': True})
            self.assertEqual(memory['total'], sum(v for k, v in memory.items() if k != 'total'))
            self.assertEqual(memory['inputs'] % 256, 0)
        pixels = 16 * 32 * 32 * 3
        self.assertEqual(of['large']['memory']['backend'] - of['f32']['memory']['backend'], 2 * pixels)
        self.assertEqual(of['large']['pinned'] - of['f32']['pinned'], 2 * pixels)
        self.assertGreater(of['f32']['memory']['inputs'], 1.9 * of['bf16']['memory']['inputs'])
        self.assertEqual(of['f32']['memory']['parameters'], of['bf16']['memory']['parameters'])
        here = json.loads(self.describe(*small, '--device', 'cuda', '--json').stdout)['gpu']
        self.assertTrue(here['name'].startswith('NVIDIA'), here)
        self.assertIsNone(self.as_json(*small)['gpu'])
        done = self.describe(*small, '--device', 'cuda:h201', code=2)
        self.assertIn('--device cuda:h201: after the colon comes a number from 0, or h200 or a100', done.stderr)

    def test_the_table(self):
        text = self.describe('--method', 'stl', '--arch', 'resnet10', '--width', '8', '--batch', '8', '--size', '32').stdout
        for line in ('stl with base simclr; resnet10, width 8, imagenet stem; batch 8', 'backbone.conv1 ', 'hyper_bilinear ',
                     'in all ', 'optimiser state ', 'per image '):
            self.assertIn(line, text)

    def test_refusals(self):
        for arguments, message in ((('--method', 'none', '--base', 'nonsense'), 'nonsense'), (('--batch', '5'), '--batch: 5 is odd'),
                                   (('--method', 'essl'), 'needs a third view'),
                                   (('--policy', 'stl10+essl'), 'no use for a third view'),
                                   (('--method', 'sie', '--policy', 'cifar', '--labels', 'blur'), 'views have no blur'),
                                   (('--base', 'byol', '--projector', '64-32'), '--projector ends in 32, --predictor in 256')):
            done = self.describe(*arguments, code=2)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            self.assertIn(message, done.stderr)


if __name__ == '__main__':
    unittest.main()
