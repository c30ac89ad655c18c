"""tandem-augment replay: shards made again from their tickets have the digests that the ledger has, and fail as they failed."""
import glob
import json
import os
import subprocess
import unittest

from harness import FlowTest, damaged, program, shapes


class Replay(FlowTest):
    def replay(self, ticket, dataset, *flags):
        return subprocess.run([program('augment'), 'replay', '--ticket', ticket, '--dataset', dataset, *map(str, flags)],
                              capture_output=True, text=True, check=False)

    def run_with_tickets(self, dataset, **options):
        consumer = self.count(dataset, ledger='ledger', tickets=self.path('kept'), **options)
        self.decode(dataset)
        self.augment()
        self.finish(consumer)

    def check_steps(self, dataset, steps, shards):
        """Sums over the shards of a step are its ledger line."""
        lines = [json.loads(line) for line in self.ledger('ledger')]
        self.assertEqual(len(glob.glob(self.path('kept/*.ticket'))), steps * shards)
        for line in lines:
            made = []
            for k in range(shards):
                done = self.replay(self.path(f"kept/{line['step']}-{k}.ticket"), dataset)
                self.assertEqual(done.returncode, 0, done.stderr)
                made.append(json.loads(done.stdout))
                self.assertEqual((made[k]['step'], made[k]['shard']), (line['step'], k))
            self.assertEqual(sum(m['images'] for m in made), line['images'])
            for digest in ('tickets', 'pixels', 'labels'):
                self.assertEqual(f'{sum(int(m[digest], 16) for m in made) % 2 ** 64:016x}', line[digest], digest)

    def test_digests_add_up_to_the_ledger(self):
        data = shapes(self.path('small.lmdb'), train=80)
        self.run_with_tickets(data, steps=3)
        self.check_steps(data, 3, 2)

    def test_ragged_shards_of_images_in_parts(self):
        """Views of 48 px from images of 160, of which decode makes only a part."""
        data = shapes(self.path('large.lmdb'), train=20, size=160)
        self.run_with_tickets(data, policy='stl10', size=48, batch=10, shard=4, steps=2)
        self.check_steps(data, 2, 3)

    def test_what_it_writes(self):
        data = shapes(self.path('small.lmdb'), train=80)
        self.run_with_tickets(data, steps=1)
        ticket = self.path('kept/0-1.ticket')
        for name, start in (('a.png', b'\x89PNG'), ('a.safetensors', None)):
            done = self.replay(ticket, data, '--out', self.path(name))
            self.assertEqual(done.returncode, 0, done.stderr)
            with open(self.path(name), 'rb') as f:
                content = f.read()
            if start:
                self.assertTrue(content.startswith(start))
                continue
            head = json.loads(content[8:8 + int.from_bytes(content[:8], 'little')])
            self.assertEqual(head['view1']['shape'], [32, 32, 32, 3])
            self.assertEqual(head['ids']['shape'], [32])
            self.assertTrue({'view2', 'params1', 'params2', 'labels'} <= set(head))

    def test_a_shard_that_failed_fails_alone_too(self):
        bad = damaged(shapes(self.path('good.lmdb')), self.path('bad.lmdb'))
        consumer = self.count(bad, ledger='ledger', steps=20)
        self.decode(bad)
        self.augment()
        self.assertEqual(consumer.wait(), 1)
        last = consumer.log().splitlines()[-1]
        ticket = last.split('--ticket ')[1].split()[0]
        self.assertEqual(os.path.dirname(ticket), self.path('tickets'))
        done = self.replay(ticket, bad)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r'sample \d+')
        self.assertEqual(len(done.stderr.splitlines()), 1)

    def test_refusals(self):
        data, other = shapes(self.path('a.lmdb'), train=80), shapes(self.path('b.lmdb'), train=8)
        self.run_with_tickets(data, steps=1)
        ticket = self.path('kept/0-0.ticket')
        with open(self.path('broken'), 'wb') as f:
            f.write(b'\x93nothing')
        for arguments, reason in [((ticket, other), 'fingerprint'), ((self.path('broken'), data), 'broken'),
                                  ((self.path('absent'), data), 'absent'), ((ticket, data, '--out', 'x.jpg'), '.safetensors')]:
            done = self.replay(*arguments)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(reason, done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), 1)


if __name__ == '__main__':
    unittest.main()
