"""A tap in the data plane: passes messages on, keeps them, and may change them on the way."""
import os
import signal
import threading

import msgpack
import zmq

from harness import dial_with


class Gate:
    """A `change` for taps: withholds the augmented shards of `step` and later, so that a run gets there and no further."""

    def __init__(self, step):
        self.step, self.withheld = step, False

    def __call__(self, head, frames):
        if head['kind'] == 'augmented' and msgpack.unpackb(frames[1])['step'] >= self.step:
            self.withheld = True
            return []
        return [frames]


class Tap(threading.Thread):
    """Stands between workers and their upstream and keeps every message. Decode workers' endpoints are replaced in
    passing by taps of their own."""

    def __init__(self, listen, upstream, kept=None, second=True, change=None, deadly=None, killed=None, keys=None, spoil=None):
        """`change(head, frames)` gives the list of messages to send upstream instead. A worker for which
        `deadly(head, frames)` of a message from upstream is true is killed instead of getting it: `killed` has the pids.
        `keys`: dials upstream with these (harness.dial_with). `spoil(head, frames)` gives what workers get instead of a message
        from upstream."""
        super().__init__(daemon=True)
        self.listen, self.upstream, self.second, self.change, self.deadly = listen, upstream, second, change, deadly
        self.keys, self.spoil = keys, spoil
        self.pids, self.killed = {}, set() if killed is None else killed
        self.kept = [] if kept is None else kept
        self.stopping, self.taps = False, []
        self.start()

    def upward(self, frames):
        head = msgpack.unpackb(frames[0])
        if self.change:
            return self.change(head, frames)
        if self.second and head['kind'] == 'hello' and head['serve']:
            tap = Tap(head['serve'][0] + '-tap', head['serve'][0], self.kept, second=False, deadly=self.deadly,
                      killed=self.killed, spoil=self.spoil)
            self.taps.append(tap)
            frames = [msgpack.packb(dict(head, serve=[tap.listen]))]
        return [frames]

    def run(self):
        context = zmq.Context()
        front = context.socket(zmq.ROUTER)
        front.linger = 0
        front.bind(self.listen)
        poller, backs, whose = zmq.Poller(), {}, {}
        poller.register(front, zmq.POLLIN)
        while not self.stopping:
            for s, _ in poller.poll(50):
                frames = s.recv_multipart()
                if s is front:
                    peer, frames = frames[0], frames[1:]
                    self.kept.append(frames)
                    if peer not in backs:
                        backs[peer] = context.socket(zmq.DEALER)
                        backs[peer].linger = 0
                        if self.keys:
                            dial_with(backs[peer], self.keys)
                        backs[peer].connect(self.upstream)
                        whose[backs[peer]] = peer
                        poller.register(backs[peer], zmq.POLLIN)
                    head = msgpack.unpackb(frames[0])
                    if head['kind'] == 'hello':
                        self.pids[peer] = int(head['worker'].split(':')[1])
                    for message in self.upward(frames):
                        backs[peer].send_multipart(message)
                elif self.is_deadly(frames) and self.pids.get(whose[s]):
                    self.kill(self.pids[whose[s]])
                    poller.unregister(s)
                    del backs[whose.pop(s)]
                    s.close()
                else:
                    self.kept.append(frames)
                    if self.spoil:
                        frames = self.spoil(msgpack.unpackb(frames[0]), frames)
                    front.send_multipart([whose[s], *frames])
        for tap in self.taps:
            tap.stop()
        context.destroy(linger=0)

    def kill(self, pid):
        if pid not in self.killed:  # otherwise another tap was faster, and who started it may have seen it end
            self.killed.add(pid)
            os.kill(pid, signal.SIGKILL)

    def is_deadly(self, frames):
        return self.deadly and self.deadly(msgpack.unpackb(frames[0]), frames)

    def stop(self):
        self.stopping = True
        self.join()
