/* PNG through libpng's classic interface: its simplified one would apply the file's gamma, which no other
 * loader of training images does. Everything that must survive libpng's longjmp lives in structs whose
 * address is taken. */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "base/file.h"
#include "image/image.h"

struct trap {
  jmp_buf jump;
  char text[128];
};

static _Noreturn void on_error(png_structp png, png_const_charp text) {
  struct trap *trap = png_get_error_ptr(png);
  strncpy(trap->text, text, sizeof trap->text - 1);
  longjmp(trap->jump, 1);
}

static void on_warning(png_structp png,
                       png_const_charp text) { /* about ancillary chunks: no pixel depends on it */
  (void)png;
  (void)text;
}

struct decoder {
  png_structp png;
  png_infop info;
  struct trap trap;
  const uint8_t *at, *end;
  uint32_t width, height;
  uint8_t *rgba, **rows;
  struct image image;
};

static void read_bytes(png_structp png, png_bytep to, size_t n) {
  struct decoder *d = png_get_io_ptr(png);
  if ((size_t)(d->end - d->at) < n) png_error(png, "it ends too early");
  memcpy(to, d->at, n);
  d->at += n;
}

/* Makes every variant 8-bit RGBA. */
static void set_transforms(struct decoder *d) {
  png_set_expand(d->png); /* palette to RGB, low-depth grey to 8 bits, tRNS to alpha */
  png_set_scale_16(d->png);
  png_set_gray_to_rgb(d->png);
  png_set_add_alpha(d->png, 255, PNG_FILLER_AFTER);
  png_set_interlace_handling(d->png);
  png_read_update_info(d->png, d->info);
}

static enum status read_header(struct decoder *d) {
  png_set_read_fn(d->png, d, read_bytes);
  png_set_user_limits(d->png, INT32_MAX, INT32_MAX);
  png_read_info(d->png, d->info);
  d->width = png_get_image_width(d->png, d->info);
  d->height = png_get_image_height(d->png, d->info);
  if (d->width > IMAGE_MAX_SIDE || d->height > IMAGE_MAX_SIDE)
    return fail(E_FORMAT, "a PNG of %ux%u pixels; a side of at most %d is supported", d->width, d->height,
                IMAGE_MAX_SIDE);
  if ((uint64_t)d->width * d->height > IMAGE_MAX_PIXELS)
    return fail(E_FORMAT, "a PNG of %ux%u pixels; at most %lld are supported", d->width, d->height,
                (long long)IMAGE_MAX_PIXELS);
  return OK;
}

static enum status read_pixels(struct decoder *d) {
  set_transforms(d);
  size_t stride = (size_t)d->width * 4, pixels = (size_t)d->width * d->height;
  d->rgba = malloc(stride * d->height);
  d->rows = malloc(d->height * sizeof *d->rows);
  d->image = (struct image){(int32_t)d->width, (int32_t)d->height, malloc(pixels * 3)};
  if (!d->rgba || !d->rows || !d->image.pixels) return fail(E_MEMORY, "out of memory while decoding a PNG");
  for (uint32_t y = 0; y < d->height; y++) d->rows[y] = d->rgba + y * stride;
  png_read_image(d->png, d->rows);
  png_read_end(d->png, NULL);
  for (size_t i = 0; i < pixels; i++) { /* over white */
    unsigned a = d->rgba[4 * i + 3];
    for (int c = 0; c < 3; c++)
      d->image.pixels[3 * i + (size_t)c] =
          (uint8_t)((d->rgba[4 * i + (size_t)c] * a + 255 * (255 - a) + 127) / 255);
  }
  return OK;
}

enum status png_decode(const uint8_t *bytes, size_t size, struct image *out) {
  *out = (struct image){0};
  struct decoder d = {.at = bytes, .end = bytes + size};
  enum status st;
  d.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &d.trap, on_error, on_warning);
  if (d.png) d.info = png_create_info_struct(d.png);
  if (!d.info) {
    st = fail(E_MEMORY, "out of memory while decoding a PNG");
    goto out;
  }
  if (setjmp(d.trap.jump)) {
    st = fail(E_FORMAT, "a truncated or corrupt PNG (%s)", d.trap.text);
    goto out;
  }
  TRY(read_header(&d));
  TRY(read_pixels(&d));
  *out = d.image;
  d.image = (struct image){0};
out:
  png_destroy_read_struct(&d.png, &d.info, NULL);
  image_free(&d.image);
  free(d.rgba);
  free(d.rows);
  return st;
}

struct encoder {
  png_structp png;
  png_infop info;
  struct trap trap;
  uint8_t *bytes;
  size_t size, room;
};

static void write_bytes(png_structp png, png_bytep from, size_t n) {
  struct encoder *e = png_get_io_ptr(png);
  if (e->room - e->size < n) {
    size_t room = e->room * 2 + n + 4096;
    uint8_t *grown = realloc(e->bytes, room);
    if (!grown) png_error(png, "out of memory");
    e->bytes = grown;
    e->room = room;
  }
  memcpy(e->bytes + e->size, from, n);
  e->size += n;
}

static void flush_bytes(png_structp png) { (void)png; }

static void write_image(struct encoder *e, const struct image *image) {
  png_set_write_fn(e->png, e, write_bytes, flush_bytes);
  png_set_IHDR(e->png, e->info, (uint32_t)image->width, (uint32_t)image->height, 8, PNG_COLOR_TYPE_RGB,
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(e->png, e->info);
  for (int32_t y = 0; y < image->height; y++)
    png_write_row(e->png, image->pixels + (size_t)y * (size_t)image->width * 3);
  png_write_end(e->png, e->info);
}

enum status png_encode(const struct image *image, uint8_t **out, size_t *size) {
  *out = NULL;
  *size = 0;
  struct encoder e = {0};
  enum status st;
  e.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &e.trap, on_error, on_warning);
  if (e.png) e.info = png_create_info_struct(e.png);
  if (!e.info) {
    st = fail(E_MEMORY, "out of memory while encoding a PNG");
    goto out;
  }
  if (setjmp(e.trap.jump)) {
    st = fail(E_ARG, "cannot encode %dx%d pixels as PNG (%s)", image->width, image->height, e.trap.text);
    goto out;
  }
  write_image(&e, image);
  *out = e.bytes;
  *size = e.size;
  e.bytes = NULL;
  st = OK;
out:
  png_destroy_write_struct(&e.png, &e.info);
  free(e.bytes);
  return st;
}

enum status png_write(const char *path, const struct image *image) {
  uint8_t *bytes = NULL;
  size_t size;
  enum status st = png_encode(image, &bytes, &size);
  if (st == OK) st = file_write(path, bytes, size);
  free(bytes);
  return st;
}
