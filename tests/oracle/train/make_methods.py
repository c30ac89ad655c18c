"""make_methods.py OUT.safetensors: numbers for methods_test.c, from PyTorch in float64.

Every base with every method, some with other labels or weights, or a variant of the base: starting weights, inputs, the
losses before two SGD steps, the gradients of the first, and all parameters and running statistics after the second.
Written from the equations alone, with autograd (networks.py). The tests only need its output, which is committed as
methods.safetensors (torch 2.15): float32, losses float64.
For a configuration CASE there are CASE.weights, CASE.grad and CASE.after, the tensors flattened one behind the other in
the order of their names, and CASE.losses.
"""
import copy
import math
import sys

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from networks import Hypernetwork, ResNet10, info_nce, mlp, state

D, PAIRS, SIDE, THIRD = 8, 4, 8, 6
LR, PREDICTOR_LR, MOMENTUM, DECAY, STEPS = 0.01, 0.02, 0.9, 5e-4, 2
TARGET_MOMENTUM, EPOCH, EPOCHS = 0.9, 1, 4
BARLOW_LAMBDA, BARLOW_SCALE = 0.03, 0.5
KINDS = {'crop': [0, 1, 2, 3], 'color': [4, 5, 6, 7], 'blur': [8], 'flip': [9], 'gray': [10]}
FOUR, ALL = ('crop', 'color', 'blur', 'flip'), ('crop', 'color', 'blur', 'flip', 'gray')


# --- Bases: the loss between two lists of features, each one BatchNorm call --------------------------------------------


def barlow(z, z_other):
    z, z_other = ((v - v.mean(0)) / (v.var(0, unbiased=False) + 1e-5).sqrt() for v in (z, z_other))
    c = sum(torch.outer(a, b) for a, b in zip(z, z_other)) / len(z)
    on = sum((1 - c[i, i]) ** 2 for i in range(len(c)))
    off = sum(c[i, j] ** 2 for i in range(len(c)) for j in range(len(c)) if i != j)
    return BARLOW_SCALE * (on + BARLOW_LAMBDA * off)


def mean_cosine(a, b):
    return torch.stack([u @ v / (u.norm() * v.norm()) for u, v in zip(a, b)]).mean()


