/* Sums over the rows of a matrix: the gradient of a bias. A block sums 32 columns: its warps go through the rows side by
 * side, a warp reading 32 neighbours, AHEAD rows under way; then their sums are added, always in the same order. */
#include "nn/cuda/launch.cuh"

enum { COLUMNS = 32, WARPS = 32, AHEAD = 8 };

static __global__ void column_sums(float *to, struct span from, int64_t rows, int64_t columns,
                                   bool accumulate) {
  __shared__ float sums[WARPS][COLUMNS];
  const int lane = static_cast<int>(threadIdx.x), warp = static_cast<int>(threadIdx.y);
  const int64_t column = static_cast<int64_t>(blockIdx.x) * COLUMNS + lane;
  float sum = 0;
  for (int64_t row = warp; row < rows && column < columns; row += AHEAD * WARPS) {
    float x[AHEAD];
    for (int a = 0; a < AHEAD; a++)
      x[a] = row + a * WARPS < rows ? load(from, (row + a * WARPS) * columns + column) : 0;
    for (int a = 0; a < AHEAD; a++) sum += x[a];
  }
  sums[warp][lane] = sum;
  __syncthreads();
  if (warp > 0 || column >= columns) return;
  sum = accumulate ? to[column] : 0;
  for (int i = 0; i < WARPS; i++) sum += sums[i][lane];
  to[column] = sum;
}

extern "C" enum status cuda_column_sums(struct cuda *cuda, float *to, const void *from,
                                        enum element from_element, int64_t rows, int64_t columns,
                                        bool accumulate) {
  struct span source = {const_cast<void *>(from), from_element};
  return launch(column_sums, dim3(static_cast<unsigned>((columns + COLUMNS - 1) / COLUMNS)),
                dim3(COLUMNS, WARPS), 0, cuda, to, source, rows, columns, accumulate);
}
