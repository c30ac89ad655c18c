/* Three products by cuBLASLt, the bias added in the first. */
#include <stdlib.h>

#include "nn/cuda/cuda.h"
#include "nn/cuda/matmul.h"

enum { X, W, BIAS };

struct linear_state {
  struct matmul *forward, *data, *weights; /* the backward ones: NULL when not wanted */
  enum element factor;
};

static enum number number_in(const struct tensor *t) {
  return t->layout.element == ELEMENT_BF16 ? NUMBER_BF16 : NUMBER_F32;
}

static enum status open_products(struct node *n, struct cuda *cuda) {
  struct linear_state *s = n->state;
  const int64_t rows = n->out->shape.dim[0], out = n->out->shape.dim[1], in = n->in[X]->shape.dim[1];
  enum status st = OK;
  TRY(matmul_open(&s->forward, cuda->blas,
                  &(struct matmul_shape){.rows = rows,
                                         .columns = out,
                                         .inner = in,
                                         .b_transposed = true,
                                         .in = number_of(cuda->precision),
                                         .out = number_in(n->out),
                                         .bias = n->n_in > BIAS}));
  if (node_differentiates(n, X)) {
    TRY(matmul_open(&s->data, cuda->blas,
                    &(struct matmul_shape){.rows = rows,
                                           .columns = in,
                                           .inner = out,
                                           .in = number_of(cuda->precision),
                                           .out = number_in(n->in[X])}));
  }
  if (node_differentiates(n, W)) {
    TRY(matmul_open(&s->weights, cuda->blas,
                    &(struct matmul_shape){.rows = out,
                                           .columns = in,
                                           .inner = rows,
                                           .a_transposed = true,
                                           .in = number_of(cuda->precision),
                                           .out = number_in(n->in[W])}));
  }
out:
  return st;
}

static size_t workspace(const struct matmul *product) { return product ? matmul_workspace(product) : 0; }

static enum status prepare(struct node *n, const struct run *run) {
  struct cuda *cuda = run->device;
  struct linear_state *s = calloc(1, sizeof *s);
  enum status st = OK;
  if (!s) return fail(E_MEMORY, "out of memory for a linear layer");
  n->state = s;
  n->out->layout.element = s->factor = cuda_factor(cuda);
  TRY(cuda_want_factors(cuda, n));
  TRY(cuda_need_blas(cuda));
  TRY(open_products(n, cuda));
  n->keep_in = (s->weights ? 1 << X : 0) | (s->data ? 1 << W : 0);
  n->forward_scratch = workspace(s->forward);
  n->backward_scratch =
      workspace(s->data) > workspace(s->weights) ? workspace(s->data) : workspace(s->weights);
out:
  return st;
}

static enum status forward(struct node *n, const struct run *run) {
  const struct linear_state *s = n->state;
  struct cuda *cuda = run->device;
  const struct matmul_call call = {.a = cuda_factor_at(n->in[X]),
                                   .b = cuda_factor_at(n->in[W]),
                                   .bias = n->n_in > BIAS ? cuda_factor_at(n->in[BIAS]) : NULL,
                                   .c = n->out->data,
                                   .workspace = n->scratch_f};
  enum status st = OK;
  TRY(cuda_make_factors(cuda, n));
  TRY(matmul_run(s->forward, cuda->stream, &call));
out:
  return st;
}

/* Of x or w: the gradient of y times the other one. */
static enum status backward_product(const struct node *n, struct cuda *cuda, int of) {
  const struct linear_state *s = n->state;
  const struct matmul_call call = {.a = n->out->grad,
                                   .b = cuda_factor_at(n->in[of == X ? W : X]),
                                   .c = n->in_grad[of],
                                   .workspace = n->scratch_b,
                                   .accumulate = n->accumulate[of]};
  return matmul_run(of == X ? s->data : s->weights, cuda->stream, &call);
}

static enum status backward(struct node *n, const struct run *run) {
  struct cuda *cuda = run->device;
  const struct tensor *y = n->out;
  enum status st = OK;
  if (n->in_grad[X]) TRY(backward_product(n, cuda, X));
  if (n->in_grad[W]) TRY(backward_product(n, cuda, W));
  if (n->n_in > BIAS && n->in_grad[BIAS]) {
    TRY(cuda_column_sums(cuda, n->in_grad[BIAS], y->grad, y->layout.element, y->shape.dim[0], y->shape.dim[1],
                         n->accumulate[BIAS]));
  }
out:
  return st;
}

static void release(struct node *n) {
  struct linear_state *s = n->state;
  if (!s) return;
  matmul_close(&s->weights);
  matmul_close(&s->data);
  matmul_close(&s->forward);
  free(s);
}

const struct kernel kernel_linear_cuda = {.op = "linear",
                                          .backend = "cuda",
                                          .accumulates = true,
                                          .prepare = prepare,
                                          .forward = forward,
                                          .backward = backward,
                                          .release = release};
