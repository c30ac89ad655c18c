/* Losses that are the mean of a term over pairs of elements, y = mean term(x, t): included by OP_cuda.cu, which
 * includes OP_term.h before. The pairs are few (labels of a batch), so one block adds them up. */
#include "nn/cuda/reduce.cuh"

static enum status prepare(struct node *n, const struct run *) {
  n->keep_in = 1 | 2;
  return OK;
}

static __global__ void mean_of_terms(struct span y, struct span x, struct span t, int64_t count) {
  double mine = 0;
  for (int64_t i = threadIdx.x; i < count; i += CUDA_THREADS)
    mine += term(static_cast<double>(load(x, i)), static_cast<double>(load(t, i)));
  double sum = block_sum(mine);
  if (threadIdx.x == 0) store(y, 0, static_cast<float>(sum / static_cast<double>(count)));
}

static __global__ void slopes(struct span dx, struct span x, struct span t, struct span loss_grad,
                              int64_t count) {
  int64_t i = item();
  if (i >= count) return;
  double scale = static_cast<double>(load(loss_grad, 0)) / static_cast<double>(count);
  store(dx, i,
        static_cast<float>(scale * slope(static_cast<double>(load(x, i)), static_cast<double>(load(t, i)))));
}

static enum status forward(struct node *n, const struct run *run) {
  return launch(mean_of_terms, 1, CUDA_THREADS, 0, cuda_of(run), data_of(n->out), data_of(n->in[0]),
                data_of(n->in[1]), shape_count(n->in[0]->shape));
}

static enum status backward(struct node *n, const struct run *run) {
  int64_t count = shape_count(n->in[0]->shape);
  return launch(slopes, cuda_grid(count), CUDA_THREADS, 0, cuda_of(run), span_of(n->in[0], n->in_grad[0]),
                data_of(n->in[0]), data_of(n->in[1]), grad_of(n->out), count);
}
