/* The protocol of the paper's Table 1: views that lie on the device, steps to warm up, then steps that are
 * timed: forward and backward pass, and apart from them the update of the parameters.
 *
 * Two methods can be compared in one run. They then take turns, round by round, so that whatever else the
 * machine does meets both; only one at a time is in memory. */
#include "cost.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/progress.h"
#include "base/version.h"
#include "trial.h"

struct cost_options {
  struct model_options model;
  struct method_options method;
  struct optimiser_options optimiser;
  struct device_options device;
  const char *against, *result;
  int64_t size, third_size, batch, warmup, steps, rounds;
};

#define AT(member) offsetof(struct cost_options, member)
static const struct opt cost_opts[] = {
    {"against", OPT_STR, AT(against), NULL,
     "a method or base to compare with: both are measured in turns, and the ratios are to this one",
     .names = method_name_at},
    {"result", OPT_STR, AT(result), NULL, "where to write the result as JSON"},
    {"size", OPT_INT, AT(size), "96", "side of the views in pixels"},
    {"third-size", OPT_INT, AT(third_size), "0",
     "side of the third view in pixels, which only essl has; 0: half a view's"},
    {"batch", OPT_INT, AT(batch), "256", "images per step, two views each; even, at least 4"},
    {"warmup", OPT_INT, AT(warmup), "1000", "steps of a round that are not timed"},
    {"steps", OPT_INT, AT(steps), "1000", "steps of a round that are timed"},
    {"rounds", OPT_INT, AT(rounds), "1", "rounds; each starts afresh, with every method in turn"},
    {"method", OPT_TABLE, AT(method), .sub = method_opts},
    {"model", OPT_TABLE, AT(model), .sub = model_opts},
    {"optimiser", OPT_TABLE, AT(optimiser), .sub = optimiser_opts},
    {"device", OPT_TABLE, AT(device), .sub = device_opts},
    {0}};
#undef AT

enum { MAX_SUBJECTS = 2, MOST_STEPS = 1000000, NAME_SIZE = 64 };

/* Sorted once all rounds are over. */
struct series {
  double *seconds;
  int64_t n;
};

/* One method that is measured. */
struct subject {
  struct method_options method;
  struct trial_work work;
  size_t arena_bytes, param_bytes;
  struct series forward_backward, update, step;
};

struct cost_run {
  struct cost_options *o;
  struct roofline roofline;
  struct subject subjects[MAX_SUBJECTS]; /* the method, and what it is compared with */
  int n;
  struct progress *progress;
  struct atomic_file *file; /* the result's; opened first, so that a wrong path costs no measurement */
  int64_t done;
};

/* --- Options -------------------------------------------------------------------------------------------- */

static enum status check_range(const char *flag, int64_t value, int64_t least, int64_t most) {
  if (value >= least && value <= most) return OK;
  return fail(E_ARG, "--%s: %" PRId64 " is not from %" PRId64 " to %" PRId64, flag, value, least, most);
}

static enum status check_options(struct cost_options *o) {
  enum { MOST_PIXELS = 4096, MOST_IMAGES = 1 << 20 };
  enum status st = OK;
  TRY(method_options_check(&o->method));
  TRY(optimiser_options_check(&o->optimiser));
  TRY(device_options_resolve(&o->device));
  TRY(model_resolve(&o->model, NULL));
  TRY(check_range("size", o->size, 1, MOST_PIXELS));
  TRY(check_range("third-size", o->third_size, 0, MOST_PIXELS));
  TRY(check_range("batch", o->batch, 4, MOST_IMAGES));
  TRY(check_range("warmup", o->warmup, 0, MOST_STEPS));
  TRY(check_range("steps", o->steps, 1, MOST_STEPS));
  TRY(check_range("rounds", o->rounds, 1, MOST_STEPS / o->steps));
  if (!o->third_size) o->third_size = (o->size + 1) / 2;
out:
  return st;
}

static void free_subject(struct subject *s) {
  free(s->forward_backward.seconds);
  free(s->update.seconds);
  free(s->step.seconds);
}

