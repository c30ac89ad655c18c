#include "checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/log.h"
#include "base/version.h"
#include "model/tensor_list.h"

#define CHECKPOINT_FORMAT "tandem-checkpoint-1"

/* --- The folder ----------------------------------------------------------------------------------------- */

struct listing {
  int64_t *steps; /* of whole checkpoints, newest first */
  size_t n;
};

/* Whether `name` is checkpoint-STEP.safetensors. */
static bool parse_name(const char *name, int64_t *step) {
  int end = 0;
  return sscanf(name, "checkpoint-%" SCNd64 ".safetensors%n", step, &end) == 1 && end > 0 && *step >= 0 &&
         name[end] == '\0';
}

/* Whether `name` has the ending of an unfinished write (base/file). */
static bool is_partial(const char *name) { return strstr(name, ".safetensors.tmp-") != NULL; }

static int newest_first(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x < y) - (x > y);
}

static enum status list_folder(struct listing *out, const char *folder, bool remove_partial) {
  *out = (struct listing){0};
  DIR *dir = opendir(folder);
  if (!dir)
    return errno == ENOENT ? OK : fail(E_IO, "cannot read the folder %s: %s", folder, strerror(errno));
  enum status st = OK;
  char path[PATH_MAX];
  for (struct dirent *e; st == OK && (e = readdir(dir));) {
    int64_t step;
    if (remove_partial && is_partial(e->d_name) &&
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name) < (int)sizeof path)
      unlink(path);
    if (!parse_name(e->d_name, &step)) continue;
    int64_t *grown = realloc(out->steps, (out->n + 1) * sizeof *grown);
    if (!grown)
      st = fail(E_MEMORY, "out of memory");
    else
      out->steps = grown, out->steps[out->n++] = step;
  }
  closedir(dir);
  if (st == OK && out->n) qsort(out->steps, out->n, sizeof *out->steps, newest_first);
  if (st != OK) free(out->steps);
  return st;
}

static enum status path_of(char path[PATH_MAX], const char *folder, int64_t step) {
  int n = snprintf(path, PATH_MAX, "%s/checkpoint-%08" PRId64 ".safetensors", folder, step);
  return n < PATH_MAX ? OK : fail(E_ARG, "the path is too long: %.80s...", folder);
}

/* Deletes all whole checkpoints from the `from`th newest on. */
static enum status remove_from(const char *folder, const struct listing *l, size_t from) {
  char path[PATH_MAX];
  for (size_t i = from; i < l->n; i++) {
    enum status st = path_of(path, folder, l->steps[i]);
    if (st != OK) return st;
    if (unlink(path) != 0 && errno != ENOENT)
      return fail(E_IO, "cannot delete %s: %s", path, strerror(errno));
  }
  return OK;
}

/* Deletes all but the `keep` newest up to `step`. Later ones, which can only be damaged, do not count. */
static enum status prune(const char *folder, int64_t step, size_t keep) {
  struct listing l;
  enum status st = list_folder(&l, folder, false);
  if (st != OK) return st;
  size_t later = 0;
  while (later < l.n && l.steps[later] > step) later++;
  st = remove_from(folder, &l, later + keep);
  free(l.steps);
  return st;
}

enum status checkpoint_remove_partial(const char *folder) {
  struct listing l;
  enum status st = list_folder(&l, folder, true);
  if (st == OK) free(l.steps);
  return st;
}

/* --- Writing -------------------------------------------------------------------------------------------- */

/* The sum over tensors of a hash of name and bytes: the order in the file does
 * not matter. */
static uint64_t tensor_digest(const struct tensor_view *t) {
  return XXH3_64bits_withSeed(t->data, t->size, XXH3_64bits(t->name, strlen(t->name)));
}

enum { PREFIX = 32 };

static void prefix_of(char prefix[PREFIX], const struct updater *u, size_t k) {
  snprintf(prefix, PREFIX, "%s.", updater_state_name(u, k));
}

/* State k of the optimiser, for one parameter. */
static enum status gather_state(struct tensor_list *list, const struct step *s, const struct updater *updater,
                                size_t k, const struct graph_tensor *t) {
  enum dtype dtype = step_dtype(s);
  int64_t count = shape_count(t->shape);
  char prefix[PREFIX];
  void *data;
  prefix_of(prefix, updater, k);
  enum status st = tensor_list_room(list, prefix, t->name, dtype, t->shape, &data);
  if (st != OK) return st;
  return dtype == DTYPE_F64 ? updater_read_f64(updater, k, t->value, data, count)
                            : updater_read_f32(updater, k, t->value, data, count);
}

