"""make_linear.py: writes linear.safetensors beside itself, the numbers that tests/oracle/linear/protocol_test.c expects.

The linear-evaluation protocol with PyTorch (1.13 or later), float64: 45 strengths of l2, torch.optim.LBFGS with
strong_wolfe from the previous solution (polished by Newton steps), the choice on validation rows, the refit and the test score. The data are five
overlapping Gaussian classes in seven features of very different scale; class 3 has no training row.
Needs torch, numpy and safetensors; only whoever changes the oracle runs this.
"""
import os

import numpy as np
import torch
from safetensors.numpy import save_file

CLASSES, DIM, TRAIN, VALIDATION, TEST = 5, 7, 90, 31, 53


def data():
    rng = np.random.default_rng(2024)
    centres = rng.normal(size=(CLASSES, DIM))
    y = rng.integers(0, CLASSES, TRAIN + VALIDATION + TEST)
    y[:TRAIN][y[:TRAIN] == 3] = 1
    y[TRAIN], y[-1] = 3, 3
    x = centres[y] + 1.3 * rng.normal(size=(len(y), DIM))
    x = x * np.array([3, 1, 1, .5, .2, .1, .05]) + np.array([1, 0, .5, 0, 0, 0, 2])
    return x.astype(np.float32), y.astype(np.int32)


def objective(x, y, l2, theta):
    theta = theta.reshape(CLASSES, DIM + 1)
    logits = x @ theta[:, :-1].T + theta[:, -1]
    return torch.nn.functional.cross_entropy(logits, y, reduction='sum') + l2 * (theta ** 2).sum()


def fit(x, y, l2, theta):
    """L-BFGS under the paper's rules, which round-off ends at gradients near 1e-6; then Newton's method to the minimum."""
    w = theta.clone().requires_grad_()
    rules = dict(lr=1, history_size=100, max_iter=5000, tolerance_grad=1e-10, tolerance_change=0,
                 line_search_fn='strong_wolfe')
    optimiser = torch.optim.LBFGS([w], **rules)

    def closure():
        optimiser.zero_grad()
        loss = objective(x, y, l2, w)
        loss.backward()
        return loss

    optimiser.step(closure)
    w = w.detach().flatten()
    for _ in range(5):
        w.requires_grad_()
        gradient, = torch.autograd.grad(objective(x, y, l2, w), w)
        hessian = torch.autograd.functional.hessian(lambda v: objective(x, y, l2, v), w.detach())
        w = w.detach() - torch.linalg.solve(hessian, gradient)
    return w.reshape(theta.shape), objective(x, y, l2, w).item(), gradient.abs().max().item()


def accuracy(x, y, w):
    hit = ((x @ w[:, :-1].T + w[:, -1]).argmax(1) == y).double()
    return hit.mean().item(), torch.stack([hit[y == c].mean() for c in y.unique()]).mean().item()


def main():
    torch.set_num_threads(1)
    x32, y32 = data()
    x, y = torch.tensor(x32).double(), torch.tensor(y32).long()
    train, both, test = slice(0, TRAIN), slice(0, TRAIN + VALIDATION), slice(TRAIN + VALIDATION, None)
    val = slice(TRAIN, TRAIN + VALIDATION)
    theta, best, points, thetas = torch.zeros(CLASSES, DIM + 1).double(), -1, [], []
    for k in range(45):
        l2 = 10 ** (-6 + 11 * k / 44)
        theta, value, gradient = fit(x[train], y[train], l2, theta)
        points.append([l2, value, *accuracy(x[val], y[val], theta)])
        thetas.append(theta.numpy())
        print(f'{k} l2 {l2:.3g} objective {value:.12g} |g| {gradient:.1e} validation {points[-1][2]:.4f}')
        if points[-1][2] > best:
            best, chosen, start = points[-1][2], k, theta
    final, value, _ = fit(x[both], y[both], points[chosen][0], start)
    scores = accuracy(x[test], y[test], final)
    print('chosen', chosen, 'test', scores)
    save_file({'x': x32, 'y': y32, 'counts': np.array([TRAIN, VALIDATION, TEST, CLASSES, chosen], np.int64),
               'points': np.array(points), 'theta': np.stack(thetas), 'final': final.numpy(),
               'final_scores': np.array([value, *scores])},
              os.path.join(os.path.dirname(os.path.abspath(__file__)), 'linear.safetensors'),
              {'made_by': f'tests/oracle/make_linear.py, PyTorch {torch.__version__}'})


main()
