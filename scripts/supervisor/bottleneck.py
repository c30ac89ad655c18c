"""Where the time goes, from the progress file of a consumer: decode, augment, or the consumer itself.

Everyone on the way reports how long it worked and how long it waited. Who works nearly all the time holds up the rest.
"""


class Load:
    """`busy`: role to the share of its time it worked; `rates`: role to images/s; `workers`: role to how many; `slowest`: a role."""

    def __init__(self):
        self.busy, self.rates, self.workers, self.slowest = {}, {}, {}, None

    def text(self):
        words = []
        for role, share in self.busy.items():
            many = f' ×{self.workers[role]}' if self.workers.get(role, 1) > 1 else ''
            rate = f' {self.rates[role]:,.0f}/s' if role in self.rates else ''
            words.append(f'{role}{many}{rate} {share:.0%} busy')
        return ' · '.join(words) + f' · bottleneck: {self.slowest}'


def load_of(progress):
    """The Load that a progress file tells of; None if it tells of no worker."""
    load = Load()
    for role in ('decode', 'augment'):
        members = [w for w in progress.get('workers') or [] if w.get('role') == role]
        busy, wait = (sum(w.get(key, 0) for w in members) for key in ('busy_ms', 'wait_ms'))
        if busy + wait > 0:
            load.busy[role] = busy / (busy + wait)
            load.workers[role] = len(members)
            load.rates[role] = sum(1000 * w.get('images', 0) / (w['busy_ms'] + w['wait_ms']) for w in members
                                   if w.get('busy_ms', 0) + w.get('wait_ms', 0) > 0)
    if not load.busy:
        return None
    waiting = progress.get('wait_fraction')
    if isinstance(waiting, (int, float)):
        load.busy[progress.get('what', 'consumer')] = 1 - waiting
    elif max(load.busy.values()) < 0.5:
        load.slowest = progress.get('what', 'consumer')  # it does not say, but nobody else has much to do
        return load
    load.slowest = max(load.busy, key=load.busy.get)
    return load
