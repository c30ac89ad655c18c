"""What the scripts beside it build their networks of, in PyTorch, from the papers' equations: one module call per view,
everything looked up or generated explicitly, so that it shares neither structure nor code with the project."""
import torch
from torch import nn
from torch.nn import functional as F

TAU = 0.2


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
    """`width` channels in the first stage. small: with the stem for small images."""

    def __init__(self, width, small):
        super().__init__()
        self.small = small
        self.conv1 = nn.Conv2d(3, width, *((3, 1, 1) if small else (7, 2, 3)), bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        for i in range(4):
            setattr(self, f'layer{i + 1}', nn.Sequential(Block(width << max(i - 1, 0), width << i, 2 if i else 1)))

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        if not self.small:
            x = F.max_pool2d(x, 3, 2, 1)
        return self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean((2, 3))


def mlp(*widths, last_bias=False, last_norm=False):
    layers = []
    for i, (a, b) in enumerate(zip(widths, widths[1:])):
        last = i == len(widths) - 2
        layers.append(nn.Linear(a, b, bias=last and last_bias))
        if not last:
            layers += [nn.BatchNorm1d(b), nn.ReLU()]
        elif last_norm:
            layers.append(nn.BatchNorm1d(b))
    return nn.Sequential(*layers)


class Hypernetwork(nn.Module):
    """Generates a D x D matrix per sample, explicitly."""

    def __init__(self, d, k):
        super().__init__()
        self.d, self.hypernet = d, nn.Linear(k, d * d, bias=False)

    def forward(self, t, r):
        return torch.stack([self.hypernet(a).reshape(self.d, self.d) @ b for a, b in zip(t, r)])


def info_nce(z, z_other):
    """-log of the positive's share among all other rows, looked up row by row."""
    u = [v / v.norm() for v in (*z, *z_other)]
    n, total = len(z), 0
    for i in range(2 * n):
        s = {j: u[i] @ u[j] / TAU for j in range(2 * n) if j != i}
        total = total + torch.logsumexp(torch.stack(list(s.values())), 0) - s[(i + n) % (2 * n)]
    return total / (2 * n)


def state(net):
    """A copy of every parameter and running statistic."""
    return {k: v.clone() for k, v in net.state_dict().items() if not k.endswith('num_batches_tracked')}
