#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <png.h>

#include "image/image.h"

#include <cmocka.h> /* last: it has a macro called fail */

/* A smooth picture, so that JPEG keeps it nearly as it is. */
static struct image gradient(int32_t width, int32_t height) {
  struct image m = {width, height, malloc((size_t)width * (size_t)height * 3)};
  for (int32_t y = 0; y < height; y++)
    for (int32_t x = 0; x < width; x++) {
      uint8_t *p = m.pixels + 3 * ((size_t)y * (size_t)width + (size_t)x);
      p[0] = (uint8_t)(255 * x / width);
      p[1] = (uint8_t)(255 * y / height);
      p[2] = (uint8_t)(255 - 255 * (x + y) / (width + height));
    }
  return m;
}

static double mean_difference(const struct image *a, const struct image *b) {
  assert_int_equal(a->width, b->width);
  assert_int_equal(a->height, b->height);
  size_t n = (size_t)a->width * (size_t)a->height * 3;
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += abs(a->pixels[i] - b->pixels[i]);
  return sum / (double)n;
}

/* A JPEG of one flat colour in any colour space libjpeg can write. */
static uint8_t *flat_jpeg(J_COLOR_SPACE in, J_COLOR_SPACE file, const uint8_t *colour, int channels,
                          int progressive, unsigned long *size) {
  struct jpeg_compress_struct c;
  struct jpeg_error_mgr e;
  uint8_t *bytes = NULL, row[40 * 4];
  *size = 0;
  c.err = jpeg_std_error(&e);
  jpeg_create_compress(&c);
  jpeg_mem_dest(&c, &bytes, size);
  c.image_width = 40;
  c.image_height = 24;
  c.input_components = channels;
  c.in_color_space = in;
  jpeg_set_defaults(&c);
  jpeg_set_colorspace(&c, file);
  jpeg_set_quality(&c, 100, TRUE);
  if (progressive) jpeg_simple_progression(&c);
  jpeg_start_compress(&c, TRUE);
  for (int x = 0; x < 40; x++) memcpy(row + x * channels, colour, (size_t)channels);
  for (JSAMPROW r = row; c.next_scanline < c.image_height;) jpeg_write_scanlines(&c, &r, 1);
  jpeg_finish_compress(&c);
  jpeg_destroy_compress(&c);
  return bytes;
}

static void jpeg_round_trip_at_odd_sizes(void **state) {
  (void)state;
  static const int32_t sizes[][2] = {{1, 1}, {7, 5}, {16, 16}, {33, 17}, {100, 61}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    struct image m = gradient(sizes[i][0], sizes[i][1]), back;
    uint8_t *bytes;
    size_t size;
    struct image_header h;
    assert_int_equal(jpeg_encode(&m, 95, &bytes, &size), OK);
    assert_int_equal(image_sniff(bytes, size), IMAGE_JPEG);
    assert_int_equal(jpeg_header(bytes, size, &h), OK);
    assert_int_equal(h.width, m.width);
    assert_int_equal(h.height, m.height);
    assert_int_equal(h.components, 3);
    assert_int_equal(image_decode(bytes, size, &back), OK);
    double d = mean_difference(&m, &back);
    assert_true(d <= (m.width < 16 ? 12 : 3)); /* small ones have steep gradients and shared chroma */
    image_free(&m);
    image_free(&back);
    free(bytes);
  }
}

