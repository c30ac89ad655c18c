#include "options.h"

#include <math.h>
#include <string.h>

#include "method.h"

const char *const term_names[N_TERMS] = {"inv", "equi", "trans"};

#define AT(member) offsetof(struct method_options, member)
const struct opt method_opts[] = {
    {"method", OPT_STR, AT(method), "stl",
     "what is learnt beside the base loss, or a base's name: that base alone", .names = method_name_at},
    {"base", OPT_STR, AT(base), NULL, "base loss; without it simclr", .names = base_name_at},
    {"projector", OPT_STR, AT(projector), "auto",
     "layer widths of the invariance and equivariance projectors; auto: the base's"},
    {"predictor", OPT_STR, AT(predictor), "auto",
     "layer widths of the predictors, where the base has them; auto: the base's"},
    {"trans-backbone", OPT_STR, AT(trans_backbone), "512-512-128",
     "layer widths of the transformation backbone f_T"},
    {"trans-projector", OPT_STR, AT(trans_projector), "auto",
     "layer widths of the transformation projector; auto: the base's"},
    {"temperature", OPT_FLOAT, AT(temperature), "0.2", "temperature of InfoNCE"},
    {"inv", OPT_FLOAT, AT(weight[TERM_INV]), "auto",
     "weight of the invariance term; 0 leaves it out; auto: the method's, 1"},
    {"equi", OPT_FLOAT, AT(weight[TERM_EQUI]), "auto",
     "weight of the equivariance or auxiliary term; 0 leaves it out; auto: the method's, 1 (essl, augself: "
     "0.5)"},
    {"trans", OPT_FLOAT, AT(weight[TERM_TRANS]), "auto",
     "weight of the transformation term; 0 leaves it out; auto: the method's, 0.2"},
    {"labels", OPT_STR, AT(labels), "crop,color",
     "what methods with labels know of a transformation: crop, color, blur, flip, gray"},
    {"bases", OPT_TABLE, AT(base_own), .tables = base_opts_at, .stride = sizeof(struct own_options)},
    {"methods", OPT_TABLE, AT(method_own), .tables = method_opts_at, .stride = sizeof(struct own_options)},
    {0}};
#undef AT

#define AT(member) offsetof(struct optimiser_options, member)
const struct opt optimiser_opts[] = {
    {"optimizer", OPT_STR, AT(name), "sgd", "what moves the weights", .names = optimiser_name_at},
    {"lr", OPT_FLOAT, AT(lr), "0.03", "learning rate, before the schedule"},
    {"momentum", OPT_FLOAT, AT(momentum), "0.9", "momentum of sgd and lars"},
    {"weight-decay", OPT_FLOAT, AT(weight_decay), "5e-4",
     "weight decay, on every parameter; under lars on weights alone"},
    {"decay-bn", OPT_BOOL, AT(decay_bn), "true",
     "weight decay on BatchNorm's parameters and biases, too; --no-decay-bn: on weights alone"},
    {"optimizers", OPT_TABLE, AT(own), .tables = optimiser_opts_at, .stride = sizeof(struct optimiser_own)},
    {0}};
#undef AT

enum status method_options_check(const struct method_options *o) {
  double sum = 0;
  for (int i = 0; i < N_TERMS; i++) {
    if (o->weight[i] < 0) return fail(E_ARG, "--%s: a loss weight cannot be negative", term_names[i]);
    sum += isnan(o->weight[i]) ? 1 : o->weight[i];
  }
  if (!(sum > 0)) return fail(E_ARG, "--inv, --equi and --trans are all 0: there is nothing to learn");
  if (!(o->temperature > 0)) return fail(E_ARG, "--temperature: %g is not above 0", o->temperature);
  return OK;
}

enum status optimiser_options_check(const struct optimiser_options *o) {
  if (!(o->lr > 0)) return fail(E_ARG, "--lr: %g is not above 0", o->lr);
  if (!(o->momentum >= 0 && o->momentum < 1))
    return fail(E_ARG, "--momentum: %g is not from 0 to below 1", o->momentum);
  if (!(o->weight_decay >= 0)) return fail(E_ARG, "--weight-decay: %g is negative", o->weight_decay);
  const struct optimiser *rule;
  enum status st = optimiser_find(&rule, o->name ? o->name : "sgd");
  return st == OK && rule->check ? rule->check(o->own[optimiser_place(rule)].bytes) : st;
}
