#include "image/blur.h"

#include <assert.h>

#include "base/numeric.h"
#include "image/blur_simd.h"

void blur_weights(int32_t kernel, double sigma, double *half) {
  assert(kernel > 0 && kernel % 2 == 1 && kernel <= BLUR_MAX_KERNEL && sigma > 0);
  double sum = 0;
  for (int32_t i = kernel / 2; i >= 0; i--) {
    double x = i / sigma;
    half[i] = numeric_exp(-0.5 * x * x);
    sum += i ? 2 * half[i] : half[i];
  }
  for (int32_t i = 0; i <= kernel / 2; i++) half[i] /= sum;
}

enum status blur_gaussian(struct workspace *work, const struct planes *in, int32_t kernel, double sigma,
                          struct planes *out) {
  double exact[BLUR_MAX_KERNEL / 2 + 1];
  float w[BLUR_MAX_KERNEL / 2 + 1];
  blur_weights(kernel, sigma, exact);
  int32_t radius = kernel / 2;
  while (radius > 0 && exact[radius] < 0x1p-30) radius--; /* together below 1e-7 of a value in [0,1] */
  for (int32_t i = 0; i <= radius; i++) w[i] = (float)exact[i];

  struct extent size = {in->width, in->height};
  size_t plane = (size_t)size.width * (size_t)size.height, padded = (size_t)size.width + 2 * (size_t)radius;
  enum status st = OK;
  TRY(scratch_reserve(&work->rows, (plane + padded) * sizeof(float)));
  TRY(workspace_planes(work, size.width, size.height, out));
  for (int c = 0; c < 3; c++) blur_plane(in->plane[c], out->plane[c], size, w, radius, work->rows.data);
  workspace_flip(work);
out:
  return st;
}