static void jpeg_of_every_colour_space_becomes_rgb(void **state) {
  (void)state;
  static const struct {
    J_COLOR_SPACE in, file;
    uint8_t colour[4];
    int channels, progressive;
    uint8_t rgb[3];
  } cases[] = {
      {JCS_GRAYSCALE, JCS_GRAYSCALE, {77}, 1, 0, {77, 77, 77}},
      {JCS_GRAYSCALE, JCS_GRAYSCALE, {77}, 1, 1, {77, 77, 77}},
      {JCS_RGB, JCS_RGB, {200, 30, 90}, 3, 0, {200, 30, 90}},
      {JCS_RGB, JCS_YCbCr, {200, 30, 90}, 3, 1, {200, 30, 90}},
      /* inverted inks: 255 is none. 128 * 200 / 255 = 100.4, 255 * 200 / 255 = 200, 0 */
      {JCS_CMYK, JCS_CMYK, {128, 255, 0, 200}, 4, 0, {100, 200, 0}},
      {JCS_CMYK, JCS_YCCK, {128, 255, 0, 200}, 4, 0, {100, 200, 0}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    unsigned long size;
    uint8_t *bytes = flat_jpeg(cases[i].in, cases[i].file, cases[i].colour, cases[i].channels,
                               cases[i].progressive, &size);
    struct image m;
    assert_int_equal(jpeg_decode(bytes, size, &m), OK);
    assert_int_equal(m.width, 40);
    assert_int_equal(m.height, 24);
    for (size_t p = 0; p < 40 * 24 * 3; p++)
      assert_in_range(m.pixels[p] + 2, cases[i].rgb[p % 3], cases[i].rgb[p % 3] + 4);
    image_free(&m);
    free(bytes);
  }
}

/* Cut anywhere, even in the end marker, a JPEG is an error and nothing is handed out. */
static void truncated_jpeg_is_an_error_at_every_length(void **state) {
  (void)state;
  struct image m = gradient(48, 40), back;
  uint8_t *bytes;
  size_t size;
  assert_int_equal(jpeg_encode(&m, 90, &bytes, &size), OK);
  for (size_t n = 0; n < size; n++) {
    uint8_t *part = malloc(n + 1); /* its own block, so that a read beyond it is caught by the sanitizer */
    memcpy(part, bytes, n);
    assert_int_equal(image_decode(part, n, &back), E_FORMAT);
    assert_null(back.pixels);
    free(part);
  }
  image_free(&m);
  free(bytes);
}

static void corrupt_jpeg_is_an_error(void **state) {
  (void)state;
  struct image m = gradient(64, 64), back;
  uint8_t *bytes;
  size_t size, i = 0;
  assert_int_equal(jpeg_encode(&m, 90, &bytes, &size), OK);
  while (!(bytes[i] == 0xff && bytes[i + 1] == 0xda)) i++; /* start of scan */
  memcpy(bytes + i + 40, (uint8_t[]){0xff, 0xd9}, 2);      /* an end marker amid the pixels */
  assert_int_equal(jpeg_decode(bytes, size, &back), E_FORMAT);
  assert_non_null(strstr(fail_message(), "truncated or corrupt JPEG"));
  image_free(&m);
  free(bytes);
}

static void huge_sizes_are_refused(void **state) {
  (void)state;
  struct image m = gradient(16, 16), back;
  uint8_t *bytes;
  size_t size, i = 0;
  assert_int_equal(jpeg_encode(&m, 90, &bytes, &size), OK);
  while (!(bytes[i] == 0xff && bytes[i + 1] == 0xc0)) i++; /* start of frame: 65500 x 65500 */
  memcpy(bytes + i + 5, (uint8_t[]){0xff, 0xdc, 0xff, 0xdc}, 4);
  assert_int_equal(jpeg_decode(bytes, size, &back), E_FORMAT);
  assert_non_null(strstr(fail_message(), "65500x65500"));
  image_free(&m);
  free(bytes);
}

static void bad_quality_is_an_argument_error(void **state) {
  (void)state;
  struct image m = gradient(2, 2), empty = {0};
  uint8_t *bytes;
  size_t size;
  assert_int_equal(jpeg_encode(&m, 0, &bytes, &size), E_ARG);
  assert_int_equal(jpeg_encode(&m, 101, &bytes, &size), E_ARG);
  assert_int_equal(jpeg_encode(&empty, 90, &bytes, &size), E_ARG);
  assert_int_equal(png_encode(&empty, &bytes, &size), E_ARG);
  image_free(&m);
}

static void png_round_trip_is_exact(void **state) {
  (void)state;
  static const int32_t sizes[][2] = {{1, 1}, {3, 200}, {257, 5}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    struct image m = gradient(sizes[i][0], sizes[i][1]), back;
    uint8_t *bytes;
    size_t size;
    assert_int_equal(png_encode(&m, &bytes, &size), OK);
    assert_int_equal(image_sniff(bytes, size), IMAGE_PNG);
    assert_int_equal(image_decode(bytes, size, &back), OK);
    assert_true(mean_difference(&m, &back) == 0);
    image_free(&back);
    for (size_t n = 0; n < size; n++) assert_int_equal(png_decode(bytes, n, &back), E_FORMAT);
    image_free(&m);
    free(bytes);
  }
}

struct sink {
  uint8_t bytes[4096];
  size_t size;
};

static void sink_write(png_structp png, png_bytep from, size_t n) {
  struct sink *s = png_get_io_ptr(png);
  assert_true(s->size + n <= sizeof s->bytes);
  memcpy(s->bytes + s->size, from, n);
  s->size += n;
}

static void sink_flush(png_structp png) { (void)png; }

/* A 2x1 PNG of the given kind from packed rows. */
static void small_png(struct sink *s, int depth, int type, const uint8_t *row, const png_color *palette,
                      const uint8_t *alpha, int interlaced) {
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
  png_infop info = png_create_info_struct(png);
  s->size = 0;
  png_set_write_fn(png, s, sink_write, sink_flush);
  png_set_IHDR(png, info, 2, 1, depth, type, interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  if (palette) png_set_PLTE(png, info, palette, 2);
  if (alpha) png_set_tRNS(png, info, alpha, 2, NULL);
  png_set_gAMA(png, info, 1.0);
  png_write_info(png, info);
  uint8_t copy[16];
  memcpy(copy, row, sizeof copy);
  png_bytep rows[1] = {copy};
  png_write_image(png, rows);
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
}

static void png_with_a_side_no_message_can_say_is_refused(void **state) {
  (void)state;
  for (int32_t width = IMAGE_MAX_SIDE; width <= IMAGE_MAX_SIDE + 1; width++) {
    struct image m = {width, 1, calloc((size_t)width, 3)}, back;
    uint8_t *bytes;
    size_t size;
    assert_non_null(m.pixels);
    assert_int_equal(png_encode(&m, &bytes, &size), OK);
    assert_int_equal(png_decode(bytes, size, &back), width > IMAGE_MAX_SIDE ? E_FORMAT : OK);
    image_free(&back);
    image_free(&m);
    free(bytes);
  }
}

static void png_of_every_kind_becomes_rgb(void **state) {
  (void)state;
  static const png_color palette[2] = {{10, 20, 30}, {200, 100, 50}};
  static const uint8_t alpha[2] = {255, 0};
  static const struct {
    int depth, type;
    uint8_t row[16];
    const png_color *palette;
    const uint8_t *alpha;
    int interlaced;
    uint8_t rgb[6];
  } cases[] = {
      {8, PNG_COLOR_TYPE_RGB, {1, 2, 3, 4, 5, 6}, NULL, NULL, 0, {1, 2, 3, 4, 5, 6}},
      {8, PNG_COLOR_TYPE_RGB, {1, 2, 3, 4, 5, 6}, NULL, NULL, 1, {1, 2, 3, 4, 5, 6}},
      {8, PNG_COLOR_TYPE_GRAY, {9, 250}, NULL, NULL, 0, {9, 9, 9, 250, 250, 250}},
      {1, PNG_COLOR_TYPE_GRAY, {0x40}, NULL, NULL, 0, {0, 0, 0, 255, 255, 255}},
      {2, PNG_COLOR_TYPE_PALETTE, {0x10}, palette, NULL, 0, {10, 20, 30, 200, 100, 50}},
      {2, PNG_COLOR_TYPE_PALETTE, {0x10}, palette, alpha, 0, {10, 20, 30, 255, 255, 255}},
      {8,
       PNG_COLOR_TYPE_RGB_ALPHA,
       {100, 0, 50, 0, 100, 0, 50, 128},
       NULL,
       NULL,
       0,
       {255, 255, 255, 177, 127, 152}},
      {16, PNG_COLOR_TYPE_GRAY, {0x80, 0x80, 0xff, 0xff}, NULL, NULL, 0, {128, 128, 128, 255, 255, 255}},
      {16, PNG_COLOR_TYPE_RGB, {0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5}, NULL, NULL, 1, {0, 1, 2, 3, 4, 5}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct sink s;
    struct image m;
    small_png(&s, cases[i].depth, cases[i].type, cases[i].row, cases[i].palette, cases[i].alpha,
              cases[i].interlaced);
    assert_int_equal(png_decode(s.bytes, s.size, &m), OK);
    assert_int_equal(m.width, 2);
    assert_int_equal(m.height, 1);
    assert_memory_equal(m.pixels, cases[i].rgb, 6);
    image_free(&m);
  }
}

static void kinds_are_told_by_content(void **state) {
  (void)state;
  static const struct {
    const char *bytes;
    size_t size;
    enum image_kind kind;
    const char *message;
  } cases[] = {
      {"", 0, IMAGE_UNKNOWN, "empty"},
      {"hello, I am a text file", 23, IMAGE_UNKNOWN, "text"},
      {"BM, said the text", 17, IMAGE_UNKNOWN, "text"},
      {"\x01\x02\x03\x04\x05\x06\x07\x08\x09", 9, IMAGE_UNKNOWN, "something else"},
      {"GIF89a......", 12, IMAGE_OTHER, "GIF"},
      {"RIFF....WEBPVP8 ", 16, IMAGE_OTHER, "WebP"},
      {"BM\x36\x03\0\0\0\0\0\0", 10, IMAGE_OTHER, "BMP"},
      {"\xff\xd8\xff", 3, IMAGE_JPEG, "JPEG"},
      {"\x89PNG\r\n\x1a\n", 8, IMAGE_PNG, "PNG"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct image m;
    const uint8_t *bytes = (const uint8_t *)cases[i].bytes;
    assert_int_equal(image_sniff(bytes, cases[i].size), cases[i].kind);
    assert_int_equal(image_decode(bytes, cases[i].size, &m), E_FORMAT);
    assert_non_null(strstr(fail_message(), cases[i].message));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(jpeg_round_trip_at_odd_sizes),
                                     cmocka_unit_test(jpeg_of_every_colour_space_becomes_rgb),
                                     cmocka_unit_test(truncated_jpeg_is_an_error_at_every_length),
                                     cmocka_unit_test(corrupt_jpeg_is_an_error),
                                     cmocka_unit_test(huge_sizes_are_refused),
                                     cmocka_unit_test(bad_quality_is_an_argument_error),
                                     cmocka_unit_test(png_round_trip_is_exact),
                                     cmocka_unit_test(png_with_a_side_no_message_can_say_is_refused),
                                     cmocka_unit_test(png_of_every_kind_becomes_rgb),
                                     cmocka_unit_test(kinds_are_told_by_content)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
