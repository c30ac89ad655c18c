#!/usr/bin/env python3
"""Writes augmix.safetensors, the numbers that augmix_test compares with: AugMix's nine operations by PIL, alone and in chains of
three, and whole mixtures in NumPy, on one small generated image.

    python3 tests/oracle/make_augmix.py tests/oracle/augmix.safetensors      (needs numpy, PIL, safetensors)

A tensor's name is a chain, as in 'posterize=3 rotate=-8'; it is uint8 [height, width, 3]. A mixture's is
'm=0.75: 0.5 equalize + 0.5 rotate=3 solarize=200'; it is float32 in [0,1].
"""
import random
import sys

import numpy as np
import PIL
from PIL import Image, ImageOps
from safetensors.numpy import save_file

HEIGHT, WIDTH = 19, 28
y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
image = np.stack([30 + (x * 37 + y * 11) % 200, (x * y * 5 + 40) % 256, 20 + 180 * ((x // 5 + y // 4) % 2)], 2).astype(np.uint8)
image[3:9, 5:12] = image[3:9, 5:12, :1] // 2


def move(picture, xx, xy, x0, yx, yy, y0):
    return picture.transform(picture.size, Image.AFFINE, (xx, xy, x0, yx, yy, y0), resample=Image.BILINEAR)


OPERATIONS = {
    'autocontrast': lambda p, _: ImageOps.autocontrast(p),
    'equalize': lambda p, _: ImageOps.equalize(p),
    'posterize': lambda p, v: ImageOps.posterize(p, int(v)),
    'solarize': lambda p, v: ImageOps.solarize(p, int(v)),
    'rotate': lambda p, v: p.rotate(int(v), resample=Image.BILINEAR),
    'shear_x': lambda p, v: move(p, 1, float(np.float32(v)), 0, 0, 1, 0),
    'shear_y': lambda p, v: move(p, 1, 0, 0, float(np.float32(v)), 1, 0),
    'translate_x': lambda p, v: move(p, 1, 0, int(v), 0, 1, 0),
    'translate_y': lambda p, v: move(p, 1, 0, 0, 0, 1, int(v)),
}
MAGNITUDES = {'autocontrast': [None], 'equalize': [None], 'posterize': [4, 3], 'solarize': [256, 230, 180],
              'rotate': [-8, -1, 3, 8], 'shear_x': [-.0871, -.0133, .0537, .0893], 'shear_y': [-.0871, .0217, .0893],
              'translate_x': [-3, 1, 40], 'translate_y': [-19, -2, 3]}


def run(chain):
    picture = Image.fromarray(image)
    for step in chain.split():
        name, _, value = step.partition('=')
        picture = OPERATIONS[name](picture, float(value or 0))
    return np.asarray(picture)


steps = [n if v is None else f'{n}={v}' for n, values in MAGNITUDES.items() for v in values]
pick = random.Random(1)
chains = steps + [' '.join(pick.choice(steps) for _ in range(3)) for _ in range(30)]
out = {'input': image, **{c: run(c) for c in chains}}
for m, weights in ((.75, (1,)), (.3, (.5, .5)), (1, (.2, .7, .1))):
    parts = [(w, pick.choice(chains)) for w in weights]
    mixed = (1 - m) * (image / 255) + m * sum(w * (run(c) / 255) for w, c in parts)
    out[f'm={m}: ' + ' + '.join(f'{w} {c}' for w, c in parts)] = mixed.astype(np.float32)

save_file({k: np.ascontiguousarray(v) for k, v in out.items()}, sys.argv[1], {'PIL': PIL.__version__, 'numpy': np.__version__})
