/* The sum takes the layout of a; b is copied to it where it has another. */
#include <stdlib.h>
#include <string.h>

#include "nn/cpu.h"

struct add_state {
  struct cpu_copy in, out; /* b to the layout of a, and its gradient back */
};

static enum status prepare(struct node *n, const struct run *run) {
  struct add_state *s = n->state = calloc(1, sizeof *s);
  if (!s) return fail(E_MEMORY, "out of memory for a sum");
  enum status st = OK;
  TRY(cpu_settle(n->in[0]));
  n->out->layout = n->in[0]->layout;
  tensor_lay_out(n->in[1], n->out->layout);
  TRY(cpu_settle(n->in[1]));
  dnnl_memory_desc_t ours = cpu_desc(n->out->shape, n->out->layout),
                     b = cpu_desc(n->out->shape, n->in[1]->layout);
  TRY(cpu_copy_make(&s->in, run->device, b, ours));
  TRY(cpu_copy_make(&s->out, run->device, ours, b));
  if (s->in.reorder) n->forward_scratch = cpu_bytes(&n->out->shape, n->out->layout);
out:
  return st;
}

static enum status bind(struct node *n, const struct run *run) {
  struct add_state *s = n->state;
  enum status st = cpu_copy_bind(&s->in, run->device, n->in[1]->data, n->scratch_f);
  return st == OK && n->in_grad[1] ? cpu_copy_bind(&s->out, run->device, n->out->grad, n->in_grad[1]) : st;
}

static enum status forward(struct node *n, const struct run *run) {
  struct add_state *s = n->state;
  enum status st = cpu_copy_run(&s->in, run->device);
  const float *a = n->in[0]->data, *b = s->in.reorder ? n->scratch_f : n->in[1]->data;
  float *y = n->out->data;
  int64_t count = (int64_t)(n->out->bytes / sizeof *y);
#pragma omp parallel for simd schedule(static)
  for (int64_t i = 0; i < count; i++) y[i] = a[i] + b[i];
  return st;
}

static enum status backward(struct node *n, const struct run *run) {
  struct add_state *s = n->state;
  for (int k = 0; k < 2; k++) {
    if (n->in_grad[k] && !(k == 1 && s->out.reorder)) memcpy(n->in_grad[k], n->out->grad, n->out->bytes);
  }
  return n->in_grad[1] ? cpu_copy_run(&s->out, run->device) : OK;
}

static void release(struct node *n) {
  struct add_state *s = n->state;
  if (!s) return;
  cpu_copy_free(&s->in);
  cpu_copy_free(&s->out);
  free(s);
}

const struct kernel kernel_add_cpu = {.op = "add",
                                      .backend = "cpu",
                                      .prepare = prepare,
                                      .bind = bind,
                                      .forward = forward,
                                      .backward = backward,
                                      .release = release};
