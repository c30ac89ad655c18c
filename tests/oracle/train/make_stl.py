"""make_stl.py OUT.safetensors: numbers for stl_test.c, from PyTorch in float64.

Written from the paper's equations alone, with autograd and one module call per view, so that it shares neither
structure nor code with the project. Needs torch and safetensors; the tests only need its output, which is
committed as stl.safetensors (torch 2.15). Weights, inputs and expected values are stored as float32, losses as float64.
"""
import sys

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

WIDTH, PAIRS, SIDE, TAU, LAMBDA, STEPS = 3, 4, 16, 0.2, (1.0, 1.0, 0.2), 2
LR, MOMENTUM, DECAY = 0.01, 0.9, 5e-4


class Block(nn.Module):
    def __init__(self, c_in, c_out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        if stride != 1 or c_in != c_out:
            self.downsample = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (self.downsample(x) if hasattr(self, 'downsample') else x))


class ResNet10(nn.Module):
    def __init__(self, w):
        super().__init__()
        self.conv1 = nn.Conv2d(3, w, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(w)
        for i in range(4):
            setattr(self, f'layer{i + 1}', nn.Sequential(Block(w << max(i - 1, 0), w << i, 2 if i else 1)))

    def forward(self, x):
        x = F.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        return self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean((2, 3))


def mlp(*widths):
    layers = []
    for i, (a, b) in enumerate(zip(widths, widths[1:])):
        layers.append(nn.Linear(a, b, bias=False))
        if i < len(widths) - 2:
            layers += [nn.BatchNorm1d(b), nn.ReLU()]
    return nn.Sequential(*layers)


class Hypernetwork(nn.Module):
    """Generates a D x D matrix per sample, explicitly."""

    def __init__(self, d, k):
        super().__init__()
        self.d, self.hypernet = d, nn.Linear(k, d * d, bias=False)

    def forward(self, t, r):
        return torch.stack([self.hypernet(a).reshape(self.d, self.d) @ b for a, b in zip(t, r)])


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        d = 8 * WIDTH
        self.backbone = ResNet10(WIDTH)
        self.trans_backbone = mlp(2 * d, 10, 6)
        self.equi_transform = Hypernetwork(d, 6)
        self.inv_projector = mlp(d, 12, 8)
        self.equi_projector = mlp(d, 12, 8)
        self.trans_projector = mlp(6, 10, 5)


def info_nce(z, z_other):
    """-log of the positive's share among all other rows, looked up row by row."""
    u = [v / v.norm() for v in (*z, *z_other)]
    n, total = len(z), 0
    for i in range(2 * n):
        s = {j: u[i] @ u[j] / TAU for j in range(2 * n) if j != i}
        total = total + torch.logsumexp(torch.stack(list(s.values())), 0) - s[(i + n) % (2 * n)]
    return total / (2 * n)


def losses(net, x1, x2):
    y1, y2 = net.backbone(x1), net.backbone(x2)
    inv = info_nce(net.inv_projector(y1), net.inv_projector(y2))
    t12, t21 = net.trans_backbone(torch.cat([y1, y2], 1)), net.trans_backbone(torch.cat([y2, y1], 1))
    partner = [i ^ 1 for i in range(2 * PAIRS)]
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


def main(out):
    torch.manual_seed(7)
    torch.set_default_dtype(torch.float64)
    net = Network()
    rounded(net)
    images = torch.randn(2 * PAIRS, 3, SIDE, SIDE)
    x1, x2 = ((images + 0.7 * torch.randn_like(images)).float().double() for _ in range(2))
    state = lambda: {k: v.clone() for k, v in net.state_dict().items() if not k.endswith('num_batches_tracked')}
    tensors = {f'weights.{k}': v for k, v in state().items()} | {'x1': x1, 'x2': x2}
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
    tensors |= {f'after.{k}': v for k, v in state().items()}
    tensors = {k: v.float().contiguous() for k, v in tensors.items()}
    tensors['losses'] = torch.tensor(rows)
    save_file(tensors, out)
    print(rows)


main(*sys.argv[1:])
