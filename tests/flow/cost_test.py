"""tandem-train cost: what a step takes, beside what its FLOPs and bytes need, without data or workers."""
import json
import os
import subprocess
import unittest

from harness import ROOT, FlowTest, program

SMALL = ('--arch', 'resnet10', '--width', '8', '--size', '16', '--batch', '8', '--projector', '16-8', '--trans-backbone', '16-8',
         '--trans-projector', '8-8', '--threads', '1', '--warmup', '1', '--steps', '3')

TABLE = '''name: tiny-cost
extends: {root}/pipelines/table1-cost-cpu.yaml
stages:
  cost: {{with: {{arch: resnet10, width: 8, size: 16, third-size: 8, batch: 8, threads: 1, rounds: 1, steps: 2}}}}
'''


class CostTest(FlowTest):
    def cost(self, *arguments, code=0):
        done = subprocess.run([program('train'), 'cost', *arguments], cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=300)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def measured(self, *arguments):
        path = os.path.join(self.folder, 'cost.json')
        text = self.cost(*SMALL, *arguments, '--result', path).stdout
        with open(path, encoding='utf-8') as stream:
            return json.load(stream), text

    def plausible(self, part):
        for times in (part['forward_backward_s'], part['update_s'], part['step_s']):
            order = [times[k] for k in ('min', 'quartile_1', 'median', 'quartile_3')]
            self.assertEqual(order, sorted(order))
            self.assertGreaterEqual(order[0], 0)
            self.assertGreaterEqual(times['mean'], times['min'])
        self.assertGreaterEqual(part['step_s']['min'], part['forward_backward_s']['min'])

    def test_two_methods_in_turns(self):
        result, text = self.measured('--method', 'stl', '--against', 'simclr', '--rounds', '2')
        stl, simclr, ratio = result['measured'], result['against'], result['ratio']
        self.assertEqual((stl['method'], simclr['method'], simclr['base']), ('stl', 'none', 'simclr'))
        for part in (stl, simclr):
            self.plausible(part)
        for kind in ('forward', 'backward'):
            self.assertGreater(stl['flops'][kind], simclr['flops'][kind])
            self.assertGreater(stl['bytes'][kind], simclr['bytes'][kind])
        for key, name in (('forward_backward', 'forward_backward_s'), ('step', 'step_s')):
            self.assertAlmostEqual(ratio[key], stl[name]['median'] / simclr[name]['median'], places=9)
        self.assertAlmostEqual(ratio['computed_forward_backward'],
                               stl['computed_s']['forward_backward'] / simclr['computed_s']['forward_backward'], places=9)
        self.assertGreater(ratio['computed_step'], 1)
        lines = text.splitlines()
        self.assertEqual([line.split()[0] for line in lines if line.startswith(('stl', 'simclr', 'ratio'))], ['stl', 'simclr', 'ratio'])

    def test_what_is_counted_is_what_describe_counts(self):
        method = ('--method', 'equimod', '--base', 'byol', '--predictor', '16-8')
        result, _ = self.measured(*method)
        self.assertNotIn('ratio', result)
        network = SMALL[:SMALL.index('--warmup')]
        done = subprocess.run([program('train'), 'describe', *network, *method, '--json'], capture_output=True, text=True,
                              timeout=300)
        described = json.loads(done.stdout)
        for kind in ('forward', 'backward'):
            self.assertAlmostEqual(result['measured']['flops'][kind] / described['total']['flops'][kind], 1, places=9)
            self.assertAlmostEqual(result['measured']['bytes'][kind] / described['total']['bytes'][kind], 1, places=9)
        self.assertEqual(result['measured']['bytes']['update'], described['update_bytes'])

    def test_a_method_against_itself_is_measured_once(self):
        result, text = self.measured('--method', 'simclr', '--against', 'none')
        self.assertEqual(set(result['ratio'].values()), {1.0})
        self.assertEqual(sum(line.startswith('simclr') for line in text.splitlines()), 1)

    def test_labels_and_a_third_view(self):
        for method, base in (('augself', 'simclr'), ('essl', 'barlow')):
            result, _ = self.measured('--method', method, '--base', base)
            self.plausible(result['measured'])

    def test_a_table_of_them(self):
        with open(f'{self.folder}/tiny.yaml', 'w', encoding='utf-8') as stream:
            stream.write(TABLE.format(root=ROOT))
        done = subprocess.run([f'{ROOT}/scripts/tandem', 'run', 'tiny.yaml', '--run', 'run', '--rows', 'stl,essl'], cwd=self.folder,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(f'{self.folder}/run/cost-stl/result.json', encoding='utf-8') as stream:
            result = json.load(stream)
        line = next(line.split() for line in done.stdout.splitlines() if ' STL ' in line)
        self.assertEqual(line[-6:], [f'{x:.3f}' for x in (result['ratio']['forward_backward'], 1.11, result['ratio']['computed_forward_backward'],
                                                          result['measured']['update_s']['median'], result['ratio']['step'],
                                                          result['ratio']['computed_step'])])

    def test_refusals(self):
        for arguments, message in ((('--against', 'nonsense'), 'nonsense'), (('--steps', '0'), '--steps: 0 is not from 1'),
                                   (('--batch', '7'), 'batch of 7'), (('--size', '-1'), '--size: -1 is not from 1'),
                                   (('--rounds', '9999999'), '--rounds'), (('--result', 'nowhere/r.json'), 'nowhere')):
            done = self.cost(*SMALL, '--method', 'stl', *arguments, code=1 if arguments[0] == '--result' else 2)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            self.assertIn(message, done.stderr)


if __name__ == '__main__':
    unittest.main()
