#include "store/record.h"

#include <endian.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "store/unpack.h"

enum { MAX_SIDE = 65535 /* what a JPEG can have, and a message can say */ };

static const char *const encodings[] = {[ENCODING_JPEG] = "jpeg", [ENCODING_RGB8] = "rgb8"};

void seal_begin(msgpack_packer *packer, size_t entries) {
  msgpack_pack_map(packer, entries + 1); /* fewer than 16: one byte */
  msgpack_pack_str_with_body(packer, "xxh3", 4);
  msgpack_pack_fix_uint64(packer, 0);
}

void seal(uint8_t *bytes, size_t size, uint64_t seed) {
  uint64_t sum = XXH3_64bits_withSeed(bytes + SEAL_BYTES, size - SEAL_BYTES, seed);
  for (int i = 0; i < 8; i++) bytes[SEAL_BYTES - 1 - i] = (uint8_t)(sum >> (8 * i));
}

enum status seal_check(const uint8_t *bytes, size_t size, uint64_t seed) {
  uint64_t stored = 0;
  if (size < SEAL_BYTES || (bytes[0] & 0xf0) != 0x80 || memcmp(bytes + 1, "\xa4xxh3\xcf", 6) != 0)
    return fail(E_FORMAT, "damaged: it does not start with a checksum");
  for (int i = 7; i < SEAL_BYTES; i++) stored = stored << 8 | bytes[i];
  if (stored != XXH3_64bits_withSeed(bytes + SEAL_BYTES, size - SEAL_BYTES, seed))
    return fail(E_FORMAT, "damaged: its checksum does not match");
  return OK;
}

void record_scratch_free(struct record_scratch *scratch) {
  free(scratch->boxes);
  free(scratch->attributes);
  *scratch = (struct record_scratch){0};
}

static void key(msgpack_packer *p, const char *name) { msgpack_pack_str_with_body(p, name, strlen(name)); }

static void pack_boxes(msgpack_packer *p, const struct record *r) {
  msgpack_pack_array(p, r->n_boxes);
  for (size_t i = 0; i < r->n_boxes; i++) {
    const struct box *b = &r->boxes[i];
    msgpack_pack_array(p, 6);
    msgpack_pack_float(p, b->left);
    msgpack_pack_float(p, b->top);
    msgpack_pack_float(p, b->right);
    msgpack_pack_float(p, b->bottom);
    msgpack_pack_int32(p, b->class_index);
    msgpack_pack_uint8(p, b->difficult);
  }
}

/* Room for the whole record at once: no write after this one can fail. */
static enum status reserve_record(const struct record *r, msgpack_sbuffer *out) {
  size_t need = out->size + 256 + r->n_boxes * 32 + r->n_attributes * 5 + r->size + 4 * r->n_restarts;
  if (need <= out->alloc) return OK;
  char *grown = realloc(out->data, need);
  if (!grown) return fail(E_MEMORY, "out of memory while storing a sample of %zu bytes", r->size);
  out->data = grown;
  out->alloc = need;
  return OK;
}

enum status record_pack(const struct record *r, uint64_t id, msgpack_sbuffer *out) {
  msgpack_packer p;
  size_t start = out->size;
  enum status st = reserve_record(r, out);
  if (st != OK) return st;
  msgpack_packer_init(&p, out, msgpack_sbuffer_write);
  seal_begin(&p, r->n_restarts ? 8 : 7);
  key(&p, "encoding");
  key(&p, encodings[r->encoding]);
  key(&p, "width");
  msgpack_pack_int32(&p, r->width);
  key(&p, "height");
  msgpack_pack_int32(&p, r->height);
  key(&p, "label");
  msgpack_pack_int32(&p, r->label);
  key(&p, "boxes");
  pack_boxes(&p, r);
  key(&p, "attributes");
  msgpack_pack_array(&p, r->n_attributes);
  for (size_t i = 0; i < r->n_attributes; i++) msgpack_pack_float(&p, r->attributes[i]);
  key(&p, "bytes");
  msgpack_pack_bin_with_body(&p, r->bytes, r->size);
  if (r->n_restarts) {
    key(&p, "restarts");
    msgpack_pack_bin_with_body(&p, r->restarts, 4 * r->n_restarts);
  }
  seal((uint8_t *)out->data + start, out->size - start, id);
  return OK;
}