static enum status open_subject(struct cost_run *r, const struct method_options *method) {
  struct subject *s = &r->subjects[r->n++];
  const size_t count = (size_t)(r->o->steps * r->o->rounds);
  s->method = *method;
  s->forward_backward.seconds = malloc(count * sizeof(double));
  s->update.seconds = malloc(count * sizeof(double));
  s->step.seconds = malloc(count * sizeof(double));
  if (!s->forward_backward.seconds || !s->update.seconds || !s->step.seconds)
    return fail(E_MEMORY, "out of memory");
  return method_resolve(&s->method);
}

static enum status open_subjects(struct cost_run *r) {
  struct method_options reference = r->o->method;
  enum status st = OK;
  TRY(open_subject(r, &r->o->method));
  if (!r->o->against) return OK;
  reference.method = r->o->against;
  reference.base = reference.predictor = NULL; /* its own */
  TRY(open_subject(r, &reference));
  const struct method_options *a = &r->subjects[0].method, *b = &r->subjects[1].method;
  if (strcmp(a->method, b->method) == 0 && strcmp(a->base, b->base) == 0) {
    free_subject(&r->subjects[--r->n]); /* it is its own reference */
  }
out:
  return st;
}

/* --- Measuring ------------------------------------------------------------------------------------------ */

/* "stl", "stl on byol", "byol" */
static void name_of(const struct subject *s, char name[NAME_SIZE]) {
  const bool alone = strcmp(s->method.method, "none") == 0, plain = strcmp(s->method.base, "simclr") == 0;
  snprintf(name, NAME_SIZE, "%s%s%s", alone ? s->method.base : s->method.method, alone || plain ? "" : " on ",
           alone || plain ? "" : s->method.base);
}

static void append(struct series *s, double seconds) { s->seconds[s->n++] = seconds; }

/* A step in its two parts; and as training has it, in one, where that is something else: a device that records steps waits for
 * no call in them. */
static enum status time_step(const struct cost_run *r, struct trial *t, struct trial_times *parts,
                             double *step) {
  enum status st = trial_step(t, r->o->optimiser.lr, parts);
  *step = parts->forward_backward_s + parts->update_s;
  if (st != OK || !graph_lag(t->step->graph)) return st;
  const double began = clock_s();
  st = trial_step(t, r->o->optimiser.lr, NULL);
  *step = clock_s() - began;
  return st;
}

static enum status time_steps(struct cost_run *r, struct subject *s, struct trial *t) {
  const struct cost_options *o = r->o;
  char name[NAME_SIZE];
  name_of(s, name);
  for (int64_t i = -o->warmup; i < o->steps; i++) {
    struct trial_times parts;
    double step;
    enum status st = time_step(r, t, &parts, &step);
    if (st != OK) return st;
    progress_set(r->progress, ++r->done, name);
    if (stop_requested()) return fail(E_INTERRUPTED, "stopped");
    if (i < 0) continue;
    append(&s->forward_backward, parts.forward_backward_s);
    append(&s->update, parts.update_s);
    append(&s->step, step);
  }
  return OK;
}

static enum status run_round(struct cost_run *r, struct subject *s) {
  const struct cost_options *o = r->o;
  struct trial t = {0};
  enum status st = OK;
  TRY(trial_open(&t,
                 &(struct step_config){.model = &o->model,
                                       .method = &s->method,
                                       .batch = o->batch,
                                       .height = o->size,
                                       .width = o->size,
                                       .device = o->device.device,
                                       .threads = (int)o->device.threads,
                                       .third_height = o->third_size,
                                       .third_width = o->third_size,
                                       .precision = device_precision(&o->device),
                                       .plans = device_plans(&o->device)},
                 &o->optimiser));
  s->work = trial_work(&t, &r->roofline);
  s->arena_bytes = graph_arena_bytes(t.step->graph);
  s->param_bytes = graph_param_bytes(t.step->graph);
  TRY(time_steps(r, s, &t));
out:
  trial_close(&t);
  return st;
}

