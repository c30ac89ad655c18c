/* JPEG through libjpeg-turbo, set so that the pixels depend on the bytes alone: the accurate integer DCT (its
 * SIMD and C versions agree bit for bit, which the fast and floating-point ones do not) and fancy upsampling.
 *
 * libjpeg reports through callbacks and longjmp. Everything that must survive a jump lives in struct decoder
 * or struct encoder, whose address is taken, not in locals of the function that calls setjmp. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "image/image.h"

enum { MAX_SCANS = 500 /* progressive files have about ten; thousands are an attack on time */ };

struct trap {
  struct jpeg_error_mgr manager; /* first: libjpeg hands out a pointer to it */
  jmp_buf jump;
  enum status status;
  char text[JMSG_LENGTH_MAX];
};

static _Noreturn void on_error(j_common_ptr info) {
  struct trap *trap = (struct trap *)info->err;
  trap->status = trap->manager.msg_code == JERR_OUT_OF_MEMORY ? E_MEMORY : E_FORMAT;
  trap->manager.format_message(info, trap->text);
  longjmp(trap->jump, 1);
}

/* Level -1 is a warning: data was missing or corrupt and libjpeg would go on with invented pixels. */
static void on_message(j_common_ptr info, int level) {
  if (level < 0) on_error(info);
}

static void on_progress(j_common_ptr info) {
  if (!info->is_decompressor) return;
  if (((j_decompress_ptr)info)->input_scan_number > MAX_SCANS) {
    struct trap *trap = (struct trap *)info->err;
    trap->status = E_FORMAT;
    snprintf(trap->text, sizeof trap->text, "more than %d scans", MAX_SCANS);
    longjmp(trap->jump, 1);
  }
}

static void set_trap(struct trap *trap, j_common_ptr info) {
  info->err = jpeg_std_error(&trap->manager);
  trap->manager.error_exit = on_error;
  trap->manager.emit_message = on_message;
}

struct decoder {
  struct jpeg_decompress_struct info;
  struct jpeg_progress_mgr progress;
  struct trap trap;
  struct image image;
  uint8_t *cmyk; /* one row of four-channel pixels, for CMYK files */
};

static enum status decode_failed(const struct decoder *d) {
  if (d->trap.status == E_MEMORY) return fail(E_MEMORY, "out of memory while decoding a JPEG");
  return fail(E_FORMAT, "a truncated or corrupt JPEG (%s)", d->trap.text);
}

/* With the trap set, reads the header and refuses sizes that nobody means. */
static enum status start(struct decoder *d, const uint8_t *bytes, size_t size) {
  jpeg_create_decompress(&d->info);
  d->progress.progress_monitor = on_progress;
  d->info.progress = &d->progress;
  jpeg_mem_src(&d->info, bytes, size);
  jpeg_read_header(&d->info, TRUE);
  uint64_t pixels = (uint64_t)d->info.image_width * d->info.image_height;
  if (pixels > IMAGE_MAX_PIXELS)
    return fail(E_FORMAT, "a JPEG of %ux%u pixels; at most %lld are supported", d->info.image_width,
                d->info.image_height, (long long)IMAGE_MAX_PIXELS);
  return OK;
}

enum status jpeg_header(const uint8_t *bytes, size_t size, struct image_header *header) {
  *header = (struct image_header){0};
  struct decoder d = {0};
  enum status st;
  set_trap(&d.trap, (j_common_ptr)&d.info);
  if (setjmp(d.trap.jump)) {
    st = decode_failed(&d);
    goto out;
  }
  TRY(start(&d, bytes, size));
  *header =
      (struct image_header){(int32_t)d.info.image_width, (int32_t)d.info.image_height, d.info.num_components};
out:
  jpeg_destroy_decompress(&d.info);
  return st;
}

/* Rounded a * b / 255. */
static uint8_t mul255(unsigned a, unsigned b) {
  unsigned t = a * b + 128;
  return (uint8_t)((t + (t >> 8)) >> 8);
}

/* Four-channel JPEGs follow Adobe's convention (as Pillow also assumes): stored values are inverted inks. */
static void cmyk_to_rgb(const uint8_t *cmyk, uint8_t *rgb, uint32_t width) {
  for (uint32_t x = 0; x < width; x++, cmyk += 4, rgb += 3)
    for (int c = 0; c < 3; c++) rgb[c] = mul255(cmyk[c], cmyk[3]);
}

static enum status decode_rows(struct decoder *d) {
  struct jpeg_decompress_struct *info = &d->info;
  int four = info->num_components == 4;
  info->out_color_space = four ? JCS_CMYK : JCS_RGB;
  info->dct_method = JDCT_ISLOW;
  info->do_fancy_upsampling = TRUE;
  jpeg_start_decompress(info);
  size_t stride = (size_t)info->output_width * 3;
  d->image = (struct image){(int32_t)info->output_width, (int32_t)info->output_height, NULL};
  d->image.pixels = malloc(stride * info->output_height);
  if (four) d->cmyk = malloc((size_t)info->output_width * 4);
  if (!d->image.pixels || (four && !d->cmyk)) return fail(E_MEMORY, "out of memory while decoding a JPEG");
  while (info->output_scanline < info->output_height) {
    uint8_t *rgb = d->image.pixels + stride * info->output_scanline, *row = four ? d->cmyk : rgb;
    jpeg_read_scanlines(info, &row, 1);
    if (four) cmyk_to_rgb(d->cmyk, rgb, info->output_width);
  }
  jpeg_finish_decompress(info); /* reads on to the end marker: its absence is a truncation too */
  return OK;
}

enum status jpeg_decode(const uint8_t *bytes, size_t size, struct image *out) {
  *out = (struct image){0};
  struct decoder d = {0};
  enum status st;
  set_trap(&d.trap, (j_common_ptr)&d.info);
  if (setjmp(d.trap.jump)) {
    st = decode_failed(&d);
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
  struct trap trap;
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
  set_trap(&e.trap, (j_common_ptr)&e.info);
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
