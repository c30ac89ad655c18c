/* oneDNN's direct convolutions. The forward primitive chooses the layouts of input, weights and output; the
 * backward ones reorder where they would rather have others (in practice the weights, once per step). */
#include <stdlib.h>

#include "nn/conv2d/conv2d.h"
#include "nn/cpu.h"

struct conv_state {
  struct cpu_call forward, data, weights; /* the backward ones are empty when not wanted */
  dnnl_memory_desc_t weights_desc;
};

struct descs {
  dnnl_memory_desc_t x, w, y; /* any layout */
  dnnl_dims_t strides, pads;
};

static dnnl_memory_desc_t any_desc(struct shape s) { return cpu_tag_desc(s, dnnl_format_tag_any); }

static struct descs descs_of(const struct node *n) {
  const struct conv2d_attr *a = n->attr;
  struct descs d = {any_desc(n->in[0]->shape), any_desc(n->in[1]->shape), any_desc(n->out->shape)};
  for (int i = 0; i < 2; i++) {
    d.strides[i] = a->stride;
    d.pads[i] = a->pad;
  }
  return d;
}

static dnnl_memory_desc_t query(dnnl_primitive_desc_t pd, dnnl_query_t what) {
  return *dnnl_primitive_desc_query_md(pd, what, 0);
}

/* Makes the call: its arguments in the order src, weights, dst of the query, where `output` is written. */
static enum status make_call(struct cpu_call *call, struct cpu *cpu, const struct node *n,
                             dnnl_primitive_desc_t pd, const int ids[3], const dnnl_query_t queries[3],
                             int output) {
  const struct tensor *tensors[] = {n->in[0], n->in[1], n->out};
  dnnl_memory_desc_t inner[3];
  for (int i = 0; i < 3; i++) inner[i] = query(pd, queries[i]);
  enum status st = cpu_call_make(call, pd);
  for (int i = 0; i < 3 && st == OK; i++) {
    st = cpu_call_arg(call, cpu, ids[i], i == output, cpu_desc(tensors[i]->shape, tensors[i]->layout),
                      inner[i]);
  }
  return st;
}

