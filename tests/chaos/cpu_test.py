"""Fault test 16: workers of one run that take their machine for different ones: each with an instruction set, a number of threads
and a choice of what the C library may use of its own, drawn by chance, while they come and go."""
import os
import signal
import time
import unittest
from unittest import mock

from chaos import LONG, ChaosTest
from harness import SLOW

STEPS = 200 if LONG else 24
OPTIONS = {'policy': 'imagenet+augmix', 'size': 64, 'steps': STEPS}
MASKS = ('', '-AVX2,-AVX2_Usable,-FMA,-FMA_Usable', '-AVX512F,-AVX512VL,-AVX512BW,-AVX2,-AVX2_Usable,-FMA,-FMA_Usable,-FMA4,-AVX,-ERMS')


class Cpus(ChaosTest):
    def join(self, kind):
        isa, mask, threads = self.pick.choice(('scalar', 'auto')), self.pick.choice(MASKS), self.pick.choice((1, 1, 3))
        self.note(f'{kind} {isa} {mask or "unmasked"} {threads}')
        flags = '--isa', isa, '--threads', threads
        with mock.patch.dict(os.environ, {'GLIBC_TUNABLES': f'glibc.cpu.hwcaps={mask}'} if mask else {}):
            return self.decode(self.data, *flags) if kind == 'decode' else self.augment(None, *flags)

    def test_16_every_worker_on_another_cpu(self):
        consumer = self.count(self.data, ledger='ledger', lease_ms=2000 * SLOW, sleep_ms=20, **OPTIONS)
        workers = [(kind, self.join(kind)) for kind in ('decode', 'decode', 'augment', 'augment')]
        self.steps_done(1)
        while consumer.running():
            done = self.ledger_lines('ledger')
            kind, worker = workers.pop(0)
            workers.append((kind, self.join(kind)))
            self.until(lambda: not consumer.running() or self.ledger_lines('ledger') >= done + 3, 'three steps', 60)
            worker.stop(self.pick.choice((signal.SIGTERM, signal.SIGKILL)))
            time.sleep(0.05)
        self.finish(consumer)
        self.check(**OPTIONS)


if __name__ == '__main__':
    unittest.main()
