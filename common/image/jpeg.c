/* Whole JPEGs, in and out, through libjpeg-turbo. Parts of one: jpeg_decoder.c. */
#include <stdlib.h>
#include <string.h>

#include "image/image.h"
#include "image/jpeg_trap.h"

struct decoder {
  struct jpeg_decompress_struct info;
  struct jpeg_trap trap;
  struct image image;
  uint8_t *cmyk; /* one row of four-channel pixels, for CMYK files */
};

/* With the trap set. */
static enum status start(struct decoder *d, const uint8_t *bytes, size_t size) {
  jpeg_create_decompress(&d->info);
  jpeg_trap_scans(&d->trap, &d->info);
  return jpeg_read_start(&d->info, bytes, size);
}

enum status jpeg_header(const uint8_t *bytes, size_t size, struct image_header *header) {
  *header = (struct image_header){0};
  struct decoder d = {0};
  enum status st;
  jpeg_trap_set(&d.trap, (j_common_ptr)&d.info);
  if (setjmp(d.trap.jump)) {
    st = jpeg_trap_failed(&d.trap);
    goto out;
  }
  TRY(start(&d, bytes, size));
  *header =
      (struct image_header){(int32_t)d.info.image_width, (int32_t)d.info.image_height, d.info.num_components};
out:
  jpeg_destroy_decompress(&d.info);
  return st;
}

static enum status decode_rows(struct decoder *d) {
  struct jpeg_decompress_struct *info = &d->info;
  int four = info->num_components == 4;
  jpeg_settle(info);
  jpeg_start_decompress(info);
  size_t stride = (size_t)info->output_width * 3;
  d->image = (struct image){(int32_t)info->output_width, (int32_t)info->output_height, NULL};
  d->image.pixels = malloc(stride * info->output_height);
  if (four) d->cmyk = malloc((size_t)info->output_width * 4);
  if (!d->image.pixels || (four && !d->cmyk)) return fail(E_MEMORY, "out of memory while decoding a JPEG");
  while (info->output_scanline < info->output_height) {
    uint8_t *rgb = d->image.pixels + stride * info->output_scanline, *row = four ? d->cmyk : rgb;
    jpeg_read_scanlines(info, &row, 1);
    if (four) jpeg_cmyk_to_rgb(d->cmyk, rgb, info->output_width);
  }
  jpeg_finish_decompress(info); /* reads on to the end marker: its absence is a truncation too */
  return OK;
}

enum status jpeg_decode(const uint8_t *bytes, size_t size, struct image *out) {
  *out = (struct image){0};
  struct decoder d = {0};
  enum status st;
  jpeg_trap_set(&d.trap, (j_common_ptr)&d.info);
  if (setjmp(d.trap.jump)) {
    st = jpeg_trap_failed(&d.trap);
    goto out;
  }
  TRY(start(&d, bytes, size));
  TRY(decode_rows(&d));
  *out = d.image;
  d.image = (struct image){0};
out:
  jpeg_destroy_decompress(&d.info);
  image_free(&d.image);
  free(d.cmyk);
  return st;
}

struct encoder {
  struct jpeg_compress_struct info;
  struct jpeg_trap trap;
  uint8_t *bytes;
  unsigned long size;
};

static void encode_rows(struct encoder *e, const struct image *image, int quality) {
  struct jpeg_compress_struct *info = &e->info;
  jpeg_create_compress(info);
  jpeg_mem_dest(info, &e->bytes, &e->size);
  info->image_width = (JDIMENSION)image->width;
  info->image_height = (JDIMENSION)image->height;
  info->input_components = 3;
  info->in_color_space = JCS_RGB;
  jpeg_set_defaults(info);
  jpeg_set_quality(info, quality, TRUE);
  info->dct_method = JDCT_ISLOW;
  jpeg_start_compress(info, TRUE);
  while (info->next_scanline < info->image_height) {
    uint8_t *row = image->pixels + (size_t)info->next_scanline * (size_t)image->width * 3;
    jpeg_write_scanlines(info, &row, 1);
  }
  jpeg_finish_compress(info);
}

enum status jpeg_encode(const struct image *image, int quality, uint8_t **out, size_t *size) {
  *out = NULL;
  *size = 0;
  if (quality < 1 || quality > 100) return fail(E_ARG, "a JPEG's quality is 1..100, not %d", quality);
  struct encoder e = {0};
  enum status st = OK;
  jpeg_trap_set(&e.trap, (j_common_ptr)&e.info);
  if (setjmp(e.trap.jump)) {
    if (e.info.dest)
      e.info.dest->term_destination(&e.info); /* makes e.bytes the current buffer, to be freed */
    st = fail(e.trap.status == E_MEMORY ? E_MEMORY : E_ARG, "cannot encode %dx%d pixels as JPEG (%s)",
              image->width, image->height, e.trap.text);
    goto out;
  }
  encode_rows(&e, image, quality);
  *out = e.bytes;
  *size = e.size;
  e.bytes = NULL;
out:
  jpeg_destroy_compress(&e.info);
  free(e.bytes);
  return st;
}