static enum status prepare_forward(struct node *n, struct cpu *cpu, const struct descs *d,
                                   dnnl_primitive_desc_t *pd) {
  struct conv_state *s = n->state;
  dnnl_convolution_desc_t op;
  enum status st = OK;
  TRY(cpu_check(dnnl_convolution_forward_desc_init(&op, dnnl_forward_training, dnnl_convolution_direct, &d->x,
                                                   &d->w, NULL, &d->y, d->strides, d->pads, d->pads),
                "convolution_forward"));
  TRY(cpu_check(dnnl_primitive_desc_create(pd, &op, cpu->user_scratch, cpu->engine, NULL),
                "convolution_forward"));
  dnnl_memory_desc_t x = query(*pd, dnnl_query_src_md), y = query(*pd, dnnl_query_dst_md);
  struct layout layout;
  if (cpu_layout_of(&x, n->in[0]->shape, &layout)) tensor_lay_out(n->in[0], layout);
  cpu_layout_of(&y, n->out->shape, &n->out->layout);
  s->weights_desc = query(*pd, dnnl_query_weights_md);
  tensor_lay_out(n->in[1], (struct layout){0, &s->weights_desc});
  dnnl_primitive_desc_t copy = NULL;
  TRY(cpu_check(dnnl_primitive_desc_clone(&copy, *pd), "convolution_forward"));
  TRY(make_call(&s->forward, cpu, n, copy, (int[]){DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
                (dnnl_query_t[]){dnnl_query_src_md, dnnl_query_weights_md, dnnl_query_dst_md}, 2));
out:
  return st;
}

static enum status prepare_data(struct node *n, struct cpu *cpu, const struct descs *d,
                                dnnl_primitive_desc_t hint) {
  struct conv_state *s = n->state;
  dnnl_convolution_desc_t op;
  dnnl_primitive_desc_t pd = NULL;
  enum status st = OK;
  TRY(cpu_check(dnnl_convolution_backward_data_desc_init(&op, dnnl_convolution_direct, &d->x, &d->w, &d->y,
                                                         d->strides, d->pads, d->pads),
                "convolution_backward_data"));
  TRY(cpu_check(dnnl_primitive_desc_create(&pd, &op, cpu->user_scratch, cpu->engine, hint),
                "convolution_backward_data"));
  TRY(make_call(&s->data, cpu, n, pd, (int[]){DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST},
                (dnnl_query_t[]){dnnl_query_diff_src_md, dnnl_query_weights_md, dnnl_query_diff_dst_md}, 0));
out:
  return st;
}

static enum status prepare_weights(struct node *n, struct cpu *cpu, const struct descs *d,
                                   dnnl_primitive_desc_t hint) {
  struct conv_state *s = n->state;
  dnnl_convolution_desc_t op;
  dnnl_primitive_desc_t pd = NULL;
  enum status st = OK;
  TRY(cpu_check(dnnl_convolution_backward_weights_desc_init(&op, dnnl_convolution_direct, &d->x, &d->w, NULL,
                                                            &d->y, d->strides, d->pads, d->pads),
                "convolution_backward_weights"));
  TRY(cpu_check(dnnl_primitive_desc_create(&pd, &op, cpu->user_scratch, cpu->engine, hint),
                "convolution_backward_weights"));
  TRY(make_call(&s->weights, cpu, n, pd, (int[]){DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST},
                (dnnl_query_t[]){dnnl_query_src_md, dnnl_query_diff_weights_md, dnnl_query_diff_dst_md}, 1));
out:
  return st;
}

static enum status prepare(struct node *n, const struct run *run) {
  struct cpu *cpu = run->device;
  struct conv_state *s = calloc(1, sizeof *s);
  struct descs d = descs_of(n);
  dnnl_primitive_desc_t pd = NULL;
  enum status st = OK;
  if (!s) return fail(E_MEMORY, "out of memory for a convolution");
  n->state = s;
  n->keep_in = 1 | 2;
  TRY(prepare_forward(n, cpu, &d, &pd));
  if (n->out->wants_grad && n->in[0]->wants_grad) TRY(prepare_data(n, cpu, &d, pd));
  if (n->out->wants_grad && n->in[1]->wants_grad) TRY(prepare_weights(n, cpu, &d, pd));
  n->forward_scratch = s->forward.scratch_bytes;
  n->backward_scratch =
      s->data.scratch_bytes > s->weights.scratch_bytes ? s->data.scratch_bytes : s->weights.scratch_bytes;
out:
  if (pd) dnnl_primitive_desc_destroy(pd);
  return st;
}

static enum status bind(struct node *n, const struct run *run) {
  struct conv_state *s = n->state;
  struct cpu *cpu = run->device;
  enum status st = OK;
  void *x = n->in[0]->data, *w = n->in[1]->data, *dy = n->out->grad;
  TRY(cpu_call_bind(&s->forward, cpu, (void *[]){x, w, n->out->data}, n->scratch_f));
  if (s->data.primitive) TRY(cpu_call_bind(&s->data, cpu, (void *[]){n->in_grad[0], w, dy}, n->scratch_b));
  if (s->weights.primitive)
    TRY(cpu_call_bind(&s->weights, cpu, (void *[]){x, n->in_grad[1], dy}, n->scratch_b));
out:
  return st;
}

static enum status forward(struct node *n, const struct run *run) {
  struct conv_state *s = n->state;
  return cpu_call_run(&s->forward, run->device);
}

static enum status backward(struct node *n, const struct run *run) {
  struct conv_state *s = n->state;
  enum status st = s->data.primitive ? cpu_call_run(&s->data, run->device) : OK;
  return st == OK && s->weights.primitive ? cpu_call_run(&s->weights, run->device) : st;
}

static void release(struct node *n) {
  struct conv_state *s = n->state;
  if (!s) return;
  cpu_call_free(&s->forward);
  cpu_call_free(&s->data);
  cpu_call_free(&s->weights);
  free(s);
}

const struct kernel kernel_conv2d_cpu = {.op = "conv2d",
                                         .backend = "cpu",
                                         .prepare = prepare,
                                         .bind = bind,
                                         .forward = forward,
                                         .backward = backward,
                                         .release = release};