class Step(nn.Module):
    """The networks of one base and method, and the losses (total, inv, equi, trans)."""

    def __init__(self, base, method, labels, weights, last_norm=False):
        super().__init__()
        self.base, self.method, self.labels, self.weights, self.last_norm = base, method, labels, weights, last_norm
        self.backbone = ResNet10(1, small=True)
        width = D // 2 if method == 'sie' else D
        if method != 'sen':
            self.heads('inv', width, (10, 4))
        if method in ('sen', 'equimod', 'sie', 'stl'):
            self.heads('equi', width, (10, 4))
            k = 3 if method == 'stl' else sum(len(KINDS[n]) for n in labels)
            self.equi_transform = Hypernetwork(width, k)
        if method == 'stl':
            self.trans_backbone = mlp(2 * D, 7, 3)
            self.heads('trans', 3, (9, 4))
        if method == 'augself':
            for kind in labels:
                setattr(self, f'{kind}_head', mlp(2 * D, 7, len(KINDS[kind]), last_bias=True))
        if method == 'essl':
            self.rotation_head = nn.Sequential(nn.Linear(D, 6), nn.LayerNorm(6), nn.ReLU(), nn.Linear(6, 5),
                                               nn.LayerNorm(5), nn.ReLU(), nn.Linear(5, 4))
        if base == 'byol':
            self.target = nn.Module()
            for name in ('backbone', 'trans_backbone', 'inv_projector', 'equi_projector', 'trans_projector'):
                if hasattr(self, name):
                    setattr(self.target, name, copy.deepcopy(getattr(self, name)).requires_grad_(False))

    def heads(self, term, width, widths):
        setattr(self, f'{term}_projector', mlp(width, *widths, last_bias=self.base == 'byol', last_norm=self.last_norm))
        if self.base in ('byol', 'simsiam'):
            setattr(self, f'{term}_predictor', mlp(widths[-1], 8, widths[-1], last_bias=True))

    def compare(self, term, a, b, a_target=None, b_target=None):
        """a, b: lists of feature matrices; element i of a belongs to element i of b. No b_target: b predicts a."""
        g = getattr(self, f'{term}_projector')
        q = getattr(self, f'{term}_predictor', None)
        if self.base == 'byol':
            g_target = getattr(self.target, f'{term}_projector')
            za_target = [g_target(v) for v in a_target]
            ways = list(zip(b, za_target))
            if b_target is not None:
                ways = [*zip(a, [g_target(v) for v in b_target]), *ways]
            online = [g(v) for v, _ in ways]
            online = [q(z) for z in online]
            return sum(2 - 2 * mean_cosine(p, z) for p, (_, z) in zip(online, ways))
        za = [g(v) for v in a]
        zb = [g(v) for v in b]
        if self.base == 'simclr':
            return info_nce(torch.cat(za), torch.cat(zb))
        if self.base == 'barlow':
            return barlow(torch.cat(za), torch.cat(zb))
        ha, hb = [q(z) for z in za], [q(z) for z in zb]
        each = [-mean_cosine(p, z.detach()) / 2 - mean_cosine(r, y.detach()) / 2 for p, z, r, y in zip(ha, zb, hb, za)]
        return sum(each) / len(each)

    def forward(self, batch):
        x1, x2 = batch['x1'], batch['x2']
        y1, y2 = self.backbone(x1), self.backbone(x2)
        u1 = u2 = None
        if self.base == 'byol':
            u1, u2 = self.target.backbone(x1), self.target.backbone(x2)
        terms = getattr(self, f'{self.method}_terms')(batch, y1, y2, u1, u2)
        terms += [torch.zeros(())] * (3 - len(terms))
        return [sum(w * t for w, t in zip(self.weights, terms)), *terms]

    def inv(self, y1, y2, u1, u2):
        return self.compare('inv', [y1], [y2], u1 if u1 is None else [u1], u2 if u2 is None else [u2])

    def none_terms(self, batch, *y):
        return [self.inv(*y)]

    def stl_terms(self, batch, y1, y2, u1, u2):
        def transformations(f, a, b):
            return f(torch.cat([a, b], 1)), f(torch.cat([b, a], 1))

        def even_odd(t12, t21):
            return torch.cat([t12[0::2], t21[0::2]]), torch.cat([t12[1::2], t21[1::2]])

        inv = self.inv(y1, y2, u1, u2)
        t12, t21 = transformations(self.trans_backbone, y1, y2)
        partner = [i ^ 1 for i in range(2 * PAIRS)]
        h1, h2 = self.equi_transform(t21[partner], y2), self.equi_transform(t12[partner], y1)
        equi = self.compare('equi', [y1, y2], [h1, h2], [u1, u2])
        a, b = even_odd(t12, t21)
        targets = [None, None]
        if u1 is not None:
            targets = [[t] for t in even_odd(*transformations(self.target.trans_backbone, u1, u2))]
        return [inv, equi, self.compare('trans', [a], [b], *targets)]

    def by_label(self, batch):
        columns = [c for n in ALL if n in self.labels for c in KINDS[n]]
        return -batch['label12'][:, columns], -batch['label21'][:, columns]

    def equimod_terms(self, batch, y1, y2, u1, u2):
        l12, l21 = self.by_label(batch)
        h1, h2 = self.equi_transform(l21, y2), self.equi_transform(l12, y1)
        return [self.inv(y1, y2, u1, u2), self.compare('equi', [y1, y2], [h1, h2], [u1, u2])]

    def sen_terms(self, batch, y1, y2, u1, u2):
        l12, l21 = self.by_label(batch)
        h1, h2 = self.equi_transform(l21, y2), self.equi_transform(l12, y1)
        return [torch.zeros(()), self.compare('equi', [y1, y2], [h1, h2], [u1, u2])]

    def sie_terms(self, batch, y1, y2, u1, u2):
        l12, l21 = self.by_label(batch)
        half = lambda y, first: None if y is None else y[:, :D // 2] if first else y[:, D // 2:]
        a1, a2, t1, t2 = (half(y, True) for y in (y1, y2, u1, u2))
        b1, b2, s1, s2 = (half(y, False) for y in (y1, y2, u1, u2))
        h1, h2 = self.equi_transform(l21, b2), self.equi_transform(l12, b1)
        return [self.inv(a1, a2, t1, t2), self.compare('equi', [b1, b2], [h1, h2], [s1, s2])]

    def augself_terms(self, batch, y1, y2, u1, u2):
        both = torch.cat([torch.cat([y1, y2], 1), torch.cat([y2, y1], 1)])
        d = torch.cat([batch['label12'], batch['label21']])
        loss = 0
        for kind in self.labels:
            p = getattr(self, f'{kind}_head')(both)
            if kind == 'flip':
                loss = loss + F.binary_cross_entropy_with_logits(p[:, 0], (d[:, 9] == 0).double())
            else:
                loss = loss + ((torch.tanh(p) - d[:, KINDS[kind]]) ** 2).mean()
        return [self.inv(y1, y2, u1, u2), loss]

    def essl_terms(self, batch, y1, y2, u1, u2):
        turned = torch.cat([torch.rot90(batch['x3'], k, (2, 3)) for k in range(4)])
        logits = self.rotation_head(self.backbone(turned))
        classes = torch.arange(4).repeat_interleave(2 * PAIRS)
        return [self.inv(y1, y2, u1, u2), F.cross_entropy(logits, classes)]


def rounded(net):
    """Starting values that float32 holds exactly, and that let every path carry gradient."""
    for name, p in (*net.named_parameters(), *net.named_buffers()):
        if p.dim() == 1 and name.endswith('weight'):
            p.data.uniform_(0.5, 1)
        elif name.endswith('bias') or name.endswith('running_mean'):
            p.data.uniform_(0, 0.8)
        elif name.endswith('running_var'):
            p.data.uniform_(0.5, 1.5)
        elif name.startswith('target') and p.is_floating_point():
            p.data.uniform_(-0.6, 0.6)
        if p.is_floating_point():
            p.data = p.data.float().double()


def flat(tensors):
    return torch.cat([tensors[name].reshape(-1) for name in sorted(tensors)]).float()


def sgd_step(net, momentum):
    with torch.no_grad():
        for name, p in net.named_parameters():
            if not p.requires_grad:
                continue
            v = momentum[name] = MOMENTUM * momentum.get(name, 0) + p.grad + DECAY * p
            constant = net.base == 'simsiam' and name.split('.')[0].endswith('_predictor')
            p -= (PREDICTOR_LR if constant else LR) * v
        if net.base == 'byol':
            m = 1 - (1 - TARGET_MOMENTUM) * (math.cos(math.pi * EPOCH / EPOCHS) + 1) / 2
            online = dict(net.named_parameters())
            for name, p in net.target.named_parameters():
                p.copy_(m * p + (1 - m) * online[name])


def run(name, net, batch):
    rounded(net)
    out, momentum, rows = {f'{name}.weights': flat(state(net))}, {}, []
    for step in range(STEPS):
        net.zero_grad()
        terms = net(batch)
        terms[0].backward()
        rows.append([t.item() for t in terms])
        if step == 0:
            out[f'{name}.grad'] = flat({k: p.grad for k, p in net.named_parameters() if p.requires_grad})
        sgd_step(net, momentum)
    out[f'{name}.after'] = flat(state(net))
    out[f'{name}.losses'] = torch.tensor(rows)
    assert torch.isfinite(torch.tensor(rows)).all(), name
    print(name, rows[0])
    return out


def main(out):
    torch.manual_seed(11)
    torch.set_num_threads(1)  # or the last bits would depend on how many there are
    torch.set_default_dtype(torch.float64)
    n = 2 * PAIRS
    images = torch.randn(n, 3, SIDE, SIDE)
    batch = {f'x{v}': images + 0.7 * torch.randn_like(images) for v in (1, 2)}
    batch['x3'] = torch.randn(n, 3, THIRD, THIRD)
    for name in ('label12', 'label21'):
        flags = torch.randint(-1, 2, (n, 2))
        batch[name] = torch.cat([torch.rand(n, 8) - 0.5, torch.randn(n, 1), flags], 1)
    batch = {k: v.float().double() for k, v in batch.items()}
    tensors = {k: v.float().contiguous() for k, v in batch.items()}
    two = ('crop', 'color')
    cases = [(b, m, two, (1, 1, 0.2)) for b in ('simclr', 'byol', 'simsiam', 'barlow')
             for m in ('none', 'augself', 'equimod', 'stl')]
    cases += [('simclr', 'essl', two, (1, 0.4)), ('simclr', 'sen', two, (1, 1)), ('simclr', 'sie', two, (1, 0.7)),
              ('simclr', 'augself', FOUR, (0.5, 0.5)), ('barlow', 'equimod', ALL, (1, 2))]
    for base, method, labels, weights in cases:
        name = '-'.join((base, method) if labels == two else (base, method, *labels))
        tensors |= run(name, Step(base, method, labels, weights), batch)
    for base in ('byol', 'simsiam', 'barlow'):
        for method, weights in (('essl', (1, 0.4)), ('sen', (1, 1)), ('sie', (1, 0.7))):
            tensors |= run(f'{base}-{method}', Step(base, method, two, weights), batch)
    tensors |= run('simsiam-stl-bn', Step('simsiam', 'stl', two, (1, 1, 0.2), last_norm=True), batch)
    save_file(tensors, out)


main(*sys.argv[1:])
