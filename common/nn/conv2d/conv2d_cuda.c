/* Convolutions by cuDNN. It multiplies numbers of one type with channels in eights, in and out: weights with another number of
 * outputs are multiplied in a form with rows of zeros behind. */
#include <stdlib.h>

#include "base/log.h"
#include "nn/conv2d/conv2d.h"
#include "nn/cuda/cuda.h"
#include "nn/cuda/dnn.h"

struct conv_state {
  struct dnn_conv *forward, *data, *weights; /* the backward ones: NULL when not wanted */
  struct dnn_conv *add_to_data; /* where x's gradient meets others; NULL: not wanted, or no plan */
  enum element factor;
  bool apart_x, apart_w;            /* a gradient is computed in scratch: in another form, or to be added */
  int64_t x_count, w_count, w_room; /* numbers; room: with rows of zeros for outputs that pad y */
  size_t x_bytes, w_bytes;          /* of gradients in scratch */
  size_t workspace;                 /* of all backward plans */
};

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }
static void *at(void *base, size_t offset) { return (char *)base + offset; }

static struct dnn_conv_shape shape_of(const struct node *n, enum precision precision) {
  const struct conv2d_attr *a = n->attr;
  const struct tensor *x = n->in[0];
  return (struct dnn_conv_shape){.n = x->shape.dim[0],
                                 .c = x->layout.block,
                                 .h = x->shape.dim[2],
                                 .w = x->shape.dim[3],
                                 .o = n->out->layout.block,
                                 .k = n->in[1]->shape.dim[2],
                                 .stride = a->stride,
                                 .pad = a->pad,
                                 .precision = precision};
}

static enum status want_forms(struct node *n, struct cuda *cuda, const struct dnn_conv_shape *shape) {
  struct conv_state *s = n->state;
  struct tensor *x = n->in[0], *w = n->in[1];
  s->x_count = cuda_count(&x->shape, x->layout);
  s->w_count = cuda_count(&w->shape, w->layout);
  s->w_room = shape->o * shape->k * shape->k * shape->c;
  enum status st = cuda_want_form(cuda, x, s->factor, s->x_count);
  return st == OK ? cuda_want_form(cuda, w, s->factor, s->w_room) : st;
}

static size_t workspace(const struct dnn_conv *conv) { return conv ? dnn_conv_workspace(conv) : 0; }

/* Where the gradient of w is computed, if not where it belongs: with all others' until the pass is over, or apart. */
static enum status plan_w_gradient(struct node *n, struct cuda *cuda) {
  struct conv_state *s = n->state;
  struct tensor *w = n->in[1];
  const bool shared = w->gradients > 1, other_form = w->data_twin.bytes != 0,
             parameter = w->role == TENSOR_PARAM;
  s->apart_w = shared || (other_form && !parameter);
  return s->weights && other_form && !s->apart_w ? cuda_want_grad_form(cuda, w, s->factor, s->w_room) : OK;
}

/* After the plans: memory, and what backward reads. */
static void plan_memory(struct node *n) {
  struct conv_state *s = n->state;
  const size_t number = cuda_element_bytes(s->factor), x_bytes = cuda_whole((size_t)s->x_count * number),
               w_bytes = cuda_whole((size_t)s->w_room * number);
  s->apart_x = n->in[0]->data_twin.bytes || (n->in[0]->gradients > 1 && !s->add_to_data);
  s->x_bytes = s->apart_x ? x_bytes : 0;
  s->w_bytes = s->apart_w ? w_bytes : 0;
  s->workspace = larger(workspace(s->weights), larger(workspace(s->data), workspace(s->add_to_data)));
  n->forward_scratch = workspace(s->forward);
  n->backward_scratch = s->x_bytes + s->w_bytes + s->workspace;
  n->keep_in = (s->weights ? 1 : 0) | (s->data ? 2 : 0);
}

static enum status prepare(struct node *n, const struct run *run) {
  struct cuda *cuda = run->device;
  struct conv_state *s = calloc(1, sizeof *s);
  enum status st = OK;
  if (!s) return fail(E_MEMORY, "out of memory for a convolution");
  n->state = s;
  n->out->layout.element = s->factor = cuda_factor(cuda);
  const struct dnn_conv_shape shape = shape_of(n, cuda->precision);
  TRY(want_forms(n, cuda, &shape));
  TRY(cuda_need_dnn(cuda));
  TRY(dnn_conv_open(&s->forward, cuda->dnn, &shape, DNN_FORWARD));
  if (node_differentiates(n, 0)) TRY(dnn_conv_open(&s->data, cuda->dnn, &shape, DNN_BACKWARD_DATA));
  if (s->data && n->in[0]->gradients > 1 && !n->in[0]->data_twin.bytes &&
      dnn_conv_open(&s->add_to_data, cuda->dnn, &shape, DNN_ADD_TO_DATA) != OK)
    log_debug("%s; added by a kernel of its own", fail_message());
  if (node_differentiates(n, 1)) TRY(dnn_conv_open(&s->weights, cuda->dnn, &shape, DNN_BACKWARD_WEIGHTS));
  TRY(plan_w_gradient(n, cuda));
  plan_memory(n);
out:
  return st;
}

