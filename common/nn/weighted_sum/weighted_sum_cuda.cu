#include "nn/cuda/launch.cuh"

namespace {

enum { MAX_TERMS = 64 }; /* inputs of a node */

struct terms {
  struct span value[MAX_TERMS]; /* data; or gradients, NULL: not wanted */
  double weight[MAX_TERMS];
  int n;
};

static __global__ void add_up(struct span y, struct terms terms, int64_t count) {
  int64_t i = item();
  if (i >= count) return;
  double sum = 0;
  for (int k = 0; k < terms.n; k++) sum += terms.weight[k] * load(terms.value[k], i);
  store(y, i, static_cast<float>(sum));
}

static __global__ void spread(struct terms terms, struct span dy, int64_t count) {
  int64_t i = item();
  if (i >= count) return;
  for (int k = 0; k < terms.n; k++)
    if (terms.value[k].data) store(terms.value[k], i, static_cast<float>(terms.weight[k] * load(dy, i)));
}

static struct terms terms_of(const struct node *n, bool gradients) {
  struct terms t = {};
  t.n = n->n_in;
  for (int k = 0; k < n->n_in; k++) {
    t.value[k] = span_of(n->in[k], gradients ? n->in_grad[k] : n->in[k]->data);
    t.weight[k] = static_cast<const double *>(n->attr)[k];
  }
  return t;
}

static enum status forward(struct node *n, const struct run *run) {
  int64_t count = shape_count(n->out->shape);
  return launch_items(count, add_up, cuda_of(run), data_of(n->out), terms_of(n, false), count);
}

static enum status backward(struct node *n, const struct run *run) {
  int64_t count = shape_count(n->out->shape);
  return launch_items(count, spread, cuda_of(run), terms_of(n, true), grad_of(n->out), count);
}

} // namespace

CUDA_KERNEL(weighted_sum) = {
    .op = "weighted_sum", .backend = "cuda", .forward = forward, .backward = backward};
