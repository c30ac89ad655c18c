/* Images from the wire to the network: normalised, and padded from 3 channels to those of the layout. */
#include "nn/cuda/launch.cuh"

namespace {
struct affine {
  float scale[3], shift[3];
};
} // namespace

/* One pixel per thread. */
static __global__ void normalise(struct span x, const uint8_t *nhwc, struct affine by, int64_t pixels) {
  int64_t i = item();
  if (i >= pixels) return;
  struct vector v = {};
  for (int c = 0; c < 3; c++) v.lane[c] = nhwc[3 * i + c] * by.scale[c] + by.shift[c];
  store_vector(x, i, v);
}

extern "C" enum status cuda_normalise(struct cuda *cuda, const struct tensor *t, const uint8_t *on_device,
                                      const double mean[3], const double std[3]) {
  struct affine by;
  for (int c = 0; c < 3; c++) {
    by.scale[c] = static_cast<float>(1 / (255 * std[c]));
    by.shift[c] = static_cast<float>(-mean[c] / std[c]);
  }
  int64_t pixels = t->shape.dim[0] * t->shape.dim[2] * t->shape.dim[3];
  return launch(normalise, cuda_grid(pixels), CUDA_THREADS, 0, cuda, data_of(t), on_device, by, pixels);
}
