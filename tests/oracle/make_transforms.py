#!/usr/bin/env python3
"""Writes transforms.safetensors, the numbers that transforms_test compares with: torchvision's float tensor operations,
PIL's bicubic resizing and grey-level operations, and affine transformations in NumPy, on one small generated image.

    python3 tests/oracle/make_transforms.py tests/oracle/transforms.safetensors      (needs torch, torchvision, PIL, safetensors)

A tensor's name is the chain of operations in the syntax of `tandem-augment apply --op`, joined by ';'. Float32 results
are [height, width, 3] in [0,1]; uint8 results are PIL's and are to be matched exactly.
"""
import sys

import numpy as np
import PIL
import torch
import torchvision
import torchvision.transforms.functional as F
from PIL import Image, ImageOps
from safetensors.numpy import save_file

HEIGHT, WIDTH, SIZE = 23, 34, 10
y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
image = np.stack([(x * 37 + y * 11) % 256, (x * y * 5 + 40) % 256, 255 * ((x // 5 + y // 4) % 2)], 2).astype(np.uint8)
image[3:9, 5:12] = image[3:9, 5:12, :1]  # a grey patch: hue and saturation have nothing to turn there
tensor = torch.from_numpy(image).permute(2, 0, 1).float() / 255
out = {'input': image}


def keep(name, t):
    out[name] = t.clamp(0, 1).permute(1, 2, 0).contiguous().numpy()


def crop(top, left, height, width, mode=F.InterpolationMode.BILINEAR):
    return F.resize(F.crop(tensor, top, left, height, width), [SIZE, SIZE], mode, antialias=True)


def text(top, left, height, width):
    return f'resized_crop:top={top},left={left},height={height},width={width},size={SIZE}'


for box in ((0, 0, HEIGHT, WIDTH), (2, 3, 7, 9), (11, 0, 10, 10), (22, 33, 1, 1), (0, 0, 23, 2)):
    keep(text(*box), crop(*box))
keep('resize_short:size=7', F.resize(tensor, 7, antialias=True))
keep('resize_short_center_crop:size=7', F.center_crop(F.resize(tensor, 7, antialias=True), 7))
small = F.resize(Image.fromarray(image), 8, F.InterpolationMode.BICUBIC)
out['resize_short:size=8,filter=bicubic'] = np.asarray(small)
out['resize_short_center_crop:size=8,filter=bicubic'] = np.asarray(F.center_crop(small, 8))
large = F.resize(Image.fromarray(image), 40, F.InterpolationMode.BICUBIC)
out['resize_short_center_crop:size=40,filter=bicubic'] = np.asarray(F.center_crop(large, 40))
# Both axes smaller, both larger: for one of each, recent versions of PIL choose another order of the passes.
for top, left, height, width in ((2, 3, 13, 21), (5, 6, 7, 8)):
    part = Image.fromarray(image).crop((left, top, left + width, top + height)).resize((SIZE, SIZE), Image.BICUBIC)
    out[text(top, left, height, width) + ',filter=bicubic'] = np.asarray(part)

base = (1, 2, 20, 30)
start, prefix = crop(*base), text(*base) + ';'
for factor in (0.6, 1.4):
    keep(f'{prefix}brightness:factor={factor}', F.adjust_brightness(start, factor))
    keep(f'{prefix}contrast:factor={factor}', F.adjust_contrast(start, factor))
    keep(f'{prefix}saturation:factor={factor}', F.adjust_saturation(start, factor))
for turn in (-0.1, 0.1, 0.5):
    keep(f'{prefix}hue:factor={turn}', F.adjust_hue(start, turn))
keep(f'{prefix}grayscale', F.rgb_to_grayscale(start, 3))
keep(f'{prefix}hflip', F.hflip(start))
for turns in (1, 2, 3):
    keep(f'{prefix}resized_crop:top=1,left=2,height=7,width=6,size=5;rotate90:turns={turns}',
         torch.rot90(F.resize(F.crop(start, 1, 2, 7, 6), [5, 5], antialias=True), turns, (1, 2)))

picture = Image.fromarray(image)
out['autocontrast'] = np.asarray(ImageOps.autocontrast(picture))
out['equalize'] = np.asarray(ImageOps.equalize(picture))
for bits in (1, 4, 8):
    out[f'posterize:bits={bits}'] = np.asarray(ImageOps.posterize(picture, bits))
for level in (2, 128, 256):
    out[f'solarize:threshold={level}'] = np.asarray(ImageOps.solarize(picture, level))
for threshold in (0.3, 0.5, 1):
    keep(f'{prefix}solarize:threshold={threshold}', F.solarize(start, threshold))


def moved(t, xx, xy, x0, yx, yy, y0):
    """Output (x, y) shows input (xx x + xy y + x0, ...), pixel centres at + 1/2; black outside, bilinear inside."""
    a = t.permute(1, 2, 0).double().numpy()
    height, width = a.shape[:2]
    y, x = np.mgrid[0:height, 0:width] + .5
    u, v = xx * x + xy * y + x0, yx * x + yy * y + y0
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    left, above = np.floor(u - .5).astype(int), np.floor(v - .5).astype(int)
    at = lambda row, column: a[row.clip(0, height - 1), column.clip(0, width - 1)]
    fx, fy = (u - .5 - left)[..., None], (v - .5 - above)[..., None]
    rows = [(1 - fx) * at(r, left) + fx * at(r, left + 1) for r in (above, above + 1)]
    result = ((1 - fy) * rows[0] + fy * rows[1]) * inside[..., None]
    return torch.from_numpy(result.astype(np.float32)).permute(2, 0, 1)


for degrees in (-8, 33.3, 180):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    for chain, t in ((prefix, start), ('', tensor)):
        m, n = t.shape[2] / 2, t.shape[1] / 2
        keep(f'{chain}rotation:angle={degrees}', moved(t, c, -s, m - c * m + s * n, s, c, n - s * m - c * n))
for f in (-0.27, 0.09):
    keep(f'{prefix}shear_x:factor={f}', moved(start, 1, f, 0, 0, 1, 0))
    keep(f'{prefix}shear_y:factor={f}', moved(start, 1, 0, 0, f, 1, 0))
for pixels in (-2.25, 3):
    keep(f'{prefix}translate_x:pixels={pixels}', moved(start, 1, 0, pixels, 0, 1, 0))
    keep(f'{prefix}translate_y:pixels={pixels}', moved(start, 1, 0, 0, 0, 1, pixels))
for kernel, sigma in ((9, 0.1), (9, 0.7), (9, 2.0), (3, 1.0)):
    keep(f'{prefix}gaussian_blur:kernel={kernel},sigma={sigma}', F.gaussian_blur(start, kernel, sigma))
chain = F.adjust_hue(F.adjust_contrast(F.adjust_saturation(F.adjust_brightness(start, 1.3), 0.7), 1.2), -0.07)
keep(f'{prefix}brightness:factor=1.3;saturation:factor=0.7;contrast:factor=1.2;hue:factor=-0.07', chain)
keep(f'{prefix}resized_crop:top=1,left=2,height=7,width=6,size=5', F.resize(F.crop(start, 1, 2, 7, 6), [5, 5], antialias=True))

save_file({k: np.ascontiguousarray(v) for k, v in out.items()}, sys.argv[1],
          {'torch': torch.__version__, 'torchvision': torchvision.__version__, 'PIL': PIL.__version__})
