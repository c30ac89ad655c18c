#include "store/safetensors.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

/* The header is a small JSON object; a reader that allocates for its claimed size must bound it. */
enum { MAX_HEADER = 100000000, MAX_NAME = 1024, ALIGNMENT = 8 };
#define MAX_FILE ((size_t)1 << 40)

static const struct {
  const char *name;
  size_t size;
} dtypes[] = {[DTYPE_F64] = {"F64", 8}, [DTYPE_I64] = {"I64", 8},  [DTYPE_F32] = {"F32", 4},
              [DTYPE_I32] = {"I32", 4}, [DTYPE_F16] = {"F16", 2},  [DTYPE_BF16] = {"BF16", 2},
              [DTYPE_U8] = {"U8", 1},   [DTYPE_BOOL] = {"BOOL", 1}};
enum { N_DTYPES = sizeof dtypes / sizeof *dtypes };

struct safetensors {
  uint8_t *bytes; /* the whole file */
  size_t n;
  struct tensor_view *tensors; /* by name */
  void **moved;   /* [n] copies of tensors that the file stores unaligned; NULL where it does not */
  json_t *header; /* owns the names and the metadata */
};

size_t dtype_size(enum dtype dtype) { return dtypes[dtype].size; }

static enum status parse_dtype(const json_t *j, struct tensor_view *t) {
  const char *name = json_string_value(j);
  for (int i = 0; name && i < N_DTYPES; i++)
    if (strcmp(dtypes[i].name, name) == 0) return t->dtype = (enum dtype)i, OK;
  return fail(E_FORMAT, "tensor %s: unsupported dtype %s", t->name, name ? name : "(not a string)");
}

static enum status parse_shape(const json_t *j, struct tensor_view *t) {
  if (!json_is_array(j)) return fail(E_FORMAT, "tensor %s: its shape is not a list", t->name);
  if (json_array_size(j) > TENSOR_MAX_DIMS)
    return fail(E_FORMAT, "tensor %s: %zu dimensions; at most %d are supported", t->name, json_array_size(j),
                TENSOR_MAX_DIMS);
  t->n_dims = (int)json_array_size(j);
  t->size = dtype_size(t->dtype);
  for (int i = 0; i < t->n_dims; i++) {
    const json_t *d = json_array_get(j, (size_t)i);
    t->shape[i] = json_is_integer(d) ? json_integer_value(d) : -1;
    if (t->shape[i] < 0)
      return fail(E_FORMAT, "tensor %s: dimension %d is not a whole number >= 0", t->name, i);
    if (__builtin_mul_overflow(t->size, (size_t)t->shape[i], &t->size))
      return fail(E_FORMAT, "tensor %s: its size overflows", t->name);
  }
  return OK;
}

/* data_offsets [begin, end) within the data section of `room` bytes; leaves t->data at its begin. */
static enum status parse_offsets(const json_t *j, const uint8_t *data, size_t room, struct tensor_view *t) {
  const json_t *b = json_array_get(j, 0), *e = json_array_get(j, 1);
  if (json_array_size(j) != 2 || !json_is_integer(b) || !json_is_integer(e))
    return fail(E_FORMAT, "tensor %s: data_offsets are not two whole numbers", t->name);
  json_int_t begin = json_integer_value(b), end = json_integer_value(e);
  if (begin < 0 || end < begin || (uint64_t)end > room)
    return fail(E_FORMAT, "tensor %s: data_offsets [%lld, %lld] lie outside the file's %zu bytes of data",
                t->name, (long long)begin, (long long)end, room);
  if ((uint64_t)(end - begin) != t->size)
    return fail(E_FORMAT, "tensor %s: %lld bytes of data where its shape needs %zu", t->name,
                (long long)(end - begin), t->size);
  t->data = data + begin;
  return OK;
}

static enum status parse_tensor(const char *name, json_t *j, const uint8_t *data, size_t room,
                                struct tensor_view *t) {
  enum status st;
  t->name = name;
  if (strlen(name) > MAX_NAME)
    return fail(E_FORMAT, "a tensor's name is longer than %d bytes: %.40s...", MAX_NAME, name);
  if (json_object_size(j) != 3)
    return fail(E_FORMAT, "tensor %s: not exactly dtype, shape and data_offsets", name);
  TRY(parse_dtype(json_object_get(j, "dtype"), t));
  TRY(parse_shape(json_object_get(j, "shape"), t));
  TRY(parse_offsets(json_object_get(j, "data_offsets"), data, room, t));
out:
  return st;
}

