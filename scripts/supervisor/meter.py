"""What a stage's workers and its consumer have done, from the progress file: totals that only grow, and rates of the last seconds.

Counters start anew with every process. A Meter adds up what each process has done since it was first seen, so totals go on over
restarts. A worker is known by its place here ('augment-2'), one from elsewhere by its own name; what that had done
before it came to this stage does not count.
"""
import collections
import os

_WINDOW_S = 10.0
COUNTS = ('shards', 'images', 'bytes_in', 'bytes_out', 'busy_ms', 'wait_ms')
FEED_COUNTS = ('busy_ms', 'wait_ms', 'shards', 'reissued', 'hedged', 'duplicates', 'failed', 'refused')
_TICKS = os.sysconf('SC_CLK_TCK')

Sample = collections.namedtuple('Sample', 'at done consumer roles idle')


class Member:
    """A worker's totals. `place`: its name for people."""

    def __init__(self, role, host, place):
        self.role, self.host, self.place = role, host, place
        self.counts, self.errors = dict.fromkeys(COUNTS, 0), collections.Counter()
        self.present = True


class Role:
    """What the workers of one role did in the last seconds. `busy`: share of the time; `rate`: images/s; `cpu`: share of the
    busy time that those of this machine had a core, None if unknown; `faults`: pages/s they waited for the disk to bring."""

    def __init__(self, workers, busy, rate, cpu=None, faults=0.0):
        self.workers, self.busy, self.rate, self.cpu, self.faults = workers, busy, rate, cpu, faults


class Load:
    """`what`: the consumer's name for its work; `waits`: the share of its time that it waits for batches, None if it does not
    say; `roles`: role to Role; `idle`: cores of this machine with nothing to do; `remote`: whether workers run elsewhere."""

    def __init__(self, what, rate, waits, roles, idle, remote, errors):
        self.what, self.rate, self.waits, self.roles = what, rate, waits, roles
        self.idle, self.remote, self.errors = idle, remote, errors