static enum status run_rounds(struct cost_run *r) {
  for (int64_t round = 0; round < r->o->rounds; round++) {
    for (int i = 0; i < r->n; i++) {
      enum status st = run_round(r, &r->subjects[i]);
      if (st != OK) return st;
    }
  }
  return OK;
}

/* --- Results -------------------------------------------------------------------------------------------- */

struct summary {
  double median, mean, low, high, least; /* low, high: the quartiles */
};

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Of a sorted series: the value at share q of the way from the first to the last, between two by their distance. */
static double quantile(const struct series *s, double q) {
  const double at = q * (double)(s->n - 1);
  const int64_t i = (int64_t)at, next = i + 1 < s->n ? i + 1 : i;
  return s->seconds[i] + (at - (double)i) * (s->seconds[next] - s->seconds[i]);
}

static struct summary summarise(const struct series *s) {
  double sum = 0;
  qsort(s->seconds, (size_t)s->n, sizeof *s->seconds, ascending);
  for (int64_t i = 0; i < s->n; i++) sum += s->seconds[i];
  return (struct summary){quantile(s, 0.5), sum / (double)s->n, quantile(s, 0.25), quantile(s, 0.75),
                          s->seconds[0]};
}

/* This method's time as a multiple of the reference's: measured (medians), and at the device's best. */
struct ratios {
  double forward_backward, step, least_forward_backward, least_step;
};

static double least_step(const struct subject *s) {
  return s->work.least.forward_backward_s + s->work.least.update_s;
}

static struct ratios ratios_of(const struct subject *s, const struct subject *reference) {
  return (struct ratios){summarise(&s->forward_backward).median /
                             summarise(&reference->forward_backward).median,
                         summarise(&s->step).median / summarise(&reference->step).median,
                         s->work.least.forward_backward_s / reference->work.least.forward_backward_s,
                         least_step(s) / least_step(reference)};
}

static json_t *summary_json(const struct series *s) {
  const struct summary v = summarise(s);
  return json_pack("{s:f, s:f, s:f, s:f, s:f}", "median", v.median, "mean", v.mean, "quartile_1", v.low,
                   "quartile_3", v.high, "min", v.least);
}

static json_t *subject_json(const struct subject *s) {
  const struct trial_work *w = &s->work;
  return json_pack("{s:s, s:s, s:o, s:o, s:o, s:{s:f, s:f}, s:{s:f, s:f, s:f}, s:{s:f, s:f}, s:I, s:I}",
                   "method", s->method.method, "base", s->method.base, "forward_backward_s",
                   summary_json(&s->forward_backward), "update_s", summary_json(&s->update), "step_s",
                   summary_json(&s->step), "flops", "forward", w->flops.forward, "backward",
                   w->flops.backward, "bytes", "forward", w->forward_bytes, "backward", w->backward_bytes,
                   "update", w->update_bytes, "computed_s", "forward_backward", w->least.forward_backward_s,
                   "update", w->least.update_s, "arena_bytes", (json_int_t)s->arena_bytes, "parameter_bytes",
                   (json_int_t)s->param_bytes);
}

static json_t *result_json(const struct cost_run *r) {
  const struct cost_options *o = r->o;
  json_t *j =
      json_pack("{s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:{s:f, s:f}, s:o}",
                "stage", "cost", "version", TANDEM_VERSION, "arch", o->model.arch, "width",
                (json_int_t)o->model.width, "stem", o->model.stem, "device", o->device.device, "precision",
                o->device.precision, "threads", (json_int_t)o->device.threads, "size", (json_int_t)o->size,
                "batch", (json_int_t)o->batch, "warmup", (json_int_t)o->warmup, "steps", (json_int_t)o->steps,
                "rounds", (json_int_t)o->rounds, "roofline", "flops_per_s", r->roofline.flops, "bytes_per_s",
                r->roofline.bytes, "measured", subject_json(&r->subjects[0]));
  if (!j || !o->against) return j;
  const struct subject *reference = &r->subjects[r->n - 1];
  const struct ratios q = ratios_of(&r->subjects[0], reference);
  json_object_set_new(j, "against", subject_json(reference));
  json_object_set_new(j, "ratio",
                      json_pack("{s:f, s:f, s:f, s:f}", "forward_backward", q.forward_backward, "step",
                                q.step, "computed_forward_backward", q.least_forward_backward,
                                "computed_step", q.least_step));
  return j;
}