static enum status check_metadata(json_t *metadata) {
  const char *key;
  json_t *value;
  if (!json_is_object(metadata)) return fail(E_FORMAT, "__metadata__ is not a map");
  json_object_foreach(metadata, key, value) if (!json_is_string(value)) return fail(
      E_FORMAT, "__metadata__: the value of %.80s is not a string", key);
  return OK;
}

static int by_data(const void *a, const void *b) {
  const struct tensor_view *x = a, *y = b;
  if (x->data != y->data) return x->data < y->data ? -1 : 1;
  return x->size < y->size ? -1 : x->size > y->size; /* empty tensors before the one that starts there */
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const struct tensor_view *)a)->name, ((const struct tensor_view *)b)->name);
}

/* The tensors, in file order, must tile the data: a gap could hide anything, an overlap is never meant. */
static enum status check_tiling(const struct safetensors *f, const uint8_t *data, size_t room) {
  const uint8_t *at = data;
  for (size_t i = 0; i < f->n; i++) {
    const struct tensor_view *t = &f->tensors[i];
    if (t->data != at)
      return fail(E_FORMAT, "tensor %s: %s before it", t->name,
                  (const uint8_t *)t->data > at ? "unused bytes" : "overlaps the one");
    at += t->size;
  }
  if (at != data + room)
    return fail(E_FORMAT, "%zu unused bytes after the last tensor", (size_t)(data + room - at));
  return OK;
}

static enum status align(struct safetensors *f) {
  for (size_t i = 0; i < f->n; i++) {
    struct tensor_view *t = &f->tensors[i];
    if ((uintptr_t)t->data % dtype_size(t->dtype) == 0) continue;
    f->moved[i] = malloc(t->size ? t->size : 1);
    if (!f->moved[i]) return fail(E_MEMORY, "out of memory while reading tensor %s", t->name);
    memcpy(f->moved[i], t->data, t->size);
    t->data = f->moved[i];
  }
  return OK;
}

static enum status parse_header(struct safetensors *f, const uint8_t *data, size_t room) {
  enum status st = OK;
  const char *key;
  json_t *value;
  size_t count = json_object_size(f->header);
  f->tensors = calloc(count + 1, sizeof *f->tensors);
  f->moved = calloc(count + 1, sizeof *f->moved);
  if (!f->tensors || !f->moved) return fail(E_MEMORY, "out of memory while reading tensors");
  json_object_foreach(f->header, key, value) {
    if (strcmp(key, "__metadata__") == 0)
      TRY(check_metadata(value));
    else
      TRY(parse_tensor(key, value, data, room, &f->tensors[f->n++]));
  }
  qsort(f->tensors, f->n, sizeof *f->tensors, by_data);
  TRY(check_tiling(f, data, room));
  qsort(f->tensors, f->n, sizeof *f->tensors, by_name);
  TRY(align(f));
out:
  return st;
}

static enum status parse_take(struct safetensors **out, uint8_t *bytes, size_t size) {
  *out = NULL;
  enum status st;
  uint64_t n = 0;
  json_error_t error;
  struct safetensors *f = calloc(1, sizeof *f);
  if (!f) {
    free(bytes);
    return fail(E_MEMORY, "out of memory while reading tensors");
  }
  f->bytes = bytes;
  for (size_t i = 8; i-- > 0 && size >= 8;) n = n << 8 | bytes[i];
  if (size < 8 || n > MAX_HEADER || n > size - 8 || n == 0 || bytes[8] != '{') {
    st = fail(E_FORMAT, "not a safetensors file, or a truncated one");
    goto out;
  }
  f->header = json_loadb((const char *)bytes + 8, n, JSON_REJECT_DUPLICATES, &error);
  if (!f->header) {
    st = fail(E_FORMAT, "the header is not valid: %s at byte %d", error.text, error.position);
    goto out;
  }
  TRY(parse_header(f, bytes + 8 + n, size - 8 - n));
  *out = f;
  f = NULL;
out:
  safetensors_close(&f);
  return st;
}

enum status safetensors_open(struct safetensors **out, const char *path) {
  *out = NULL;
  uint8_t *bytes;
  size_t size;
  enum status st;
  TRY(file_read(path, MAX_FILE, &bytes, &size));
  st = parse_take(out, bytes, size);
  if (st != OK) fail_within(st, "%s", path);
out:
  return st;
}

enum status safetensors_parse(struct safetensors **out, const uint8_t *bytes, size_t size) {
  *out = NULL;
  uint8_t *copy = malloc(size + 1);
  if (!copy) return fail(E_MEMORY, "out of memory while reading tensors");
  if (size) memcpy(copy, bytes, size);
  return parse_take(out, copy, size);
}