class Meter:
    def __init__(self):
        self.members = {}  # place to Member
        self.feed, self.dropped = dict.fromkeys(FEED_COUNTS, 0), collections.Counter()
        self.progress, self._fed = {}, {}  # the last one; the last of work that is fed
        self._last = {}  # a process's name to what it last told
        self._last_feed = {}
        self._samples = collections.deque()

    def update(self, progress, slots):
        """`progress`: what the progress file holds; `slots`: {pid: place} of the workers started here."""
        if progress.get('what') != self.progress.get('what') or progress.get('elapsed_s', 0) < self.progress.get('elapsed_s', 0):
            if 'workers' in progress:
                self._samples.clear()  # other work, or another process at the same work
                self._last_feed = {}
        elif progress.get('elapsed_s') == self.progress.get('elapsed_s'):
            return  # nothing new
        self.progress = progress
        if 'workers' not in progress:
            return  # work that needs no images
        self._fed = progress
        pids = {}
        for member in self.members.values():
            member.present = False
        for worker in progress.get('workers') or []:
            self._count(worker, slots, pids)
        self._count_feed(progress.get('feed') or {})
        self._sample(progress, pids)

    def _count(self, worker, slots, pids):
        host, pid, _ = (worker['name'].split(':') + ['', ''])[:3]
        here = host == os.uname().nodename and pid.isdecimal()
        place = slots.get(int(pid)) if here else None
        known = self._last.get(worker['name'])
        if place:
            pids.setdefault(worker['role'], []).append(int(pid))
        elif known:
            place = known['place']
        else:
            place, known = worker['name'], worker
        member = self.members.setdefault(place, Member(worker['role'], worker['host'], place))
        member.present = not worker.get('silent')
        for key in COUNTS:
            member.counts[key] += max(0, worker[key] - (known[key] if known else 0))
        for kind, n in worker['errors'].items():
            member.errors[kind] += max(0, n - (known['errors'].get(kind, 0) if known else 0))
        self._last[worker['name']] = dict(worker, place=place)

    def _count_feed(self, feed):
        for key in FEED_COUNTS:
            self.feed[key] += max(0, feed.get(key, 0) - self._last_feed.get(key, 0))
        last = self._last_feed.get('dropped', {})
        for kind, n in feed.get('dropped', {}).items():
            self.dropped[kind] += max(0, n - last.get(kind, 0))
        self._last_feed = feed

    def _sample(self, progress, pids):
        roles = {}
        for member in self.members.values():
            sums = roles.setdefault(member.role, collections.Counter())
            for key in COUNTS:
                sums[key] += member.counts[key]
        for role, found in pids.items():
            seen = [s for s in map(_process, found) if s]
            roles[role]['pids'] = hash(tuple(sorted(found)))
            roles[role]['cpu_s'], roles[role]['faults'] = sum(s[0] for s in seen), sum(s[1] for s in seen)
        at = progress.get('elapsed_s', 0.0)
        self._samples.append(Sample(at, progress.get('done', 0), dict(self.feed), roles, _idle()))
        while len(self._samples) > 2 and self._samples[1].at < at - _WINDOW_S:
            self._samples.popleft()

    def errors(self):
        """kind to how many, of all workers and the consumer's side."""
        total = collections.Counter({'dropped': sum(self.dropped.values()), 'failed': self.feed['failed'], 'refused': self.feed['refused']})
        for member in self.members.values():
            total.update(member.errors)
        return {kind: n for kind, n in sorted(total.items()) if n}

    def load(self):
        """The Load of the last seconds; None while no worker has told of two moments, or when the work needs none."""
        if len(self._samples) < 2 or self._fed is not self.progress:
            return None
        return self._between(self._samples[0], self._samples[-1], self._samples[-1].at - self._samples[0].at)

    def whole(self):
        """The Load of all the time that the consumer was fed; None if it never was."""
        if not self._samples:
            return None
        last = self._samples[-1]
        return self._between(Sample(0.0, 0, dict.fromkeys(FEED_COUNTS, 0), {}, None), last,
                             (last.consumer['busy_ms'] + last.consumer['wait_ms']) / 1000)

    def _between(self, first, last, passed):
        roles = {role: found for role in ('decode', 'augment') for found in [self._role(role, first, last, passed)] if found}
        if passed <= 0 or not roles:
            return None
        spent = {key: last.consumer[key] - first.consumer[key] for key in ('busy_ms', 'wait_ms')}
        waits = spent['wait_ms'] / sum(spent.values()) if sum(spent.values()) > 0 else None
        idle = None
        if first.idle and last.idle and last.idle[1] > first.idle[1]:
            idle = (last.idle[0] - first.idle[0]) / (last.idle[1] - first.idle[1]) * (os.cpu_count() or 1)
        remote = any(m.present and m.host != os.uname().nodename for m in self.members.values())
        return Load(self._fed.get('what', 'consumer'), (last.done - first.done) / passed, waits, roles, idle, remote, self.errors())

    def _role(self, role, first, last, passed):
        workers = sum(m.present and m.role == role for m in self.members.values())
        a, b = first.roles.get(role, {}), last.roles.get(role, {})
        gain = {key: b.get(key, 0) - a.get(key, 0) for key in (*COUNTS, 'cpu_s', 'faults')}
        spent = gain['busy_ms'] + gain['wait_ms']
        if not b or spent <= 0 or passed <= 0:
            return None
        cpu = None
        if b.get('pids') and b.get('pids') == a.get('pids') and gain['busy_ms'] > 0:
            cpu = 1000 * gain['cpu_s'] / gain['busy_ms']
        return Role(workers, gain['busy_ms'] / spent, gain['images'] / passed, cpu, gain['faults'] / passed if cpu is not None else 0.0)


def _process(pid):
    """(CPU seconds, page faults that needed the disk) of a process so far; None if it is gone."""
    try:
        with open(f'/proc/{pid}/stat', encoding='utf-8', errors='replace') as stream:
            fields = stream.read().rpartition(')')[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / _TICKS, int(fields[9])


def _idle():
    """(idle, all) time of this machine's cores so far; None where that cannot be read."""
    try:
        with open('/proc/stat', encoding='utf-8') as stream:
            times = [int(t) for t in stream.readline().split()[1:9]]
    except (OSError, ValueError):
        return None
    return times[3] + times[4], sum(times)
