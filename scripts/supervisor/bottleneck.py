"""What holds up a stage, and what to do about it.

Everyone on the way of an image tells how long it worked and how long it waited. The one that works nearly all the time while the
consumer waits holds up the rest; if nobody does, images are waiting on their way.
"""

_KEEPS_UP = 0.10  # a consumer that waits less than this share of its time is fed
_AT_WORK = 0.70  # busy for this share: another of its kind would help
_ON_A_CORE = 0.60  # of the time it says it works
_FAULTS = 20.0  # pages/s from the disk


def bottleneck(stage, load):
    """(name, what to do) of a stage's Load: decode, augment, disk, network, transport, or the consumer's own name."""
    if load.waits is not None and load.waits < _KEEPS_UP:
        return load.what, 'it is fed as fast as it works; more workers would change nothing'
    missing = next((role for role in ('decode', 'augment') if role not in load.roles or not load.roles[role].workers), None)
    if missing:
        return 'too few workers', f'no {missing} worker is there; scripts/tandem scale {stage} --{missing} 1'
    role = max(load.roles, key=lambda r: load.roles[r].busy)
    most = load.roles[role]
    if most.busy < _AT_WORK:
        if load.waits is None:
            return load.what, 'nobody else has much to do'
        if load.remote:
            return 'network', 'nobody is busy, images wait on their way; a faster link, or workers nearer to the trainer'
        return 'transport', 'nobody is busy, images wait on their way; a larger `window`, or fewer and larger shards (`shard`)'
    if role == 'decode' and most.cpu is not None and most.cpu < _ON_A_CORE and most.faults > _FAULTS:
        return 'disk', 'decode workers wait for the dataset; a faster disk, more memory, or a smaller copy'
    flag = '' if role == 'augment' else '--decode '
    if load.idle is not None and load.idle < 0.5:
        return role, 'every core of this machine is at work; workers on another machine would help'
    return role, f'scripts/tandem scale {stage} {flag}{most.workers + 1}'


def load_text(load):
    """'decode ×1 1,200/s 12% · augment ×2 803/s 96% · train 41%': shares of time at work."""
    words = [f'{role} ×{r.workers} {r.rate:,.0f}/s {r.busy:.0%} busy' for role, r in load.roles.items()]
    if load.waits is not None:
        words.append(f'{load.what} {1 - load.waits:.0%} busy')
    return ' · '.join(words)


def errors_text(load):
    return 'errors: ' + ', '.join(f'{n} {kind}' for kind, n in load.errors.items())


def bottleneck_text(stage, load):
    name, advice = bottleneck(stage, load)
    return f'bottleneck: {name}: {advice}'
