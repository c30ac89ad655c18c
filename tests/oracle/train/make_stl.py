"""make_stl.py OUT.safetensors [--width N --pairs N --side N] [--device cpu|cuda]: numbers for stl_test.c, from PyTorch in float64.

Written from the paper's equations alone, with autograd (networks.py). Needs torch and safetensors; the tests only need its
output, which is committed as stl.safetensors (torch 2.15). Weights, inputs and expected values are stored as float32,
losses as float64.

`autocast`, what bfloat16 may cost: how far losses (the farthest of the four) and gradients (all together) of the first step are
from these, relative to their size, when PyTorch computes it in float32 under autocast to bfloat16 on the device.
"""
import argparse
import copy

import torch
from safetensors.torch import save_file
from torch import nn

from networks import Hypernetwork, ResNet10, info_nce, mlp, state

LAMBDA, STEPS = (1.0, 1.0, 0.2), 2
LR, MOMENTUM, DECAY = 0.01, 0.9, 5e-4


class Network(nn.Module):
    def __init__(self, width):
        super().__init__()
        d = 8 * width
        self.backbone = ResNet10(width, small=False)
        self.trans_backbone = mlp(2 * d, 10, 6)
        self.equi_transform = Hypernetwork(d, 6)
        self.inv_projector = mlp(d, 12, 8)
        self.equi_projector = mlp(d, 12, 8)
        self.trans_projector = mlp(6, 10, 5)


def losses(net, x1, x2):
    y1, y2 = net.backbone(x1), net.backbone(x2)
    inv = info_nce(net.inv_projector(y1), net.inv_projector(y2))
    t12, t21 = net.trans_backbone(torch.cat([y1, y2], 1)), net.trans_backbone(torch.cat([y2, y1], 1))
    partner = [i ^ 1 for i in range(len(x1))]
    y1_hat, y2_hat = net.equi_transform(t21[partner], y2), net.equi_transform(t12[partner], y1)
    g1, g2, h1, h2 = (net.equi_projector(y) for y in (y1, y2, y1_hat, y2_hat))
    equi = info_nce(torch.cat([g1, g2]), torch.cat([h1, h2]))
    trans = info_nce(net.trans_projector(torch.cat([t12[0::2], t21[0::2]])),
                     net.trans_projector(torch.cat([t12[1::2], t21[1::2]])))
    return sum(w * l for w, l in zip(LAMBDA, (inv, equi, trans))), inv, equi, trans


def rounded(net):
    """Starting values that float32 holds exactly."""
    for name, p in (*net.named_parameters(), *net.named_buffers()):
        if 'bn' in name and name.endswith('weight') or p.dim() == 1 and name.endswith('weight'):
            p.data.uniform_(0.5, 1)
        elif name.endswith('bias') or name.endswith('running_mean'):
            p.data.uniform_(-0.2, 0.2)
        elif name.endswith('running_var'):
            p.data.uniform_(0.5, 1.5)
        if p.is_floating_point():
            p.data = p.data.float().double()


def autocast(net, x1, x2, device):
    """[the farthest loss, all gradients]: relative distances of bfloat16 from float64."""
    low = copy.deepcopy(net).float().to(device)
    exact = losses(net, x1, x2)
    exact[0].backward()
    torch.set_default_dtype(torch.float32)
    with torch.autocast(device, dtype=torch.bfloat16):
        terms = losses(low, x1.float().to(device), x2.float().to(device))
    terms[0].backward()
    torch.set_default_dtype(torch.float64)
    gradient = lambda n: torch.cat([p.grad.double().cpu().flatten() for p in n.parameters()])
    return [max(abs(a.item() / b.item() - 1) for a, b in zip(terms, exact)),
            ((gradient(low) - gradient(net)).norm() / gradient(net).norm()).item()]


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    p.add_argument('out')
    p.add_argument('--width', type=int, default=3, help="channels of the backbone's first stage")
    p.add_argument('--pairs', type=int, default=4)
    p.add_argument('--side', type=int, default=16, help='of the views, in pixels')
    p.add_argument('--device', default='cpu', help='of autocast')
    return p.parse_args()


def main(a):
    torch.manual_seed(7)
    torch.set_default_dtype(torch.float64)
    net = Network(a.width)
    rounded(net)
    images = torch.randn(2 * a.pairs, 3, a.side, a.side)
    x1, x2 = ((images + 0.7 * torch.randn_like(images)).float().double() for _ in range(2))
    tensors = {f'weights.{k}': v for k, v in state(net).items()} | {'x1': x1, 'x2': x2}
    low = autocast(copy.deepcopy(net), x1, x2, a.device)
    momentum, rows = {}, []
    for step in range(STEPS):
        net.zero_grad()
        terms = losses(net, x1, x2)
        terms[0].backward()
        rows.append([t.item() for t in terms])
        with torch.no_grad():
            for name, p in net.named_parameters():
                if step == 0:
                    tensors[f'grad.{name}'] = p.grad.clone()
                v = momentum[name] = MOMENTUM * momentum.get(name, 0) + p.grad + DECAY * p
                p -= LR * v
    tensors |= {f'after.{k}': v for k, v in state(net).items()}
    tensors = {k: v.float().contiguous() for k, v in tensors.items()}
    tensors['losses'], tensors['autocast'] = torch.tensor(rows), torch.tensor(low)
    save_file(tensors, a.out)
    print(rows, low)


main(arguments())
