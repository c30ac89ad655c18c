"""Fault test 10: frames that were cut, stretched, flipped or repeated on the way. Nothing crashes, everything is counted, and
the batches are the same. Pixels are left alone: a flipped one is an alarm (tests/flow/dataplane_test.py)."""
import unittest

import msgpack

from chaos import LONG, ChaosTest
from tap import Tap

STEPS = 400 if LONG else 40


class Frames(ChaosTest):
    def spoilt(self, frames):
        """The message with one frame damaged so that it cannot be valid."""
        pick, frames = self.pick, list(frames)
        i = pick.randrange(len(frames))
        frame, how = frames[i], pick.choice(('cut', 'stretch', 'drop', 'add', 'noise'))
        if how == 'cut':
            frames[i] = frame[:pick.randrange(len(frame))] if frame else b'x'
        elif how == 'stretch':
            frames[i] = frame + bytes(pick.randrange(1, 200))
        elif how == 'drop':
            del frames[i]
        elif how == 'add':
            frames.insert(i, pick.randbytes(20))
        else:
            frames[0] = pick.randbytes(max(1, len(frames[0])))
        return frames or [b'']

    def test_damaged_frames_are_counted_and_dropped(self):
        spoilt = [0]

        def change(head, frames):
            """Sends damaged copies first: what is lost altogether would only be waited for."""
            copies = [self.spoilt(frames) for _ in range(self.pick.randrange(4))]
            spoilt[0] += len(copies)
            return [*copies, frames]

        consumer = self.count(self.data, ledger='ledger', steps=STEPS)
        for kind in ('decode', 'augment'):
            tap = Tap(self.listen(f'tap-{kind}'), self.listen(), change=change, second=False)
            self.addCleanup(tap.stop)
        self.decode(self.data, connect=self.listen('tap-decode'))
        self.augment(self.listen('tap-augment'))
        line = self.finish(consumer)
        self.assertGreater(spoilt[0], STEPS)
        self.assertGreater(line['dropped'], 0)
        self.check(steps=STEPS)

    def test_a_decode_worker_that_delivers_garbage_is_avoided(self):
        """Every shard that it makes fails once, on an augment worker; the next attempt is another decode worker's."""
        self.shared_memory = False

        def spoil(head, frames):
            if head['kind'] != 'decoded':
                return frames
            return [msgpack.packb(dict(head, offset=[2 ** 40] * len(head['offset']))), *frames[1:]]

        consumer = self.count(self.data, ledger='ledger', steps=10 ** 6)
        tap = Tap(self.listen('tap'), self.listen(), spoil=spoil)
        self.addCleanup(tap.stop)
        for upstream in (self.listen('tap'), self.listen()):
            self.decode(self.data, connect=upstream)
        self.until(lambda: consumer.log().count('decode worker') == 2, 'both join')
        for _ in range(2):
            self.augment()
        self.until(lambda: 'with pixels from' in consumer.log(), 'a shard of garbage')
        self.steps_done(STEPS)
        self.assertEqual(consumer.stop(), 130, consumer.log())
        self.assertEqual(self.ledger('ledger')[:STEPS], self.reference(steps=STEPS))



if __name__ == '__main__':
    unittest.main()