void safetensors_close(struct safetensors **file) {
  struct safetensors *f = *file;
  *file = NULL;
  if (!f) return;
  for (size_t i = 0; f->moved && i < f->n; i++) free(f->moved[i]);
  free(f->moved);
  free(f->tensors);
  json_decref(f->header);
  free(f->bytes);
  free(f);
}

size_t safetensors_count(const struct safetensors *file) { return file->n; }

const struct tensor_view *safetensors_at(const struct safetensors *file, size_t i) {
  return &file->tensors[i];
}

const struct tensor_view *safetensors_find(const struct safetensors *file, const char *name) {
  const struct tensor_view key = {.name = name};
  return bsearch(&key, file->tensors, file->n, sizeof key, by_name);
}

const char *safetensors_metadata(const struct safetensors *file, const char *key) {
  return json_string_value(json_object_get(json_object_get(file->header, "__metadata__"), key));
}

/* --- Writing --- */

static int by_alignment(const void *a, const void *b) {
  const struct tensor_view *x = a, *y = b;
  if (x->dtype != y->dtype) return x->dtype < y->dtype ? -1 : 1; /* the enum falls in size */
  return strcmp(x->name, y->name);
}

static enum status describe(json_t *header, const struct tensor_view *t, size_t begin) {
  size_t size = dtype_size(t->dtype);
  json_t *shape = json_array();
  for (int i = 0; i < t->n_dims; i++) {
    json_array_append_new(shape, json_integer(t->shape[i]));
    size *= (size_t)t->shape[i];
  }
  if (size != t->size || strlen(t->name) > MAX_NAME) {
    json_decref(shape);
    return fail(E_ARG, "tensor %.80s: %zu bytes where its shape needs %zu, or too long a name", t->name,
                t->size, size);
  }
  if (json_object_get(header, t->name)) {
    json_decref(shape);
    return fail(E_ARG, "two tensors are called %s", t->name);
  }
  json_t *j = json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtypes[t->dtype].name, "shape", shape,
                        "data_offsets", (json_int_t)begin, (json_int_t)begin + (json_int_t)size);
  if (!j || json_object_set_new(header, t->name, j) != 0)
    return fail(E_ARG, "tensor %.80s: the name is not UTF-8, or out of memory", t->name);
  return OK;
}

static enum status make_header(const struct tensor_view *order, size_t n, const struct metadata *metadata,
                               size_t n_metadata, char **text) {
  enum status st = OK;
  json_t *header = json_object(), *notes = json_object();
  *text = NULL;
  for (size_t i = 0; i < n_metadata; i++)
    if (json_object_set_new(notes, metadata[i].key, json_string(metadata[i].value)) != 0) {
      st = fail(E_ARG, "metadata %.80s is not UTF-8, or out of memory", metadata[i].key);
      goto out;
    }
  if (n_metadata) json_object_set(header, "__metadata__", notes);
  size_t at = 0;
  for (size_t i = 0; i < n; at += order[i++].size) TRY(describe(header, &order[i], at));
  *text = json_dumps(header, JSON_COMPACT);
  if (!*text) st = fail(E_MEMORY, "out of memory while writing tensors");
out:
  json_decref(header);
  json_decref(notes);
  return st;
}

static void put(FILE *to, const char *text, const struct tensor_view *order, size_t n) {
  size_t length = strlen(text), padded = (length + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  for (int i = 0; i < 8; i++) fputc((int)(padded >> (8 * i) & 255), to);
  fprintf(to, "%s%*s", text, (int)(padded - length), "");
  for (size_t i = 0; i < n; i++) fwrite(order[i].data, 1, order[i].size, to);
}

enum status safetensors_write(const char *path, const struct tensor_view *tensors, size_t n,
                              const struct metadata *metadata, size_t n_metadata) {
  enum status st;
  char *text = NULL;
  struct atomic_file *file = NULL;
  struct tensor_view *order = malloc((n + 1) * sizeof *order);
  if (!order) return fail(E_MEMORY, "out of memory while writing %s", path);
  for (size_t i = 0; i < n; i++) order[i] = tensors[i];
  qsort(order, n, sizeof *order, by_alignment);
  TRY(make_header(order, n, metadata, n_metadata, &text));
  TRY(atomic_file_open(&file, path));
  put(atomic_file_stream(file), text, order, n); /* commit reports what a write could not do */
  TRY(atomic_file_commit(&file));
out:
  free(text);
  free(order);
  return st;
}
