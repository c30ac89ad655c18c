"""Where the time goes, from the progress file of a consumer: decode, augment, or the consumer itself."""


class Load:
    """`busy`: role to the share of time its workers worked; `rates`: images/s; `slowest`: the role that holds up the rest."""

    def __init__(self, consumer, busy, rates, workers):
        self.consumer, self.busy, self.rates, self.workers = consumer, busy, rates, workers
        self.slowest = max(busy, key=busy.get)

    def text(self):
        words = []
        for role, share in self.busy.items():
            many = f" x{self.workers[role]}" if role in self.workers else ''
            rate = f' {self.rates[role]:,.0f}/s' if role in self.rates else ''
            words.append(f'{role}{many} {share:.0%} busy{rate}')
        return ', '.join(words) + f'; bottleneck: {self.slowest}'


def load_of(progress):
    """The Load that a progress file tells of; None if it tells nothing of workers."""
    return None
