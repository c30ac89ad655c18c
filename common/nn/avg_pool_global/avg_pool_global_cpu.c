#include "nn/cpu.h"

static enum status prepare(struct node *n, const struct run *run) {
  (void)run;
  return cpu_settle(n->in[0]);
}

/* Adds up a block's runs into 16 slots. */
static void sum_block(const struct cpu_view *v, const float *x, int64_t length, float slots[16]) {
  for (int j = 0; j < 16; j++) slots[j] = 0;
  for (int64_t r = 0; r < v->runs; r++) {
    for (int64_t i = 0; i < length; i++) slots[i % 16] += x[r * v->run_stride + i];
  }
}

static enum status forward(struct node *n, const struct run *run) {
  (void)run;
  const struct cpu_view v = cpu_view(n->in[0]->shape, n->in[0]->layout);
  const float *x = n->in[0]->data;
  float *y = n->out->data;
#pragma omp parallel for schedule(static)
  for (int64_t task = 0; task < v.rows * v.blocks; task++) {
    int64_t row = task / v.blocks, block = task % v.blocks, first = block * v.lanes;
    float slots[16];
    sum_block(&v, x + row * v.row + block * v.block_stride, cpu_run_length(&v, block), slots);
    for (int64_t c = first; c < first + v.lanes && c < v.channels; c++) {
      float sum = 0;
      for (int64_t j = c - first; j < 16; j += v.lanes) sum += slots[j];
      y[row * v.channels + c] = sum / (float)v.area;
    }
  }
  return OK;
}

static enum status backward(struct node *n, const struct run *run) {
  (void)run;
  const struct cpu_view v = cpu_view(n->in[0]->shape, n->in[0]->layout);
  const float *dy = n->out->grad;
  float *dx = n->in_grad[0];
#pragma omp parallel for schedule(static)
  for (int64_t task = 0; task < v.rows * v.blocks; task++) {
    int64_t row = task / v.blocks, block = task % v.blocks, first = block * v.lanes;
    float slots[16], *to = dx + row * v.row + block * v.block_stride;
    for (int64_t j = 0; j < 16; j++) {
      int64_t c = first + j % v.lanes;
      slots[j] = c < v.channels ? dy[row * v.channels + c] / (float)v.area : 0;
    }
    for (int64_t r = 0; r < v.runs; r++) {
      for (int64_t i = 0, length = cpu_run_length(&v, block); i < length; i++)
        to[r * v.run_stride + i] = slots[i % 16];
    }
  }
  return OK;
}

const struct kernel kernel_avg_pool_global_cpu = {
    .op = "avg_pool_global", .backend = "cpu", .prepare = prepare, .forward = forward, .backward = backward};
