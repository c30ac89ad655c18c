"""peer_ceilings.py: what this GPU reaches at most, under PyTorch: copying (bytes read and written per second) and products of
8192 x 8192 random matrices (FLOP per second) in bf16, tf32 and f32. One JSON line. Needs torch and a GPU."""
import json
import statistics

import torch


def seconds(work, repeat=10):
    """Median, by the device's clock."""
    times = []
    for i in range(repeat + 3):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        work()
        end.record()
        torch.cuda.synchronize()
        if i >= 3:
            times.append(start.elapsed_time(end) / 1e3)
    return statistics.median(times)


def product_rate(precision, n=8192):
    torch.backends.cuda.matmul.allow_tf32 = precision == 'tf32'
    a, b = (torch.randn(n, n, device='cuda', dtype=torch.bfloat16 if precision == 'bf16' else torch.float32) for _ in range(2))
    return 2 * n**3 / seconds(lambda: a @ b)


def copy_rate(n=2**30):
    a = torch.empty(n, dtype=torch.float32, device='cuda').normal_()
    b = torch.empty_like(a)
    return 2 * a.nbytes / seconds(lambda: b.copy_(a))


print(json.dumps({'copy': copy_rate(), **{p: product_rate(p) for p in ('bf16', 'tf32', 'f32')}}))
