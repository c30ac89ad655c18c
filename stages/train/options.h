/* What training and replaying have in common on the command line. */
#ifndef TRAIN_OPTIONS_H
#define TRAIN_OPTIONS_H

#include "base/cli.h"
#include "model/model.h"
#include "nn/device.h"
#include "nn/optimiser.h"

/* The loss has up to three terms (STL eq. 9); a base alone has the first. */
enum term { TERM_INV, TERM_EQUI, TERM_TRANS, N_TERMS };
extern const char *const term_names[N_TERMS];

/* Room for the flags that a base or a method declares by itself. */
enum { OWN_OPTIONS_SIZE = 64, MAX_BASES = 16, MAX_METHODS = 32 };
struct own_options {
  _Alignas(8) unsigned char bytes[OWN_OPTIONS_SIZE];
};

/* "auto", in numbers NaN, in texts also NULL: as method and base have it (method_resolve). */
struct method_options {
  const char *method, *base; /* base NULL: simclr, or the base that `method` names */
  const char *projector, *trans_backbone, *trans_projector; /* width lists */
  double temperature, weight[N_TERMS];
  const char *predictor;
  const char *labels; /* a list for labels_parse; NULL: crop and colour */
  struct own_options base_own[MAX_BASES], method_own[MAX_METHODS]; /* by place in the registry */
};

struct optimiser_options {
  double lr, momentum, weight_decay;
  bool decay_bn;                            /* weight decay on parameters of one dimension, too */
  const char *name;                         /* NULL: sgd */
  struct optimiser_own own[MAX_OPTIMISERS]; /* by place in the registry */
};

extern const struct opt method_opts[], optimiser_opts[]; /* each for an OPT_TABLE */

/* Range checks that need nothing but the options. E_ARG. */
enum status method_options_check(const struct method_options *o);
enum status optimiser_options_check(const struct optimiser_options *o);

#endif
