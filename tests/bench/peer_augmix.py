#!/usr/bin/python3
"""peer_augmix.py DIR SIZE pil|tensor [N]: what torchvision makes of a folder of JPEGs with AugMix, on one thread.

Decodes N images and makes two views of each: crop, jitter, greyscale, AugMix of the nine operations, flip, blur (from 224
pixels on), normalised tensors. pil: PIL images up to the end; tensor: 8-bit tensors from the decoder on. Prints the best of
three passes in images per second. Needs PyTorch and torchvision.
"""
import glob
import os
import sys
import time

import torch
from PIL import Image
from torchvision import transforms as T
from torchvision.transforms import functional as F


def view(size, mode):
    ops = [T.RandomResizedCrop(size, (0.2, 1.0), antialias=True), T.RandomApply([T.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
           T.RandomGrayscale(0.2), T.AugMix(severity=3, mixture_width=3, all_ops=False), T.RandomHorizontalFlip()]
    if size >= 224:
        ops.append(T.RandomApply([T.GaussianBlur(23, (0.1, 2.0))], p=0.5))
    to_float = T.ToTensor() if mode == 'pil' else T.ConvertImageDtype(torch.float32)
    return T.Compose([*ops, to_float, T.Normalize([.485, .456, .406], [.229, .224, .225])])


def main():
    root, size, mode = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    n = int(sys.argv[4]) if len(sys.argv) > 4 else 200
    torch.set_num_threads(1)
    torch.manual_seed(0)
    files = sorted(glob.glob(os.path.join(root, '**', '*.[jJ][pP]*'), recursive=True))[:n]
    make = view(size, mode)

    def load(path):
        image = Image.open(path).convert('RGB')
        return image if mode == 'pil' else F.pil_to_tensor(image)

    for path in files[:10]:
        make(load(path))
    best = 0
    for _ in range(3):
        start = time.perf_counter()
        for path in files:
            image = load(path)
            make(image)
            make(image)
        best = max(best, len(files) / (time.perf_counter() - start))
    print(f'{mode} size {size}: {best:.1f} images/s/core with two views')


main()