static enum status gather(struct tensor_list *list, const struct step *s, const struct updater *updater) {
  const struct graph_tensor *tensors;
  size_t n = graph_tensors(s->graph, &tensors);
  enum status st = OK;
  enum dtype dtype = step_dtype(s);
  for (size_t i = 0; i < n; i++) {
    TRY(tensor_list_value(list, s->graph, "", tensors[i].name, tensors[i].value, dtype));
    for (size_t k = 0; updater_holds(updater, tensors[i].value) && updater_state_name(updater, k); k++)
      TRY(gather_state(list, s, updater, k, &tensors[i]));
  }
  for (size_t i = 0; i < s->model->n_norms; i++)
    TRY(tensor_list_tracked(list, "", s->model->norms[i].name, s->model->norms[i].tracked));
out:
  return st;
}

static bool is_finite(const struct tensor_view *t) {
  size_t n = t->size / dtype_size(t->dtype);
  const float *f32 = t->data;
  const double *f64 = t->data;
  for (size_t i = 0; i < n; i++)
    if (!isfinite(t->dtype == DTYPE_F64 ? f64[i] : (double)f32[i])) return false;
  return true;
}

/* A checkpoint that no run can go on from would take the place of one that can. */
static enum status check_finite(const struct tensor_list *list, int64_t step) {
  for (size_t i = 0; i < list->count; i++) {
    const struct tensor_view *t = &list->views[i];
    if (t->dtype != DTYPE_I64 && !is_finite(t))
      return fail(E_NUMERIC, "%s is not finite after %" PRId64 " steps; lower --lr or add --warmup-epochs",
                  t->name, step);
  }
  return OK;
}

static enum status write_file(const char *path, int64_t step, const struct tensor_list *list,
                              const json_t *settings) {
  uint64_t digest = 0;
  for (size_t i = 0; i < list->count; i++) digest += tensor_digest(&list->views[i]);
  char step_text[24], digest_text[24];
  snprintf(step_text, sizeof step_text, "%" PRId64, step);
  snprintf(digest_text, sizeof digest_text, "%016" PRIx64, digest);
  char *settings_text = json_dumps(settings, JSON_COMPACT | JSON_SORT_KEYS);
  if (!settings_text) return fail(E_MEMORY, "out of memory");
  struct metadata metadata[] = {{"format", CHECKPOINT_FORMAT},
                                {"version", TANDEM_VERSION},
                                {"step", step_text},
                                {"settings", settings_text},
                                {"digest", digest_text}};
  enum status st =
      safetensors_write(path, list->views, list->count, metadata, sizeof metadata / sizeof *metadata);
  free(settings_text);
  return st;
}

enum status checkpoint_save(const char *folder, int64_t step, int64_t keep, const struct step *s,
                            const struct updater *updater, const json_t *settings) {
  char path[PATH_MAX];
  struct tensor_list list = {0};
  enum status st = OK;
  TRY(path_of(path, folder, step));
  TRY(gather(&list, s, updater));
  TRY(check_finite(&list, step));
  TRY(write_file(path, step, &list, settings));
  log_debug("wrote %s", path);
  TRY(prune(folder, step, (size_t)keep));
out:
  tensor_list_free(&list);
  return st;
}

/* --- Reading -------------------------------------------------------------------------------------------- */

static enum status open_intact(struct safetensors **out, const char *path, int64_t step) {
  enum status st = safetensors_open(out, path);
  if (st != OK) return st;
  const char *format = safetensors_metadata(*out, "format"), *said_step = safetensors_metadata(*out, "step"),
             *said = safetensors_metadata(*out, "digest");
  uint64_t digest = 0;
  for (size_t i = 0; i < safetensors_count(*out); i++) digest += tensor_digest(safetensors_at(*out, i));
  if (!format || strcmp(format, CHECKPOINT_FORMAT) != 0)
    st = fail(E_VERSION, "%s is not a checkpoint of this version (%s)", path, CHECKPOINT_FORMAT);
  else if (!said || strtoull(said, NULL, 16) != digest || !said_step || strtoll(said_step, NULL, 10) != step)
    st = fail(E_FORMAT, "%s is damaged: its contents do not match its digest", path);
  if (st != OK) safetensors_close(out);
  return st;
}

