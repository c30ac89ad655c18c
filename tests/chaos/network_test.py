"""Fault test 6: a network that resets, delays, swallows and leaves connections half open. No hang, and the same batches."""
import time
import unittest

import msgpack

from chaos import LONG, ChaosTest, Proxy, free_port
from harness import SLOW
from tap import Tap

STEPS = 500 if LONG else 60
HOLD_S = 10 if LONG else 1.5


class Network(ChaosTest):
    shared_memory = False  # the pixels shall meet the faults too

    def proxied(self, port):
        proxy = Proxy(port)
        self.addCleanup(proxy.close)
        return proxy

    def through_proxies(self):
        """A consumer and workers all of whose connections go through proxies; returns the consumer and the proxies."""
        port, serve = free_port(), free_port()
        feed, shards = self.proxied(port), self.proxied(serve)
        consumer = self.count(self.data, ledger='ledger', steps=STEPS, listen=f'tcp://127.0.0.1:{port}', sleep_ms=30,
                              lease_ms=500 * SLOW, worker_wait_s=60 * SLOW)

        def by_proxy(head, frames):  # the address under which the decode worker is told to the augment workers
            if head['kind'] == 'hello' and head['serve']:
                frames = [msgpack.packb(dict(head, serve=[f'tcp://127.0.0.1:{shards.port}']))]
            return [frames]

        tap = Tap(self.listen('tap'), f'tcp://127.0.0.1:{feed.port}', change=by_proxy)
        self.addCleanup(tap.stop)
        self.decode(self.data, '--serve', f'tcp://127.0.0.1:{serve}', connect=self.listen('tap'))
        self.augment(f'tcp://127.0.0.1:{feed.port}')
        self.steps_done(2)
        return consumer, (feed, shards)

    def test_resets_delays_and_holes(self):
        consumer, proxies = self.through_proxies()
        for _ in range(25 if LONG else 4):
            proxy, fault = self.pick.choice(proxies), self.pick.choice(('reset', 'delay', 'blackhole', 'deaf'))
            self.note(f'{fault} of {"feed" if proxy is proxies[0] else "serve"} at {self.ledger_lines("ledger")}')
            if fault == 'reset':
                proxy.reset()
            else:
                proxy.mode = fault
                time.sleep(self.pick.uniform(0.3, 1) * HOLD_S)
                proxy.mode = 'pass'
            done = self.ledger_lines('ledger')
            self.until(lambda: not consumer.running() or self.ledger_lines('ledger') > done,
                       f'a step after {self.history[-1]}', 60)
        self.finish(consumer)
        self.check(steps=STEPS)

    def test_a_consumer_behind_a_deaf_connection_is_dialled_anew(self):
        consumer, proxies = self.through_proxies()
        for p in proxies:
            p.mode = 'deaf'
        time.sleep(HOLD_S)
        for p in proxies:
            p.reset()
            p.mode = 'pass'
        self.finish(consumer)
        self.check(steps=STEPS)


if __name__ == '__main__':
    unittest.main()
