#include "image/jpeg_recode.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "image/jpeg.h"
#include "image/jpeg_trap.h"

enum { INTERVAL_PIXELS = 64, SOS = 0xda, EOI = 0xd9 };

struct recoder {
  struct jpeg_decompress_struct in;
  struct jpeg_compress_struct out;
  struct jpeg_trap trap; /* of both */
  uint8_t *bytes;
  unsigned long size;
};

static void transcode(struct recoder *r, const uint8_t *bytes, size_t size) {
  jpeg_create_decompress(&r->in);
  jpeg_trap_scans(&r->trap, &r->in);
  jpeg_mem_src(&r->in, bytes, size);
  jpeg_read_header(&r->in, TRUE);
  jvirt_barray_ptr *coefficients = jpeg_read_coefficients(&r->in);
  jpeg_create_compress(&r->out);
  jpeg_mem_dest(&r->out, &r->bytes, &r->size);
  jpeg_copy_critical_parameters(&r->in, &r->out);
  r->out.optimize_coding = TRUE;
  int block = DCTSIZE * (r->in.num_components > 1 ? r->in.max_h_samp_factor : 1);
  r->out.restart_interval = block < INTERVAL_PIXELS ? (unsigned)(INTERVAL_PIXELS / block) : 1;
  jpeg_write_coefficients(&r->out, coefficients);
  jpeg_finish_compress(&r->out);
}

/* false: libjpeg cannot write it so, or has no memory for it; status says which. */
static bool try_transcode(struct recoder *r, const uint8_t *bytes, size_t size) {
  jpeg_trap_set(&r->trap, (j_common_ptr)&r->in);
  r->out.err = r->in.err;
  bool done = false;
  if (setjmp(r->trap.jump)) {
    if (r->out.dest)
      r->out.dest->term_destination(&r->out); /* makes r->bytes the current buffer, to be freed */
    goto out;
  }
  transcode(r, bytes, size);
  done = true;
out:
  jpeg_destroy_compress(&r->out);
  jpeg_destroy_decompress(&r->in);
  return done;
}

/* Where the scan's data begins: behind the header of the last segment, SOS. Our own file: well formed. */
static size_t scan_of(const uint8_t *bytes, size_t size) {
  size_t at = 2;
  while (at + 4 <= size) {
    bool last = bytes[at + 1] == SOS;
    at += 2 + (size_t)(bytes[at + 2] << 8 | bytes[at + 3]);
    if (last) return at;
  }
  return size;
}

/* Behind the next marker; NULL: that is the end of the image. */
static const uint8_t *behind_marker(const uint8_t *at, const uint8_t *end) {
  for (;;) {
    at = memchr(at, 0xff, (size_t)(end - at));
    if (!at || end - at < 2 || at[1] == EOI) return NULL;
    at += 2;
    if (at[-1] != 0) return at; /* a 0 only says that the 0xff before it was data */
  }
}

static enum status make_index(struct jpeg_recoded *out) {
  size_t room = 0;
  const uint8_t *at = out->bytes + scan_of(out->bytes, out->size), *end = out->bytes + out->size;
  for (; at; at = behind_marker(at, end)) {
    if (out->n_restarts == room) {
      room = room ? 2 * room : 256;
      uint8_t *grown = realloc(out->restarts, 4 * room);
      if (!grown) return fail(E_MEMORY, "out of memory for the index of a JPEG");
      out->restarts = grown;
    }
    uint32_t place = htole32((uint32_t)(at - out->bytes));
    memcpy(out->restarts + 4 * out->n_restarts++, &place, sizeof place);
  }
  return OK;
}

/* Whether libjpeg, and our own decoding with the index, give the pixels of `image`. E_MEMORY. */
static enum status compare(const struct jpeg_recoded *r, const struct image *image, bool *same) {
  struct image again = {0};
  struct jpeg_decoder *d = NULL;
  size_t bytes = 3 * (size_t)image->width * (size_t)image->height;
  const struct jpeg_file file = {
      r->bytes, r->size, {image->width, image->height}, r->restarts, r->n_restarts};
  *same = false;
  enum status st = jpeg_decode(r->bytes, r->size, &again);
  if (st == OK && again.width == image->width && again.height == image->height &&
      memcmp(again.pixels, image->pixels, bytes) == 0) {
    TRY(jpeg_decoder_open(&d));
    st = jpeg_decode_region(d, &file, (struct rect){0, 0, image->width, image->height}, again.pixels);
    *same = st == OK && memcmp(again.pixels, image->pixels, bytes) == 0;
  }
  if (st == E_FORMAT) st = OK;
out:
  image_free(&again);
  jpeg_decoder_close(&d);
  return st;
}

enum status jpeg_recode(const uint8_t *bytes, size_t size, const struct image *image,
                        struct jpeg_recoded *out) {
  enum status st = OK;
  bool same = false;
  *out = (struct jpeg_recoded){0};
  struct recoder r = {0};
  bool done = try_transcode(&r, bytes, size);
  out->bytes = r.bytes;
  out->size = r.size;
  if (!done) {
    if (r.trap.status == E_MEMORY) st = fail(E_MEMORY, "out of memory while re-coding a JPEG");
    goto out;
  }
  TRY(make_index(out));
  TRY(compare(out, image, &same));
out:
  if (!same) jpeg_recoded_free(out);
  return st;
}

void jpeg_recoded_free(struct jpeg_recoded *recoded) {
  free(recoded->bytes);
  free(recoded->restarts);
  *recoded = (struct jpeg_recoded){0};
}
