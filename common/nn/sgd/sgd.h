/* Stochastic gradient descent with momentum and weight decay, for every parameter that the loss reaches.
 *
 *   v <- momentum v + (g + weight_decay theta);  theta <- theta - lr v     (v starts at 0; PyTorch's form)
 *
 * One pass over parameters, gradients and v. Parameters may follow learning rates of their own and be exempt
 * from decay; neighbours in memory that are treated alike are updated together. The momentum buffers v are
 * the optimiser's whole state; a checkpoint holds them under the parameters' names. */
#ifndef NN_SGD_H
#define NN_SGD_H

#include "nn/graph.h"

struct sgd;

struct sgd_config {
  double momentum, weight_decay;
  bool decay_matrices_only;         /* no decay of parameters with one dimension: BatchNorm's, biases */
  int (*rate_of)(const char *name); /* which of sgd_step's rates a parameter follows; NULL: all the first */
};

/* After graph_plan; the graph must outlive it. Errors: E_MEMORY, E_DEVICE (no kernel for the backend). */
enum status sgd_open(struct sgd **out, struct graph *g, struct sgd_config config);
void sgd_close(struct sgd **o);

/* One update with the gradients of the last graph_backward, at the given learning rates. */
enum status sgd_step(struct sgd *o, const double *rates);

/* Whether the loss reaches the parameter, so that it has a momentum buffer. */
bool sgd_holds(const struct sgd *o, struct value param);

/* The momentum buffer of a parameter in its logical order. Errors: E_ARG (no such parameter), E_SHAPE
 * (count). */
enum status sgd_read_f32(const struct sgd *o, struct value param, float *v, int64_t count);
enum status sgd_write_f32(struct sgd *o, struct value param, const float *v, int64_t count);
enum status sgd_read_f64(const struct sgd *o, struct value param, double *v, int64_t count);
enum status sgd_write_f64(struct sgd *o, struct value param, const double *v, int64_t count);

#endif
