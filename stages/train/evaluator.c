#include "evaluator.h"

#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "model/tensor_list.h"

enum { LOWEST_PRIORITY = 19 };

struct evaluator {
  struct network_config config;
  const struct held_out *data;
  struct network *network; /* the thread's; NULL until its first evaluation */
  struct tensor_list weights;
  float *features; /* [n_bank + n_held, dim] */
  pthread_t thread;
  bool has_thread;
  atomic_bool done, gives_up;
  int64_t epoch;
  struct scores scores;
  enum status status;
  char why[1024];
};

enum status evaluator_open(struct evaluator **out, const struct network_config *config,
                           const struct held_out *data) {
  struct evaluator *e = *out = calloc(1, sizeof *e);
  if (!e) return fail(E_MEMORY, "out of memory");
  e->config = *config;
  e->data = data;
  return OK;
}

void evaluator_close(struct evaluator **evaluator) {
  struct evaluator *e = *evaluator;
  *evaluator = NULL;
  if (!e) return;
  atomic_store(&e->gives_up, true);
  if (e->has_thread) pthread_join(e->thread, NULL);
  network_close(&e->network);
  tensor_list_free(&e->weights);
  free(e->features);
  free(e);
}

bool evaluator_is_busy(const struct evaluator *e) { return e->has_thread; }

/* --- Its thread ----------------------------------------------------------------------------------------- */

/* Out of the way of training and workers, whatever the process's own scheduling is. */
static void step_back(void) {
  sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){0});
  setpriority(PRIO_PROCESS, 0, LOWEST_PRIORITY); /* of this thread alone, on Linux */
  omp_set_num_threads(1);
}

static enum status make_network(struct evaluator *e) {
  enum status st = network_open(&e->network, &e->config);
  if (st != OK) return st;
  size_t numbers = (size_t)((e->data->n_bank + e->data->n_held) * network_dim(e->network));
  e->features = malloc(numbers * sizeof *e->features);
  if (e->features) return OK;
  network_close(&e->network);
  return fail(E_MEMORY, "out of memory for %zu features", numbers);
}

static enum status set_weights(struct evaluator *e) {
  struct graph *graph = network_model(e->network)->graph;
  enum status st = OK;
  for (size_t i = 0; i < e->weights.count; i++) {
    const struct tensor_view *t = &e->weights.views[i];
    TRY(graph_write_f32(graph, graph_find(graph, t->name), t->data, (int64_t)(t->size / sizeof(float))));
  }
out:
  tensor_list_free(&e->weights);
  return st;
}

static enum status compute_features(struct evaluator *e) {
  enum status st = OK;
  int64_t n = e->data->n_bank + e->data->n_held, batch = e->config.batch, size = e->config.size;
  for (int64_t at = 0; at < n; at += batch) {
    if (atomic_load(&e->gives_up)) return fail(E_INTERRUPTED, "the evaluation was given up");
    TRY(network_features(e->network, e->data->pixels + at * size * size * 3, n - at < batch ? n - at : batch,
                         e->features + at * network_dim(e->network)));
  }
out:
  return st;
}

static enum status evaluate(struct evaluator *e) {
  enum status st = OK;
  const struct held_out *d = e->data;
  if (!e->network) TRY(make_network(e));
  TRY(set_weights(e));
  TRY(compute_features(e));
  int64_t dim = network_dim(e->network);
  TRY(scores_measure(&e->scores, &(struct labelled_rows){e->features, d->labels, d->n_bank},
                     &(struct labelled_rows){e->features + d->n_bank * dim, d->labels + d->n_bank, d->n_held},
                     dim, d->classes));
out:
  return st;
}

static void *work(void *arg) {
  struct evaluator *e = arg;
  step_back();
  e->status = evaluate(e);
  if (e->status != OK) snprintf(e->why, sizeof e->why, "%s", fail_message());
  atomic_store(&e->done, true);
  return NULL;
}

/* --- The caller's --------------------------------------------------------------------------------------- */

static enum status copy_weights(struct evaluator *e, struct graph *graph) {
  static const char prefix[] = "backbone.";
  const struct graph_tensor *tensors;
  size_t n = graph_tensors(graph, &tensors);
  enum status st = OK;
  for (size_t i = 0; i < n; i++)
    if (strncmp(tensors[i].name, prefix, sizeof prefix - 1) == 0)
      TRY(tensor_list_value(&e->weights, graph, "", tensors[i].name, tensors[i].value, DTYPE_F32));
out:
  return st;
}

enum status evaluator_begin(struct evaluator *e, struct graph *graph, int64_t epoch) {
  enum status st = OK;
  TRY(copy_weights(e, graph));
  e->epoch = epoch;
  atomic_store(&e->done, false);
  int error = pthread_create(&e->thread, NULL, work, e);
  if (error) TRY(fail(E_IO, "cannot start a thread: %s", strerror(error)));
  e->has_thread = true;
out:
  if (st != OK) tensor_list_free(&e->weights);
  return st;
}

enum status evaluator_take(struct evaluator *e, struct scores *scores, int64_t *epoch) {
  if (!e->has_thread || !atomic_load(&e->done)) return E_AGAIN;
  pthread_join(e->thread, NULL);
  e->has_thread = false;
  *scores = e->scores;
  *epoch = e->epoch;
  return e->status == OK ? OK : fail(e->status, "%s", e->why);
}