/* --- Reading --- */

static bool read_int32(struct unpack *u, int64_t low, int64_t high, int32_t *out) {
  int64_t value;
  if (!unpack_int(u, low, high, &value)) return false;
  *out = (int32_t)value;
  return true;
}

static bool read_encoding(struct unpack *u, struct record *r, struct record_scratch *s) {
  (void)s;
  struct slice name;
  if (!unpack_str(u, &name)) return false;
  for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++)
    if (slice_is(name, encodings[i])) return r->encoding = (enum encoding)i, true;
  return false;
}

static bool read_width(struct unpack *u, struct record *r, struct record_scratch *s) {
  (void)s;
  return read_int32(u, 1, MAX_SIDE, &r->width);
}

static bool read_height(struct unpack *u, struct record *r, struct record_scratch *s) {
  (void)s;
  return read_int32(u, 1, MAX_SIDE, &r->height);
}

static bool read_label(struct unpack *u, struct record *r, struct record_scratch *s) {
  (void)s;
  return read_int32(u, -1, INT32_MAX, &r->label);
}

static bool read_bytes(struct unpack *u, struct record *r, struct record_scratch *s) {
  (void)s;
  struct slice data;
  if (!unpack_bin(u, &data) || data.size == 0) return false;
  r->bytes = data.bytes;
  r->size = data.size;
  return true;
}

/* Makes room for n items; the count was checked against the bytes that are there. */
static bool reserve(void **items, size_t *room, size_t n, size_t size) {
  if (n <= *room) return true;
  void *grown = realloc(*items, n * size);
  if (!grown) return false;
  *items = grown;
  *room = n;
  return true;
}

static bool read_box(struct unpack *u, struct box *b) {
  size_t n;
  double edge[4];
  int32_t difficult;
  if (!unpack_array(u, &n) || n != 6) return false;
  for (int i = 0; i < 4; i++)
    if (!unpack_float(u, &edge[i])) return false;
  *b = (struct box){(float)edge[0], (float)edge[1], (float)edge[2], (float)edge[3], 0, 0};
  if (!read_int32(u, 0, INT32_MAX, &b->class_index) || !read_int32(u, 0, 1, &difficult)) return false;
  b->difficult = (uint8_t)difficult;
  return true;
}

static bool read_boxes(struct unpack *u, struct record *r, struct record_scratch *s) {
  size_t n;
  void *items = s->boxes;
  if (!unpack_array(u, &n) || !reserve(&items, &s->room_boxes, n, sizeof *s->boxes)) return false;
  s->boxes = items;
  for (size_t i = 0; i < n; i++)
    if (!read_box(u, &s->boxes[i])) return false;
  r->boxes = n ? s->boxes : NULL;
  r->n_boxes = n;
  return true;
}

static bool read_attributes(struct unpack *u, struct record *r, struct record_scratch *s) {
  size_t n;
  double value;
  void *items = s->attributes;
  if (!unpack_array(u, &n) || !reserve(&items, &s->room_attributes, n, sizeof *s->attributes)) return false;
  s->attributes = items;
  for (size_t i = 0; i < n; i++) {
    if (!unpack_float(u, &value)) return false;
    s->attributes[i] = (float)value;
  }
  r->attributes = n ? s->attributes : NULL;
  r->n_attributes = n;
  return true;
}

static bool read_restarts(struct unpack *u, struct record *r, struct record_scratch *s) {
  (void)s;
  struct slice data;
  if (!unpack_bin(u, &data) || data.size == 0 || data.size % 4) return false;
  r->restarts = data.bytes;
  r->n_restarts = data.size / 4;
  return true;
}

