#include <string.h>

#include "nn/conv2d/conv2d.h"
#include "nn/engine.h"

struct dims {
  int64_t n, c, h, w, o, k, p, q, stride, pad;
};

static struct dims dims_of(const struct node *node) {
  const struct conv2d_attr *a = node->attr;
  const int64_t *x = node->in[0]->shape.dim, *w = node->in[1]->shape.dim, *y = node->out->shape.dim;
  return (struct dims){x[0], x[1], x[2], x[3], w[0], w[2], y[2], y[3], a->stride, a->pad};
}

/* y += x * w for one image plane [H,W], one filter plane [k,k] and one output plane [P,Q]; or, from dy, the
 * gradients of that sum. NULL: not wanted. */
struct planes {
  const double *x, *w, *dy;
  double *y, *dx, *dw;
};

static void convolve_plane(const struct dims *d, struct planes a) {
  for (int64_t p = 0; p < d->p; p++) {
    for (int64_t q = 0; q < d->q; q++) {
      for (int64_t i = 0; i < d->k; i++) {
        for (int64_t j = 0; j < d->k; j++) {
          int64_t h = p * d->stride - d->pad + i, w = q * d->stride - d->pad + j;
          if (h < 0 || h >= d->h || w < 0 || w >= d->w) continue;
          if (a.y) a.y[p * d->q + q] += a.x[h * d->w + w] * a.w[i * d->k + j];
          if (a.dy && a.dx) a.dx[h * d->w + w] += a.dy[p * d->q + q] * a.w[i * d->k + j];
          if (a.dy && a.dw) a.dw[i * d->k + j] += a.dy[p * d->q + q] * a.x[h * d->w + w];
        }
      }
    }
  }
}

static double *plane(double *base, int64_t index, int64_t area) { return base ? base + index * area : NULL; }

/* y, or dx and dw from dy; NULL: not wanted. */
static void each_plane(struct node *node, double *y, double *dy, double *dx, double *dw) {
  struct dims d = dims_of(node);
  const double *x = node->in[0]->data, *w = node->in[1]->data;
  for (int64_t n = 0; n < d.n; n++) {
    for (int64_t oc = 0; oc < d.o * d.c; oc++) {
      int64_t in = n * d.c + oc % d.c, out = n * d.o + oc / d.c;
      convolve_plane(&d, (struct planes){.x = x + in * d.h * d.w,
                                         .w = w + oc * d.k * d.k,
                                         .dy = plane(dy, out, d.p * d.q),
                                         .y = plane(y, out, d.p * d.q),
                                         .dx = plane(dx, in, d.h * d.w),
                                         .dw = plane(dw, oc, d.k * d.k)});
    }
  }
}

static enum status prepare(struct node *node, const struct run *run) {
  (void)run;
  node->keep_in = 1 | 2;
  return OK;
}

static enum status forward(struct node *node, const struct run *run) {
  (void)run;
  memset(node->out->data, 0, node->out->bytes);
  each_plane(node, node->out->data, NULL, NULL, NULL);
  return OK;
}

static enum status backward(struct node *node, const struct run *run) {
  (void)run;
  for (int i = 0; i < 2; i++) {
    if (node->in_grad[i]) memset(node->in_grad[i], 0, node->in[i]->bytes);
  }
  each_plane(node, NULL, node->out->grad, node->in_grad[0], node->in_grad[1]);
  return OK;
}

const struct kernel kernel_conv2d_ref = {
    .op = "conv2d", .backend = "ref", .prepare = prepare, .forward = forward, .backward = backward};
