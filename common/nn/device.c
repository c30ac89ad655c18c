#include "nn/device.h"

#include <sched.h>
#include <string.h>

static const char precisions[] = "f32|tf32|bf16"; /* as in enum precision */

#define AT(member) offsetof(struct device_options, member)
const struct opt device_opts[] = {
    {"device", OPT_STR, AT(device), "cpu",
     "ref (float64), cpu, or cuda[:N]; describe also takes a GPU that is not there: cuda:h200 or cuda:a100"},
    {"threads", OPT_INT, AT(threads), "0", "threads on the CPU; 0: all cores"},
    {"precision", OPT_STR, AT(precision), "f32",
     "of activations and products on cuda: float32; products of tf32; or bfloat16, with parameters, "
     "statistics "
     "and losses in float32",
     precisions},
    {"deterministic", OPT_BOOL, AT(deterministic), NULL,
     "the same bytes in every run on the same GPU, at some cost; ref and cpu always give them"},
    {"tune", OPT_BOOL, AT(tune), NULL,
     "on cuda: try several algorithms for every convolution before the first step and keep the fastest; "
     "bytes "
     "then differ from run to run"},
    {0}};
#undef AT

enum status device_options_check(const struct device_options *o) {
  enum { MAX_THREADS = 1024 };
  if (o->threads < 0 || o->threads > MAX_THREADS)
    return fail(E_ARG, "--threads: %lld is not from 0 to %d", (long long)o->threads, MAX_THREADS);
  if (device_precision(o) != PRECISION_F32 && strncmp(o->device, "cuda", 4) != 0)
    return fail(E_ARG,
                "--precision %s: only --device cuda has the choice; ref computes in float64, cpu in float32",
                o->precision);
  if (o->tune && strncmp(o->device, "cuda", 4) != 0)
    return fail(E_ARG, "--tune: only --device cuda has algorithms to choose from");
  if (o->tune && o->deterministic)
    return fail(E_ARG,
                "--tune chooses by the clock, --deterministic does not allow that; leave one of them out");
  return OK;
}

enum status device_options_resolve(struct device_options *o) {
  enum status st = device_options_check(o);
  if (st != OK) return st;
  cpu_set_t cores;
  if (!o->threads) o->threads = sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 1;
  return OK;
}

/* The place of the name in the list; the command line takes no other. */
enum precision device_precision(const struct device_options *o) {
  int place = 0;
  const char *name = o->precision ? o->precision : "f32";
  for (const char *at = precisions; strncmp(at, name, strlen(name)) != 0; place++) at = strchr(at, '|') + 1;
  return (enum precision)place;
}

enum plans device_plans(const struct device_options *o) {
  return o->tune ? PLANS_MEASURED : o->deterministic ? PLANS_DETERMINISTIC : PLANS_SUGGESTED;
}

const char *device_plans_name(const struct device_options *o) {
  static const char *const names[] = {[PLANS_SUGGESTED] = "suggested",
                                      [PLANS_DETERMINISTIC] = "deterministic",
                                      [PLANS_MEASURED] = "measured"};
  return names[device_plans(o)];
}
