/* The transformation function phi(t, r) of STL with a linear hypernetwork H: the weights that H generates
 * from t, applied to r, without ever generating them: they are linear in t.
 *
 *   out[b,o] = sum_k t[b,k] sum_i W[k,o,i] r[b,i],   W[k,o,i] = H[o*D+i, k]
 *
 * w (the matrix H) [D*D,K], t [B,K], r [B,D] -> out [B,D]. Differentiable in all three. Errors: E_SHAPE. */
#ifndef NN_HYPER_BILINEAR_H
#define NN_HYPER_BILINEAR_H

#include "nn/graph.h"

struct value hyper_bilinear(struct graph *g, struct value w, struct value t, struct value r);

/* Order of the node's inputs. */
enum { HYPER_W, HYPER_T, HYPER_R };

#endif
