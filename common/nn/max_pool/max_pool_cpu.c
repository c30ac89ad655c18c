/* oneDNN's pooling, in the layout of its input. What it saves for the way back is its workspace of window
 * positions. */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "nn/cpu.h"
#include "nn/max_pool/max_pool.h"

struct pool_state {
  struct cpu_call forward, backward; /* backward is empty when not wanted */
};

struct window {
  dnnl_dims_t strides, kernel, before, after;
};

static struct window window_of(const struct node *n) {
  const struct max_pool_attr *a = n->attr;
  struct window w = {0};
  for (int i = 0; i < 2; i++) {
    w.strides[i] = a->stride;
    w.kernel[i] = a->kernel;
    w.before[i] = a->pad;
    /* What the last window reaches beyond the image; less than nothing where it stops short of the edge. */
    w.after[i] = (n->out->shape.dim[2 + i] - 1) * a->stride + a->kernel - n->in[0]->shape.dim[2 + i] - a->pad;
  }
  return w;
}

static enum status prepare_forward(struct node *n, struct cpu *cpu, dnnl_primitive_desc_t *pd) {
  struct pool_state *s = n->state;
  struct window w = window_of(n);
  dnnl_memory_desc_t x = cpu_desc(n->in[0]->shape, n->in[0]->layout),
                     y = cpu_desc(n->out->shape, n->out->layout);
  dnnl_pooling_desc_t op;
  dnnl_primitive_desc_t copy = NULL;
  enum status st = OK;
  TRY(cpu_check(
      dnnl_pooling_forward_desc_init(&op, n->out->wants_grad ? dnnl_forward_training : dnnl_forward_inference,
                                     dnnl_pooling_max, &x, &y, w.strides, w.kernel, w.before, w.after),
      "pooling_forward"));
  TRY(cpu_check(dnnl_primitive_desc_create(pd, &op, cpu->user_scratch, cpu->engine, NULL),
                "pooling_forward"));
  TRY(cpu_check(dnnl_primitive_desc_clone(&copy, *pd), "pooling_forward"));
  TRY(cpu_call_make(&s->forward, copy));
  TRY(cpu_call_arg(&s->forward, cpu, DNNL_ARG_SRC, false, x, x));
  TRY(cpu_call_arg(&s->forward, cpu, DNNL_ARG_DST, true, y, y));
  if (!n->out->wants_grad) return OK;
  dnnl_memory_desc_t positions = *dnnl_primitive_desc_query_md(*pd, dnnl_query_workspace_md, 0);
  n->saved_bytes = dnnl_memory_desc_get_size(&positions);
  TRY(cpu_call_arg(&s->forward, cpu, DNNL_ARG_WORKSPACE, true, positions, positions));
out:
  return st;
}

static enum status prepare_backward(struct node *n, struct cpu *cpu, dnnl_primitive_desc_t hint) {
  struct pool_state *s = n->state;
  struct window w = window_of(n);
  dnnl_memory_desc_t dx = cpu_desc(n->in[0]->shape, n->in[0]->layout),
                     dy = cpu_desc(n->out->shape, n->out->layout);
  dnnl_memory_desc_t positions = *dnnl_primitive_desc_query_md(hint, dnnl_query_workspace_md, 0);
  dnnl_pooling_desc_t op;
  dnnl_primitive_desc_t pd = NULL;
  enum status st = OK;
  TRY(cpu_check(dnnl_pooling_backward_desc_init(&op, dnnl_pooling_max, &dx, &dy, w.strides, w.kernel,
                                                w.before, w.after),
                "pooling_backward"));
  TRY(cpu_check(dnnl_primitive_desc_create(&pd, &op, cpu->user_scratch, cpu->engine, hint),
                "pooling_backward"));
  TRY(cpu_call_make(&s->backward, pd));
  TRY(cpu_call_arg(&s->backward, cpu, DNNL_ARG_DIFF_DST, false, dy, dy));
  TRY(cpu_call_arg(&s->backward, cpu, DNNL_ARG_WORKSPACE, false, positions, positions));
  TRY(cpu_call_arg(&s->backward, cpu, DNNL_ARG_DIFF_SRC, true, dx, dx));
out:
  return st;
}

static enum status prepare(struct node *n, const struct run *run) {
  struct cpu *cpu = run->device;
  struct pool_state *s = n->state = calloc(1, sizeof *s);
  dnnl_primitive_desc_t pd = NULL;
  if (!s) return fail(E_MEMORY, "out of memory for a pooling");
  enum status st = cpu_settle(n->in[0]);
  n->out->layout = n->in[0]->layout;
  if (st == OK) st = prepare_forward(n, cpu, &pd);
  if (st == OK && n->out->wants_grad) st = prepare_backward(n, cpu, pd);
  if (pd) dnnl_primitive_desc_destroy(pd);
  n->forward_scratch = s->forward.scratch_bytes;
  n->backward_scratch = s->backward.scratch_bytes;
  return st;
}

static enum status bind(struct node *n, const struct run *run) {
  struct pool_state *s = n->state;
  void *addresses[] = {n->in[0]->data, n->out->data, n->saved};
  enum status st = cpu_call_bind(&s->forward, run->device, addresses, n->scratch_f);
  if (st != OK || !s->backward.primitive) return st;
  return cpu_call_bind(&s->backward, run->device, (void *[]){n->out->grad, n->saved, n->in_grad[0]},
                       n->scratch_b);
}

/* oneDNN's maximum skips NaN; a window of nothing else gets the lowest number. Behind a BatchNorm NaN comes a
 * channel at a time, so that is where it would be lost. */
static void restore_nan(float *y, int64_t count) {
#pragma omp parallel for simd schedule(static)
  for (int64_t i = 0; i < count; i++) y[i] = y[i] == -FLT_MAX ? NAN : y[i];
}

static enum status forward(struct node *n, const struct run *run) {
  struct pool_state *s = n->state;
  enum status st = cpu_call_run(&s->forward, run->device);
  if (st == OK) restore_nan(n->out->data, (int64_t)(n->out->bytes / sizeof(float)));
  return st;
}

static enum status backward(struct node *n, const struct run *run) {
  struct pool_state *s = n->state;
  return cpu_call_run(&s->backward, run->device);
}

static void release(struct node *n) {
  struct pool_state *s = n->state;
  if (!s) return;
  cpu_call_free(&s->forward);
  cpu_call_free(&s->backward);
  free(s);
}

const struct kernel kernel_max_pool_cpu = {.op = "max_pool",
                                           .backend = "cpu",
                                           .prepare = prepare,
                                           .bind = bind,
                                           .forward = forward,
                                           .backward = backward,
                                           .release = release};