static enum status write_result(struct cost_run *r) {
  json_t *j = result_json(r);
  if (!j) return fail(E_MEMORY, "out of memory");
  json_dumpf(j, atomic_file_stream(r->file), JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(12));
  json_decref(j);
  return atomic_file_commit(&r->file);
}

static void print_subject(const struct subject *s) {
  char name[NAME_SIZE];
  const struct summary both = summarise(&s->forward_backward), update = summarise(&s->update);
  name_of(s, name);
  printf("%-18s %10.4f  %.4f-%.4f %10.4f %10.4f %10.1f %8.2f\n", name, both.median, both.low, both.high,
         update.median, least_step(s), (s->work.flops.forward + s->work.flops.backward) / 1e9,
         (s->work.forward_bytes + s->work.backward_bytes + s->work.update_bytes) / 1e9);
}

static void print_text(const struct cost_run *r) {
  const struct cost_options *o = r->o;
  printf("%s, width %" PRId64 ", %s stem; batch %" PRId64 ", views of %" PRId64 " pixels; %s; %" PRId64
         " x (%" PRId64 " + %" PRId64 ") steps\n\n",
         o->model.arch, o->model.width, o->model.stem, o->batch, o->size, o->device.device, o->rounds,
         o->warmup, o->steps);
  printf("%-18s %10s  %-13s %10s %10s %10s %8s\n", "seconds per step", "fwd + bwd", "(quartiles)", "update",
         "computed", "GFLOP", "GB moved");
  for (int i = 0; i < r->n; i++) print_subject(&r->subjects[i]);
  if (o->against) {
    const struct ratios q = ratios_of(&r->subjects[0], &r->subjects[r->n - 1]);
    printf(
        "\nratio              forward and backward %.3f (computed %.3f), whole step %.3f (computed %.3f)\n",
        q.forward_backward, q.least_forward_backward, q.step, q.least_step);
  }
  printf("\nComputed: every op at %.0f GFLOP/s (a convolution) or %.1f GB/s (an addition), whichever takes "
         "longer.\n",
         r->roofline.flops / 1e9, r->roofline.bytes / 1e9);
}

/* --- The command ---------------------------------------------------------------------------------------- */

static enum status cost_run(void *options) {
  struct cost_run r = {.o = options};
  const struct cost_options *o = r.o;
  enum status st = OK;
  stop_on_signals();
  stop_with_parent();
  TRY(check_options(r.o));
  TRY(open_subjects(&r));
  if (o->result) TRY(atomic_file_open(&r.file, o->result));
  TRY(roofline_measure(&r.roofline, &(struct graph_config){.device = o->device.device,
                                                           .threads = (int)o->device.threads,
                                                           .precision = device_precision(&o->device)}));
  TRY(progress_open(&r.progress, "cost", "steps", r.n * o->rounds * (o->warmup + o->steps)));
  TRY(run_rounds(&r));
  progress_close(&r.progress);
  print_text(&r);
  if (fflush(stdout) != 0) TRY(fail(E_IO, "cannot write to the standard output"));
  if (o->result) TRY(write_result(&r));
out:
  progress_abort(&r.progress);
  atomic_file_abort(&r.file);
  for (int i = 0; i < r.n; i++) free_subject(&r.subjects[i]);
  return st;
}

const struct command cost_command = {
    .name = "cost",
    .summary =
        "how long a training step takes, beside what its FLOPs and bytes need; no data or workers needed",
    .state_size = sizeof(struct cost_options),
    .opts = cost_opts,
    .run = cost_run};