enum status checkpoint_find(struct safetensors **out, const char *folder, int64_t *step) {
  *out = NULL;
  struct listing l;
  char path[PATH_MAX];
  enum status st = list_folder(&l, folder, false);
  if (st != OK) return st;
  for (size_t i = 0; i < l.n && !*out; i++) {
    *step = l.steps[i];
    TRY(path_of(path, folder, *step));
    st = open_intact(out, path, *step);
    if (st == E_MEMORY) goto out;
    if (st != OK) log_warn("%s; trying the one before it", fail_message());
  }
  st = *out ? OK : fail(E_NOT_FOUND, "%s holds no intact checkpoint", folder);
out:
  free(l.steps);
  return st;
}

enum status checkpoint_check_settings(const struct safetensors *file, const json_t *settings) {
  const char *text = safetensors_metadata(file, "settings"), *key;
  json_t *then = text ? json_loads(text, 0, NULL) : NULL, *now;
  if (!then) return fail(E_FORMAT, "the checkpoint's settings cannot be read");
  enum status st = OK;
  json_object_foreach((json_t *)(uintptr_t)settings, key, now) {
    const json_t *was = json_object_get(then, key);
    if (json_equal(now, was)) continue;
    char *a = json_dumps(was, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(12)),
         *b = json_dumps(now, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(12));
    if (strcmp(key, "threads") == 0 || strcmp(key, "device") == 0 || strcmp(key, "precision") == 0)
      log_warn("%s was %s and is now %s: the weights will not be those of an "
               "undisturbed run",
               key, a ? a : "absent", b);
    else
      st = fail(E_ARG,
                "--resume: the checkpoint was made with %s %.200s, this run "
                "has %.200s; give the same settings, "
                "or another --out",
                key, a ? a : "absent", b ? b : "");
    free(a);
    free(b);
    if (st != OK) break;
  }
  json_decref(then);
  return st;
}

/* The tensor of that name, checked to be floating-point with `count` elements. */
static enum status find(const struct tensor_view **out, const struct safetensors *file, const char *prefix,
                        const char *name, int64_t count) {
  char full[256];
  snprintf(full, sizeof full, "%s%s", prefix, name);
  const struct tensor_view *view = *out = safetensors_find(file, full);
  if (!view || (view->dtype != DTYPE_F32 && view->dtype != DTYPE_F64) ||
      view->size != (size_t)count * dtype_size(view->dtype))
    return fail(E_FORMAT, "the checkpoint lacks a fitting %s", full);
  return OK;
}

static enum status restore_tensor(const struct safetensors *file, struct step *s, struct updater *updater,
                                  const struct graph_tensor *t) {
  int64_t count = shape_count(t->shape);
  const struct tensor_view *view;
  enum status st = OK;
  TRY(find(&view, file, "", t->name, count));
  TRY(view->dtype == DTYPE_F64 ? graph_write_f64(s->graph, t->value, view->data, count)
                               : graph_write_f32(s->graph, t->value, view->data, count));
  for (size_t k = 0; updater_holds(updater, t->value) && updater_state_name(updater, k); k++) {
    char prefix[PREFIX];
    prefix_of(prefix, updater, k);
    TRY(find(&view, file, prefix, t->name, count));
    TRY(view->dtype == DTYPE_F64 ? updater_write_f64(updater, k, t->value, view->data, count)
                                 : updater_write_f32(updater, k, t->value, view->data, count));
  }
out:
  return st;
}

enum status checkpoint_restore(const struct safetensors *file, struct step *s, struct updater *updater) {
  const struct graph_tensor *tensors;
  size_t n = graph_tensors(s->graph, &tensors);
  for (size_t i = 0; i < n; i++) {
    enum status st = restore_tensor(file, s, updater, &tensors[i]);
    if (st != OK) return st;
  }
  for (size_t i = 0; i < s->model->n_norms; i++) {
    char name[256];
    snprintf(name, sizeof name, "%s.num_batches_tracked", s->model->norms[i].name);
    const struct tensor_view *view = safetensors_find(file, name);
    if (!view || view->dtype != DTYPE_I64 || view->size != sizeof(int64_t))
      return fail(E_FORMAT, "the checkpoint lacks %s", name);
    memcpy(&s->model->norms[i].tracked, view->data, sizeof(int64_t));
  }
  const char *steps = safetensors_metadata(file, "step");
  updater_set_steps(updater, steps ? strtoll(steps, NULL, 10) : 0);
  return OK;
}
