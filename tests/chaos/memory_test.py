"""Fault test 9: a trainer that hardly takes anything. Everybody's resident memory stays below what is declared
(docs/messages.md, "Credits") plus a constant for code, stacks, sockets and scratch."""
import time
import unittest

from chaos import LONG, ChaosTest
from harness import SANITIZED, program

MIB = 1 << 20
CONSTANT = 24  # MiB
SIDE, VIEW, BATCH, SHARD, WINDOW = 160, 128, 64, 32, 3
DECODED, AUGMENTED = SHARD * 3 * SIDE ** 2 / MIB, SHARD * 2 * 3 * VIEW ** 2 / MIB  # MiB of a shard, at most
MEMORY = 8  # MiB, of each worker


@unittest.skipIf(SANITIZED, 'sanitizers keep freed memory')
class Memory(ChaosTest):
    images = {'train': 256, 'size': SIDE}

    def bounded(self, shared):
        flag = '--shared-memory' if shared else '--no-shared-memory'
        consumer = self.count(self.data, flag, ledger='ledger', batch=BATCH, size=VIEW, shard=SHARD, window=WINDOW, sleep_ms=2000,
                              steps=100000)
        decoders = [self.decode(self.data, flag, '--memory', MEMORY) for _ in range(2)]
        augmenters = [self.start([program('augment'), '--connect', self.listen(), flag, '--memory', MEMORY], 'augment')
                      for _ in range(3)]
        held_by_augment = len(decoders) + MEMORY / DECODED + 1  # shards, for each augment worker
        limits = {consumer: WINDOW * BATCH / SHARD * AUGMENTED + 2 * len(augmenters) * AUGMENTED}
        limits |= {d: MEMORY + DECODED + len(augmenters) * held_by_augment * DECODED for d in decoders}
        limits |= {a: MEMORY + len(decoders) * DECODED + 3 * AUGMENTED for a in augmenters}
        peaks, end = dict.fromkeys(limits, 0), time.monotonic() + (60 if LONG else 5)
        while time.monotonic() < end or self.ledger_lines('ledger') < 2:
            for p in limits:
                self.assertTrue(p.running(), p.log())
                peaks[p] = max(peaks[p], p.resident_mb())
            time.sleep(0.05)
        for p, limit in limits.items():
            self.assertLess(peaks[p], limit + CONSTANT, p.name)

    def test_9_a_slow_trainer_with_shared_memory(self):
        self.bounded(True)

    def test_9_a_slow_trainer_with_sockets(self):
        self.bounded(False)


if __name__ == '__main__':
    unittest.main()
