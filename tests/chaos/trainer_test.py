"""Fault tests 4 and 5: the trainer killed at random steps and in the middle of checkpoints, and resumed with other workers.
It ends with the bytes of an undisturbed run."""
import glob
import os
import signal
import time
import unittest

from chaos import LONG, ChaosTest, Crew
from harness import SLOW, program

EPOCHS = 24 if LONG else 5
TRAINING = ('--arch resnet10 --width 4 --stem cifar --projector 16-8 --trans-backbone 16-8 --trans-projector 8-8 --device cpu '
            '--threads 1 --policy cifar --size 16 --batch 16 --shard 8 --seed 3 --checkpoint-every 1').split()


class Trainer(ChaosTest):
    images = {'train': 120, 'size': 16}

    def train(self, out, *flags):
        return self.start([program('train'), '--dataset', self.data, '--listen', self.listen(out), '--out', self.path(out), *TRAINING,
                           '--epochs', EPOCHS, '--lease-ms', 2000 * SLOW, '--worker-wait-s', 60 * SLOW, *flags])

    def crew(self, out, decode, augment):
        crew = Crew(self, self.listen(out))
        for kind, n in (('decode', decode), ('augment', augment)):
            for _ in range(n):
                crew.join(kind)
        return crew

    def outcome(self, out):
        bytes_of = lambda name: open(os.path.join(self.path(out), name), 'rb').read()
        outcome = {name: bytes_of(name) for name in ('final.safetensors', 'backbone.safetensors', 'ledger.jsonl', 'metrics.jsonl')}
        steps = [line for line in outcome['metrics.jsonl'].splitlines() if b'"total"' in line]  # evaluations stand where they were done
        return {**outcome, 'metrics.jsonl': steps}

    def kill(self, trainer, out):
        """SIGKILL after some steps: at once, or as soon as a checkpoint is being written."""
        began, steps = self.ledger_lines(f'{out}/metrics.jsonl'), self.pick.randrange(1, 12)
        temporary = lambda: glob.glob(self.path(f'{out}/*.tmp-*'))
        self.until(lambda: not trainer.running() or self.ledger_lines(f'{out}/metrics.jsonl') >= began + steps, f'{steps} steps')
        midway = self.pick.random() < 0.5
        if midway:
            end = time.monotonic() + 5 * SLOW
            while trainer.running() and not temporary() and time.monotonic() < end:
                pass  # a checkpoint of this network takes milliseconds
        trainer.send(signal.SIGKILL)
        trainer.wait()
        self.note(f'kill at step {self.ledger_lines(f"{out}/metrics.jsonl")}{", writing" if temporary() else ""}')

    def test_4_5_killed_at_random_and_resumed_with_other_workers(self):
        self.crew('whole', 1, 1)
        self.assertEqual(self.train('whole').wait(), 0)
        trainer, workers = self.train('killed'), self.crew('killed', 1, 1)
        for _ in range(12 if LONG else 4):
            self.kill(trainer, 'killed')
            kind = self.pick.choice(('decode', 'augment'))
            if len(workers.workers[kind]) < 3:
                workers.join(kind)
            else:
                workers.workers[kind].pop().stop(signal.SIGKILL)
            trainer = self.train('killed', '--resume')
        self.assertEqual(trainer.wait(), 0, trainer.log())
        expected, got = self.outcome('whole'), self.outcome('killed')
        for name in expected:
            self.assertTrue(expected[name] == got[name], f'{name} differs; {self.history}')
        self.assertEqual(glob.glob(self.path('killed/*.tmp-*')), [])


if __name__ == '__main__':
    unittest.main()
