"""peer_step.py: times the training step under PyTorch as people write it, on random views that are already there.

    python3 peer_step.py --method simclr stl --device cuda --precision bf16 --compile default --arch resnet50 --size 224 --batch 256

Forward, backward and SGD of SimCLR and STL over torchvision's networks, channels last; one JSON line per method: median and minimum
seconds per step, images per second (an image has two views). --official: the paper's public model.py from that folder instead of
the text below. Needs torch and torchvision.
"""
import argparse
import json
import statistics
import sys
import time
import types

import torch
import torchvision
from torch import nn
from torch.nn import functional as F

LR, MOMENTUM, DECAY, TAU, WEIGHTS = 0.03, 0.9, 5e-4, 0.2, (1.0, 1.0, 0.2)
PROJECTOR, TRANS_BACKBONE, TRANS_PROJECTOR = (512, 128), (128, 128), (128, 128)


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    p.add_argument('--official', help="folder with the paper's public model.py")
    p.add_argument('--method', nargs='+', choices=('simclr', 'stl'), default=['simclr', 'stl'])
    p.add_argument('--arch', choices=('resnet18', 'resnet50'), default='resnet18')
    p.add_argument('--size', type=int, default=96)
    p.add_argument('--batch', type=int, default=64)
    p.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    p.add_argument('--precision', choices=('f32', 'tf32', 'bf16'), default='f32')
    p.add_argument('--layout', choices=('nhwc', 'nchw'), default='nhwc')
    p.add_argument('--compile', choices=('none', 'default', 'reduce-overhead', 'max-autotune'), default='none')
    p.add_argument('--threads', type=int, default=2, help='on the CPU')
    p.add_argument('--warmup', type=int, default=3)
    p.add_argument('--steps', type=int, default=10)
    return p.parse_args()


def mlp(*widths):
    layers = []
    for a, b in zip(widths, widths[1:-1]):
        layers += [nn.Linear(a, b, bias=False), nn.BatchNorm1d(b), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Linear(*widths[-2:], bias=False))


def info_nce(a, b):
    """Each row of the two sets against all others; row i of a belongs to row i of b."""
    z = F.normalize(torch.cat([a, b]).float())
    n = len(a)
    s = (z @ z.T / TAU).fill_diagonal_(float('-inf'))
    return F.cross_entropy(s, torch.arange(2 * n, device=z.device).roll(n))


class Heads(nn.Module):
    """All of the loss but the backbone, so that both methods use one compiled backbone."""

    def __init__(self, d):
        super().__init__()
        self.inv, self.equi = mlp(d, *PROJECTOR), mlp(d, *PROJECTOR)
        self.trans_backbone, self.trans = mlp(2 * d, *TRANS_BACKBONE), mlp(TRANS_BACKBONE[-1], *TRANS_PROJECTOR)
        self.phi = nn.Linear(TRANS_BACKBONE[-1], d * d, bias=False)

    def simclr(self, y1, y2):
        return info_nce(self.inv(y1), self.inv(y2))

    def moved(self, t, y):
        """phi(t) y: a matrix for every sample."""
        return torch.bmm(self.phi(t).view(len(y), y.shape[1], y.shape[1]), y.unsqueeze(2)).squeeze(2)

    def stl(self, y1, y2):
        t12, t21 = self.trans_backbone(torch.cat([y1, y2], 1)), self.trans_backbone(torch.cat([y2, y1], 1))
        partner = lambda t: t.view(-1, 2, t.shape[1]).flip(1).reshape(t.shape)
        y1_hat, y2_hat = self.moved(partner(t21), y2), self.moved(partner(t12), y1)
        equi = info_nce(torch.cat([self.equi(y1), self.equi(y2)]), torch.cat([self.equi(y1_hat), self.equi(y2_hat)]))
        trans = info_nce(self.trans(torch.cat([t12[0::2], t21[0::2]])), self.trans(torch.cat([t12[1::2], t21[1::2]])))
        return sum(w * l for w, l in zip(WEIGHTS, (self.simclr(y1, y2), equi, trans)))