static const struct field {
  const char *name;
  bool (*read)(struct unpack *u, struct record *record, struct record_scratch *scratch);
} fields[] = {{"encoding", read_encoding}, {"width", read_width},      {"height", read_height},
              {"label", read_label},       {"boxes", read_boxes},      {"attributes", read_attributes},
              {"bytes", read_bytes},       {"restarts", read_restarts}};
enum { N_FIELDS = sizeof fields / sizeof *fields, N_REQUIRED = N_FIELDS - 1 /* all but `restarts` */ };

/* Every field once, in the order of the table: there is one way to write a record. */
static enum status unpack_fields(struct unpack *u, struct record *r, struct record_scratch *scratch, int n) {
  for (int i = 0; i < n; i++) {
    struct slice name;
    if (!unpack_str(u, &name) || !slice_is(name, fields[i].name))
      return fail(E_FORMAT, "malformed: the field %s is not where it belongs", fields[i].name);
    if (!fields[i].read(u, r, scratch))
      return fail(E_FORMAT, "malformed: bad value for the field %s", fields[i].name);
  }
  return u->at == u->end ? OK : fail(E_FORMAT, "malformed: something follows the last field");
}

enum status record_unpack(const uint8_t *bytes, size_t size, uint64_t id, struct record *record,
                          struct record_scratch *scratch) {
  enum status st;
  *record = (struct record){0};
  TRY(seal_check(bytes, size, id));
  int n = (bytes[0] & 15) - 1; /* beside the seal */
  if (n != N_REQUIRED && n != N_FIELDS) return fail(E_FORMAT, "malformed: %d fields", n);
  struct unpack u = {bytes + SEAL_BYTES, bytes + size};
  TRY(unpack_fields(&u, record, scratch, n));
out:
  return st;
}

static enum status check_restarts(const struct record *r) {
  if (r->n_restarts && r->encoding != ENCODING_JPEG) return fail(E_ARG, "restart markers in plain pixels");
  uint64_t last = 0;
  for (size_t i = 0; i < r->n_restarts; i++) {
    uint32_t at;
    memcpy(&at, r->restarts + 4 * i, sizeof at);
    at = le32toh(at);
    if (at <= last || at >= r->size) return fail(E_ARG, "restart interval %zu begins at a wrong place", i);
    last = at;
  }
  return OK;
}

enum status record_check(const struct record *r, size_t n_classes, size_t n_attributes) {
  if (r->width < 1 || r->height < 1 || r->width > MAX_SIDE || r->height > MAX_SIDE)
    return fail(E_ARG, "a size of %dx%d pixels", r->width, r->height);
  if (r->size == 0 || r->size > UINT32_MAX) return fail(E_ARG, "%zu bytes of image", r->size);
  if (r->encoding == ENCODING_RGB8 && r->size != (size_t)r->width * (size_t)r->height * 3)
    return fail(E_ARG, "%zu bytes for %dx%d RGB pixels", r->size, r->width, r->height);
  if (r->label < -1 || r->label >= (int64_t)n_classes)
    return fail(E_ARG, "label %d, but there are %zu classes", r->label, n_classes);
  if (r->n_attributes != 0 && r->n_attributes != n_attributes)
    return fail(E_ARG, "%zu attributes where the dataset names %zu", r->n_attributes, n_attributes);
  for (size_t i = 0; i < r->n_attributes; i++)
    if (!isfinite(r->attributes[i])) return fail(E_ARG, "attribute %zu is not a finite number", i);
  for (size_t i = 0; i < r->n_boxes; i++) {
    const struct box *b = &r->boxes[i];
    if (!(b->left <= b->right && b->top <= b->bottom) || !isfinite(b->left) || !isfinite(b->top) ||
        !isfinite(b->right) || !isfinite(b->bottom))
      return fail(E_ARG, "box %zu: its edges are out of order", i);
    if (b->class_index < 0 || (size_t)b->class_index >= n_classes)
      return fail(E_ARG, "box %zu: class %d, but there are %zu classes", i, b->class_index, n_classes);
  }
  return check_restarts(r);
}