/* --- Running --- */

static enum status forward(struct node *n, const struct run *run) {
  const struct conv_state *s = n->state;
  struct cuda *cuda = run->device;
  enum status st = cuda_make_factors(cuda, n);
  if (st != OK) return st;
  return dnn_conv_run(s->forward, cuda->stream, cuda_factor_at(n->in[0]), cuda_factor_at(n->in[1]),
                      n->out->data, n->scratch_f);
}

/* Of the backward pass. */
static void *workspace_at(const struct node *n) {
  const struct conv_state *s = n->state;
  return at(n->scratch_b, s->x_bytes + s->w_bytes);
}

static void *w_gradient_at(const struct node *n) {
  const struct conv_state *s = n->state;
  if (s->apart_w) return at(n->scratch_b, s->x_bytes);
  return n->in[1]->grad_twin.bytes ? n->in[1]->grad_twin.at : n->in_grad[1];
}

static enum status backward_weights(const struct node *n, struct cuda *cuda) {
  const struct conv_state *s = n->state;
  void *dw = w_gradient_at(n);
  enum status st = OK;
  TRY(dnn_conv_run(s->weights, cuda->stream, cuda_factor_at(n->in[0]), dw, n->out->grad, workspace_at(n)));
  if (s->apart_w)
    TRY(cuda_convert(cuda, n->in_grad[1], n->in[1]->layout.element, dw, s->factor, s->w_count, s->w_count,
                     n->accumulate[1]));
out:
  return st;
}

static struct dnn_conv *by_data(const struct node *n) {
  const struct conv_state *s = n->state;
  return n->accumulate[0] && !s->apart_x ? s->add_to_data : s->data;
}

static void *x_gradient_at(const struct node *n) {
  const struct conv_state *s = n->state;
  return s->apart_x ? n->scratch_b : n->in_grad[0];
}

static enum status backward_data(const struct node *n, struct cuda *cuda) {
  const struct conv_state *s = n->state;
  void *dx = x_gradient_at(n);
  enum status st =
      dnn_conv_run(by_data(n), cuda->stream, dx, cuda_factor_at(n->in[1]), n->out->grad, workspace_at(n));
  if (st != OK || !s->apart_x) return st;
  return cuda_convert(cuda, n->in_grad[0], n->in[0]->layout.element, dx, s->factor, s->x_count, s->x_count,
                      n->accumulate[0]);
}

static enum status backward(struct node *n, const struct run *run) {
  enum status st = OK;
  if (n->in_grad[1]) TRY(backward_weights(n, run->device));
  if (n->in_grad[0]) TRY(backward_data(n, run->device));
out:
  return st;
}

/* With PLANS_MEASURED, on the memory of the steps to come. */
static enum status bind(struct node *n, const struct run *run) {
  const struct conv_state *s = n->state;
  const struct cuda *cuda = run->device;
  void *x = cuda_factor_at(n->in[0]), *w = cuda_factor_at(n->in[1]), *y_grad = n->out->grad;
  enum status st = OK;
  if (cuda->plans != PLANS_MEASURED) return OK;
  TRY(dnn_conv_measure(s->forward, cuda->stream, x, w, n->out->data, n->scratch_f));
  if (n->in_grad[1])
    TRY(dnn_conv_measure(s->weights, cuda->stream, x, w_gradient_at(n), y_grad, workspace_at(n)));
  if (n->in_grad[0])
    TRY(dnn_conv_measure(by_data(n), cuda->stream, x_gradient_at(n), w, y_grad, workspace_at(n)));
out:
  return st;
}

static void release(struct node *n) {
  struct conv_state *s = n->state;
  if (!s) return;
  dnn_conv_close(&s->weights);
  dnn_conv_close(&s->add_to_data);
  dnn_conv_close(&s->data);
  dnn_conv_close(&s->forward);
  free(s);
}

const struct kernel kernel_conv2d_cuda = {.op = "conv2d",
                                          .backend = "cuda",
                                          .accumulates = true,
                                          .prepare = prepare,
                                          .bind = bind,
                                          .forward = forward,
                                          .backward = backward,
                                          .release = release};