def ours(a):
    """{method: function of two views}, the module with the parameters"""
    backbone = getattr(torchvision.models, a.arch)()
    heads = Heads(backbone.fc.in_features)
    backbone.fc = nn.Identity()
    both = nn.ModuleList([backbone, heads])
    compiled = (lambda f: f) if a.compile == 'none' else lambda f: torch.compile(f, mode=a.compile)
    body = compiled(backbone)
    losses = {m: compiled(getattr(heads, m)) for m in a.method}
    return {m: lambda x1, x2, loss=losses[m]: loss(body(x1), body(x2)) for m in a.method}, both


def official(a):
    """The same of the public code."""
    sys.path.insert(0, a.official)
    import model
    model.resnet18 = lambda zero_init_residual=True: getattr(torchvision.models, a.arch)(zero_init_residual=zero_init_residual)
    text = lambda widths: '-'.join(map(str, widths))
    m = model.STL(types.SimpleNamespace(batch_size=a.batch, temperature=TAU, projector=text(PROJECTOR), trans_backbone=text(TRANS_BACKBONE),
                                        trans_projector=text(TRANS_PROJECTOR), **dict(zip(('inv', 'equi', 'trans'), WEIGHTS))))
    if a.compile != 'none':
        m.backbone = torch.compile(m.backbone, mode=a.compile)
    simclr = lambda x1, x2: m.info_nce_loss(m.inv_projector(m.backbone(x1)), m.inv_projector(m.backbone(x2)))
    return {'simclr': simclr, 'stl': lambda x1, x2: m(x1, x2)[0]}, m


class Clock:
    """Seconds between ticks: on a GPU the device's, which has the next step before it is done with this one."""

    def __init__(self, on_gpu):
        self.on_gpu, self.ticks = on_gpu, []

    def tick(self):
        self.ticks.append(torch.cuda.Event(enable_timing=True) if self.on_gpu else time.perf_counter())
        if self.on_gpu:
            self.ticks[-1].record()

    def seconds(self):
        pairs = list(zip(self.ticks, self.ticks[1:]))
        if not self.on_gpu:
            return [b - a for a, b in pairs]
        torch.cuda.synchronize()
        return [a.elapsed_time(b) / 1000 for a, b in pairs]


def timed(a, loss_of, module, views):
    """Seconds of every step after the warm-up."""
    optimiser = torch.optim.SGD(module.parameters(), lr=LR, momentum=MOMENTUM, weight_decay=DECAY, fused=a.device == 'cuda' or None)
    clock = Clock(a.device == 'cuda')
    for _ in range(a.warmup + a.steps):
        clock.tick()
        torch.compiler.cudagraph_mark_step_begin()
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast(a.device, dtype=torch.bfloat16, enabled=a.precision == 'bf16'):
            loss = loss_of(*views)
        loss.backward()
        optimiser.step()
    clock.tick()
    seconds = clock.seconds()[a.warmup:]
    if not torch.isfinite(loss):
        sys.exit('peer_step.py: the loss is not finite')
    return seconds


def main():
    a = arguments()
    torch.manual_seed(1)
    torch.set_num_threads(a.threads)
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision('highest' if a.precision == 'f32' else 'high')
    torch.backends.cudnn.allow_tf32 = a.precision != 'f32'
    layout = torch.channels_last if a.layout == 'nhwc' else torch.contiguous_format
    losses, module = official(a) if a.official else ours(a)
    module.to(device=a.device, memory_format=layout)
    numbers = torch.bfloat16 if a.precision == 'bf16' else torch.float32  # ours lie there in the type of the convolutions, too
    views = [torch.randn(a.batch, 3, a.size, a.size, device=a.device).to(dtype=numbers, memory_format=layout) for _ in range(2)]
    for method in a.method:
        seconds = timed(a, losses[method], module, views)
        median = statistics.median(seconds)
        line = dict(vars(a), method=method, torch=torch.__version__, median_s=median, min_s=min(seconds), images_per_s=a.batch / median)
        print(json.dumps(line), flush=True)


main()
