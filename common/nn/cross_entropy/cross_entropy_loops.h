/* cross_entropy in plain loops over REAL, the backend's number: included by cross_entropy_cpu.c (float) and
 * cross_entropy_ref.c (double). */
#include <math.h>

#include "nn/engine.h"

static enum status prepare(struct node *node, const struct run *run) {
  (void)run;
  node->keep_in = 1;
  return OK;
}

/* The largest of a row, and the sum of exp(x - largest). */
static double exp_sum(const REAL *x, int64_t n, double *largest) {
  double sum = 0;
  *largest = x[0];
  for (int64_t c = 1; c < n; c++) *largest = fmax(*largest, x[c]);
  for (int64_t c = 0; c < n; c++) sum += exp(x[c] - *largest);
  return sum;
}

static enum status forward(struct node *node, const struct run *run) {
  (void)run;
  const int32_t *classes = node->attr;
  int64_t rows = node->in[0]->shape.dim[0], n = node->in[0]->shape.dim[1];
  double loss = 0, largest;
  for (int64_t i = 0; i < rows; i++) {
    const REAL *x = (const REAL *)node->in[0]->data + i * n;
    const double sum = exp_sum(x, n, &largest);
    // cppcheck-suppress invalidFunctionArg ; the largest term is 1
    loss += log(sum) + largest - x[classes[i]];
  }
  *(REAL *)node->out->data = (REAL)(loss / (double)rows);
  return OK;
}

static enum status backward(struct node *node, const struct run *run) {
  (void)run;
  const int32_t *classes = node->attr;
  int64_t rows = node->in[0]->shape.dim[0], n = node->in[0]->shape.dim[1];
  const double scale = *(const REAL *)node->out->grad / (double)rows;
  for (int64_t i = 0; i < rows; i++) {
    const REAL *x = (const REAL *)node->in[0]->data + i * n;
    REAL *dx = (REAL *)node->in_grad[0] + i * n;
    double largest, sum = exp_sum(x, n, &largest);
    for (int64_t c = 0; c < n; c++) dx[c] = (REAL)(scale * (exp(x[c] - largest) / sum - (c == classes[i])));
  }
  return OK;
}
