/* The output is row-major; an input in another layout is copied first. */
#include <stdlib.h>

#include "nn/cpu.h"

#define REAL float
#include "nn/rotations/rotations_loops.h"

struct rotations_state {
  struct cpu_copy in, out; /* x to row-major, and its gradient back; empty when it is */
};

static enum status prepare(struct node *n, const struct run *run) {
  struct rotations_state *s = n->state = calloc(1, sizeof *s);
  const struct layout plain = {0, NULL};
  if (!s) return fail(E_MEMORY, "out of memory for rotations");
  enum status st = OK;
  TRY(cpu_settle(n->in[0]));
  dnnl_memory_desc_t theirs = cpu_desc(n->in[0]->shape, n->in[0]->layout),
                     ours = cpu_desc(n->in[0]->shape, plain);
  TRY(cpu_copy_make(&s->in, run->device, theirs, ours));
  TRY(cpu_copy_make(&s->out, run->device, ours, theirs));
  if (s->in.reorder) n->forward_scratch = n->backward_scratch = cpu_bytes(&n->in[0]->shape, plain);
out:
  return st;
}

static enum status bind(struct node *n, const struct run *run) {
  struct rotations_state *s = n->state;
  enum status st = cpu_copy_bind(&s->in, run->device, n->in[0]->data, n->scratch_f);
  return st == OK && n->in_grad[0] ? cpu_copy_bind(&s->out, run->device, n->scratch_b, n->in_grad[0]) : st;
}

static enum status forward(struct node *n, const struct run *run) {
  struct rotations_state *s = n->state;
  enum status st = cpu_copy_run(&s->in, run->device);
  if (st == OK) turn(n, s->in.reorder ? n->scratch_f : n->in[0]->data, n->out->data);
  return st;
}

static enum status backward(struct node *n, const struct run *run) {
  struct rotations_state *s = n->state;
  turn_back(n, n->out->grad, s->out.reorder ? n->scratch_b : n->in_grad[0]);
  return cpu_copy_run(&s->out, run->device);
}

static void release(struct node *n) {
  struct rotations_state *s = n->state;
  if (!s) return;
  cpu_copy_free(&s->in);
  cpu_copy_free(&s->out);
  free(s);
}

const struct kernel kernel_rotations_cpu = {.op = "rotations",
                                            .backend = "cpu",
                                            .prepare = prepare,
                                            .bind = bind,
                                            .forward = forward,
                                            .backward = backward,
                                            .release = release};
