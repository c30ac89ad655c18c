/* What every command does with the options of a training run before it trains, describes or times it. */
#include "run.h"

#include <inttypes.h>

static enum status open_policy(struct run *run) {
  const struct train_options *o = run->o;
  if (o->size > 1 << 14) return fail(E_ARG, "--size: %" PRId64 " pixels are more than %d", o->size, 1 << 14);
  enum status st = policy_load(&run->policy, o->policy, (int32_t)o->size);
  if (st != OK) return st;
  int n_views = policy_views(run->policy);
  run->size = policy_view_size(run->policy, 0);
  run->third_size = n_views > THIRD ? policy_view_size(run->policy, THIRD) : 0;
  if (n_views < N_VIEWS || n_views > THIRD + 1 || policy_view_size(run->policy, 1) != run->size)
    return fail(E_ARG, "--policy %s: training takes %d views of one size, for some methods a third of any",
                o->policy, N_VIEWS);
  return OK;
}

enum status run_resolve(struct run *run) {
  struct train_options *o = run->o;
  enum status st = OK;
  TRY(train_options_check(o));
  TRY(method_resolve(&o->method));
  TRY(device_options_resolve(&o->device));
  if (o->weights) TRY(safetensors_open(&run->weights, o->weights));
  TRY(model_resolve(&o->model, run->weights));
  TRY(open_policy(run));
out:
  return st;
}

/* Whether the policy gives what the method takes beside the two views, and no more. */
static enum status fit_policy(struct run *run) {
  const struct step *s = run->step;
  enum status st = OK;
  if (run->third_size && !s->third.id)
    return fail(E_ARG, "--policy %s: method %s has no use for a third view", run->o->policy, s->method->name);
  for (int v = 0; v < N_VIEWS && s->labels.id; v++) {
    const char *const *names;
    size_t n = policy_params(run->policy, v, &names);
    TRY(label_map_make(&run->labels[v], names, n, s->label_kinds));
  }
out:
  return st;
}

enum status run_open_step(struct run *run, bool plan_only) {
  const struct train_options *o = run->o;
  enum status st = step_open(&run->step, &(struct step_config){.model = &o->model,
                                                               .method = &o->method,
                                                               .batch = o->batch,
                                                               .height = run->size,
                                                               .width = run->size,
                                                               .device = o->device.device,
                                                               .threads = (int)o->device.threads,
                                                               .third_height = run->third_size,
                                                               .third_width = run->third_size,
                                                               .plan_only = plan_only,
                                                               .precision = device_precision(&o->device),
                                                               .plans = device_plans(&o->device)});
  return st == OK ? fit_policy(run) : st;
}
