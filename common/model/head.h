/* Heads on the backbone's features: multi-layer perceptrons (projectors, f_T) and the bilinear hypernetwork
 * phi.
 *
 * A module's name ends in _projector, _predictor, _backbone, _transform or _head: by that a weights file's
 * unused modules are told from mistakes (weights.h). */
#ifndef MODEL_HEAD_H
#define MODEL_HEAD_H

#include "model/model.h"

enum { MAX_WIDTHS = 8 };

/* A width list such as 512-128: one Linear per number, the input width left out. */
struct widths {
  int n;
  int64_t width[MAX_WIDTHS];
};

/* `flag` names the source in messages. E_ARG. */
enum status widths_parse(struct widths *out, const char *text, const char *flag);

/* Appends a layer; false if there is no room. */
bool widths_add(struct widths *widths, int64_t width);

/* [Linear, BatchNorm, ReLU] x (n-1), Linear; no biases. x [N, I] -> [N, width[n-1]]. Linear k is
 * NAME.{3k}.weight, its BatchNorm NAME.{3k+1}.*. `groups`: the rows are that many consecutive BatchNorm
 * calls. Weights U(+-1/sqrt(fan-in)). */
struct value mlp(struct model *model, const char *name, const struct widths *widths, struct value x,
                 int groups);

/* The same with a bias in the last Linear, NAME.{3(n-1)}.bias, from U(+-1/sqrt(fan-in)). */
struct value mlp_last_bias(struct model *model, const char *name, const struct widths *widths, struct value x,
                           int groups);

/* The same with a BatchNorm after the last Linear, NAME.{3(n-1)+1}.*. */
struct value mlp_last_norm(struct model *model, const char *name, const struct widths *widths, struct value x,
                           int groups);

/* [Linear, LayerNorm, ReLU] x (n-1), Linear; a bias in every Linear. Names as above. */
struct value mlp_layer_norm(struct model *model, const char *name, const struct widths *widths,
                            struct value x);

/* phi (STL section 3): out[b, o] = sum_k t[b, k] sum_i H[o*D + i, k] r[b, i], with H = NAME.hypernet.weight
 * [D*D, K], from U(+-1/sqrt(K)). t [B, K] transformation representations, r [B, D] features -> [B, D]. */
struct value hypernetwork(struct model *model, const char *name, struct value t, struct value r);

#endif
