/* Any part of any JPEG, decoded alone, is byte for byte that part of the whole. */
#include "test.h"

#include <jpeglib.h>

#include "base/rng.h"
#include "image/image.h"
#include "image/jpeg.h"
#include "image/jpeg_recode.h"
#include "image/shrink.h"

enum { KINDS = 19, FORMS = 8, REGIONS = 16 };

static const struct kind {
  const char *name;
  int components;
  J_COLOR_SPACE space;
  int h[4], v[4]; /* sampling factors */
} kinds[KINDS] = {
    {"4:4:4", 3, JCS_YCbCr, {1, 1, 1}, {1, 1, 1}},
    {"4:2:2", 3, JCS_YCbCr, {2, 1, 1}, {1, 1, 1}},
    {"4:2:0", 3, JCS_YCbCr, {2, 1, 1}, {2, 1, 1}},
    {"4:4:0", 3, JCS_YCbCr, {1, 1, 1}, {2, 1, 1}},
    {"4:1:1", 3, JCS_YCbCr, {4, 1, 1}, {1, 1, 1}},
    {"4:1:0", 3, JCS_YCbCr, {4, 1, 1}, {2, 1, 1}},
    {"4:4:1", 3, JCS_YCbCr, {1, 1, 1}, {4, 1, 1}},
    {"3:1", 3, JCS_YCbCr, {3, 1, 1}, {1, 1, 1}},
    {"1:3", 3, JCS_YCbCr, {1, 1, 1}, {3, 1, 1}},
    {"grey", 1, JCS_GRAYSCALE, {1}, {1}},
    {"grey 2x2", 1, JCS_GRAYSCALE, {2}, {2}},
    {"rgb", 3, JCS_RGB, {1, 1, 1}, {1, 1, 1}},
    {"cmyk", 4, JCS_CMYK, {1, 1, 1, 1}, {1, 1, 1, 1}},
    {"ycck 4:2:0", 4, JCS_YCCK, {2, 1, 1, 2}, {2, 1, 1, 2}},
    {"two chroma sizes", 3, JCS_YCbCr, {2, 2, 1}, {2, 1, 1}},
    {"three sizes", 3, JCS_YCbCr, {4, 2, 1}, {1, 1, 1}},
    {"large chroma", 3, JCS_YCbCr, {1, 1, 2}, {1, 1, 2}},
    {"mixed", 3, JCS_YCbCr, {2, 1, 2}, {1, 2, 2}},
    {"4:2:0 rgb", 3, JCS_RGB, {2, 1, 1}, {2, 1, 1}},
};

static const struct form {
  bool progressive, arithmetic, optimized;
  int restart_rows, restart_interval;
  int scans; /* of a progressive file; 0: all */
} forms[FORMS] = {{0},
                  {.progressive = true},
                  {.arithmetic = true},
                  {.progressive = true, .arithmetic = true},
                  {.restart_rows = 1},
                  {.restart_interval = 3},
                  {.progressive = true, .restart_rows = 1},
                  {.progressive = true, .scans = 2}};

static const int32_t sizes[][2] = {{1, 1},   {2, 2},   {3, 5},   {8, 8},   {15, 17},
                                   {16, 16}, {31, 33}, {47, 50}, {64, 33}, {130, 41},
                                   {1, 90},  {90, 1},  {2, 70},  {70, 2},  {35, 120}};

/* Noise over a gradient: neighbours differ everywhere, so no wrong context goes unseen. */
static uint8_t *make(const struct kind *k, const struct form *f, const int32_t size[2], struct rng *r,
                     unsigned long *bytes) {
  struct jpeg_compress_struct c;
  struct jpeg_error_mgr e;
  uint8_t *out = NULL, row[130 * 4];
  *bytes = 0;
  c.err = jpeg_std_error(&e);
  jpeg_create_compress(&c);
  jpeg_mem_dest(&c, &out, bytes);
  c.image_width = (JDIMENSION)size[0];
  c.image_height = (JDIMENSION)size[1];
  c.input_components = k->components;
  c.in_color_space = k->components == 1 ? JCS_GRAYSCALE : k->components == 3 ? JCS_RGB : JCS_CMYK;
  jpeg_set_defaults(&c);
  jpeg_set_colorspace(&c, k->space);
  jpeg_set_quality(&c, 90, TRUE);
  for (int i = 0; i < k->components; i++) {
    c.comp_info[i].h_samp_factor = k->h[i];
    c.comp_info[i].v_samp_factor = k->v[i];
  }
  if (f->progressive) jpeg_simple_progression(&c);
  if (f->scans && c.num_scans > f->scans) c.num_scans = f->scans;
  c.arith_code = f->arithmetic;
  c.optimize_coding = f->optimized;
  c.restart_in_rows = f->restart_rows;
  c.restart_interval = (unsigned)f->restart_interval;
  jpeg_start_compress(&c, TRUE);
  while (c.next_scanline < c.image_height) {
    for (int i = 0; i < size[0] * k->components; i++)
      row[i] = (uint8_t)(rng_below(rng_next(r), 96) +
                         ((unsigned)(i / k->components) * 5 + c.next_scanline * 3) % 160);
    JSAMPROW at = row;
    jpeg_write_scanlines(&c, &at, 1);
  }
  jpeg_finish_compress(&c);
  jpeg_destroy_compress(&c);
  return out;
}

/* The first ones touch every border, the others lie anywhere. */
static struct rect draw_region(struct rng *r, int i, int32_t width, int32_t height) {
  if (i == 0) return (struct rect){0, 0, width, height};
  if (i == 1) return (struct rect){width - 1, height - 1, 1, 1};
  if (i == 2) return (struct rect){0, height / 2, width, 1};
  if (i == 3) return (struct rect){width / 2, 0, 1, height};
  if (i == 4) return (struct rect){0, 0, 1, height};
  struct rect p = {.left = (int32_t)rng_below(rng_next(r), (uint32_t)width),
                   .top = (int32_t)rng_below(rng_next(r), (uint32_t)height)};
  p.width = 1 + (int32_t)rng_below(rng_next(r), (uint32_t)(width - p.left));
  p.height = 1 + (int32_t)rng_below(rng_next(r), (uint32_t)(height - p.top));
  return p;
}

static void expect_part(const struct image *whole, struct rect p, const uint8_t *part, const char *what) {
  for (int32_t y = 0; y < p.height; y++)
    if (memcmp(part + 3 * (size_t)y * (size_t)p.width,
               whole->pixels + 3 * ((size_t)(p.top + y) * (size_t)whole->width + (size_t)p.left),
               3 * (size_t)p.width) != 0)
      fail_msg("%s of %dx%d pixels: row %d of the part %d,%d %dx%d differs from the whole image's", what,
               whole->width, whole->height, y, p.left, p.top, p.width, p.height);
}

static void check_regions(struct jpeg_decoder *d, const struct jpeg_file *file, const struct image *whole,
                          struct rng *r, const char *what) {
  for (int i = 0; i < REGIONS; i++) {
    struct rect p = draw_region(r, i, whole->width, whole->height);
    uint8_t *part = malloc(3 * (size_t)p.width * (size_t)p.height); /* its own, so that asan sees its end */
    assert_int_equal(jpeg_decode_region(d, file, p, part), OK);
    expect_part(whole, p, part, what);
    free(part);
  }
}

/* The file as it is, and re-coded. */
static void check_file(struct jpeg_decoder *d, const uint8_t *bytes, size_t size, struct rng *r,
                       const char *what) {
  struct image whole;
  struct jpeg_recoded re;
  assert_int_equal(jpeg_decode(bytes, size, &whole), OK);
  const struct extent extent = {whole.width, whole.height};
  check_regions(d, &(struct jpeg_file){.bytes = bytes, .size = size, .whole = extent}, &whole, r, what);
  assert_int_equal(jpeg_recode(bytes, size, &whole, &re), OK);
  assert_non_null(re.bytes);
  check_regions(d, &(struct jpeg_file){re.bytes, re.size, extent, re.restarts, re.n_restarts}, &whole, r,
                what);
  jpeg_recoded_free(&re);
  image_free(&whole);
}

/* The whole at 1/k of its size, as libjpeg decodes it. */
static struct image decode_shrunken(const uint8_t *bytes, size_t size, int32_t k) {
  struct jpeg_decompress_struct d;
  struct jpeg_error_mgr e;
  d.err = jpeg_std_error(&e);
  jpeg_create_decompress(&d);
  jpeg_mem_src(&d, bytes, size);
  jpeg_read_header(&d, TRUE);
  d.out_color_space = JCS_RGB;
  d.scale_denom = (unsigned)k;
  d.do_block_smoothing = FALSE;
  jpeg_start_decompress(&d);
  struct image m = {(int32_t)d.output_width, (int32_t)d.output_height, NULL};
  m.pixels = malloc(3 * (size_t)m.width * (size_t)m.height);
  while (d.output_scanline < d.output_height) {
    JSAMPROW row = m.pixels + 3 * (size_t)d.output_scanline * (size_t)m.width;
    jpeg_read_scanlines(&d, &row, 1);
  }
  jpeg_destroy_decompress(&d);
  return m;
}

static void any_part_of_a_scaled_image(void **state) {
  (void)state;
  struct jpeg_decoder *d;
  assert_int_equal(jpeg_decoder_open(&d), OK);
  for (uint32_t k = 0; k < KINDS; k++)
    for (uint32_t s = 0; s < sizeof sizes / sizeof *sizes && kinds[k].components != 4; s++)
      for (int32_t shrink = 2; shrink <= 8; shrink *= 2) {
        struct rng r = rng_at(5, k, s, (uint32_t)shrink);
        unsigned long size;
        uint8_t *bytes = make(&kinds[k], &forms[s % FORMS], sizes[s], &r, &size);
        struct image whole = decode_shrunken(bytes, size, shrink);
        const struct rect all = shrink_rect((struct rect){0, 0, sizes[s][0], sizes[s][1]}, shrink);
        assert_int_equal(whole.width, all.width);
        assert_int_equal(whole.height, all.height);
        const struct jpeg_file file = {
            .bytes = bytes, .size = size, .whole = {sizes[s][0], sizes[s][1]}, .shrink = shrink};
        check_regions(d, &file, &whole, &r, kinds[k].name);
        image_free(&whole);
        free(bytes);
      }
  jpeg_decoder_close(&d);
}

static void any_part_of_any_kind_of_file(void **state) {
  (void)state;
  struct jpeg_decoder *d;
  assert_int_equal(jpeg_decoder_open(&d), OK);
  for (uint32_t k = 0; k < KINDS; k++)
    for (uint32_t f = 0; f < FORMS; f++)
      for (uint32_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        char what[64];
        struct rng r = rng_at(1, k, f, s);
        unsigned long size;
        uint8_t *bytes = make(&kinds[k], &forms[f], sizes[s], &r, &size);
        snprintf(what, sizeof what, "%s, form %u,", kinds[k].name, f);
        check_file(d, bytes, size, &r, what);
        free(bytes);
      }
  jpeg_decoder_close(&d);
  assert_null(d);
}

/* After an error a decoder works on as if nothing had been. */
static void errors_leave_a_decoder_usable(void **state) {
  (void)state;
  struct jpeg_decoder *d;
  struct rng r = rng_at(2, 0, 0, 0);
  unsigned long size;
  static const int32_t side[2] = {64, 48};
  uint8_t *bytes = make(&kinds[2], &forms[0], side, &r, &size), out[64 * 48 * 3];
  const struct rect all = {0, 0, 64, 48}, top = {0, 0, 64, 8};
  assert_int_equal(jpeg_decoder_open(&d), OK);
  for (size_t n = 0; n + 2 < size; n += 7) {
    uint8_t *cut = malloc(n + 1);
    memcpy(cut, bytes, n);
    assert_int_equal(jpeg_decode_region(d, &(struct jpeg_file){cut, n, {64, 48}}, all, out), E_FORMAT);
    free(cut);
    if (n % 5 == 0)
      assert_int_equal(jpeg_decode_region(d, &(struct jpeg_file){bytes, size, {64, 48}}, all, out), OK);
  }
  /* what lies below the part is not looked at */
  assert_int_equal(jpeg_decode_region(d, &(struct jpeg_file){bytes, size - 200, {64, 48}}, top, out), OK);
  assert_int_equal(jpeg_decode_region(d, &(struct jpeg_file){bytes, size, {64, 47}}, top, out), E_FORMAT);
  assert_non_null(strstr(fail_message(), "a JPEG of 64x48 pixels where 64x47 are expected"));
  jpeg_decoder_close(&d);
  free(bytes);
}

/* `bytes` without its segments of one kind; returns the new size. */
static size_t without_segments(uint8_t *bytes, size_t size, uint8_t marker) {
  enum { SOS = 0xda };
  size_t at = 2;
  while (bytes[at + 1] != SOS) {
    size_t n = 2 + (size_t)(bytes[at + 2] << 8 | bytes[at + 3]);
    if (bytes[at + 1] == marker)
      memmove(bytes + at, bytes + at + n, (size -= n) - at);
    else
      at += n;
  }
  return size;
}

/* Frames of MJPEG have no Huffman tables and mean the standard's; a file without quantization tables is broken.
 * Neither may borrow from the image that was decoded before. */
static void no_image_uses_tables_of_the_one_before(void **state) {
  (void)state;
  enum { DHT = 0xc4, DQT = 0xdb };
  static const int32_t side[2] = {31, 33};
  static const struct rect part = {3, 5, 20, 20};
  static uint8_t out[20 * 20 * 3];
  struct jpeg_decoder *d;
  struct image whole;
  struct rng r = rng_at(5, 0, 0, 0);
  unsigned long n_frame, n_broken, n_other;
  uint8_t *frame = make(&kinds[1], &forms[0], side, &r, &n_frame);
  uint8_t *broken = make(&kinds[1], &forms[0], side, &r, &n_broken);
  uint8_t *other = make(&kinds[1], &(struct form){.optimized = true}, side, &r, &n_other);
  n_frame = without_segments(frame, n_frame, DHT);
  n_broken = without_segments(broken, n_broken, DQT);
  assert_int_equal(jpeg_decoder_open(&d), OK);
  assert_int_equal(jpeg_decode(frame, n_frame, &whole), OK);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(jpeg_decode_region(d, &(struct jpeg_file){other, n_other, {31, 33}}, part, out), OK);
    assert_int_equal(jpeg_decode_region(d, &(struct jpeg_file){frame, n_frame, {31, 33}}, part, out), OK);
    expect_part(&whole, part, out, "a frame without Huffman tables");
    assert_int_equal(jpeg_decode_region(d, &(struct jpeg_file){broken, n_broken, {31, 33}}, part, out),
                     E_FORMAT);
  }
  image_free(&whole);
  jpeg_decoder_close(&d);
  free(frame);
  free(broken);
  free(other);
}

/* An index that is not the file's is an error, wherever it is wrong within the part. */
static void a_wrong_index_is_an_error(void **state) {
  (void)state;
  struct jpeg_decoder *d;
  struct jpeg_recoded re;
  struct image whole;
  struct rng r = rng_at(3, 0, 0, 0);
  unsigned long size;
  static const int32_t side[2] = {130, 41};
  uint8_t *bytes = make(&kinds[0], &forms[0], side, &r, &size), out[130 * 41 * 3];
  assert_int_equal(jpeg_decoder_open(&d), OK);
  assert_int_equal(jpeg_decode(bytes, size, &whole), OK);
  assert_int_equal(jpeg_recode(bytes, size, &whole, &re), OK);
  assert_int_equal(re.n_restarts, (17 * 6 + 7) / 8); /* blocks of the image, eight of them an interval */
  struct jpeg_file file = {re.bytes, re.size, {130, 41}, re.restarts, re.n_restarts};
  for (size_t i = 0; i < 4 * re.n_restarts; i++) {
    re.restarts[i] ^= 1;
    assert_int_equal(jpeg_decode_region(d, &file, (struct rect){0, 0, 130, 41}, out), E_FORMAT);
    assert_non_null(strstr(fail_message(), "index of restart intervals"));
    re.restarts[i] ^= 1;
  }
  file.n_restarts--;
  assert_int_equal(jpeg_decode_region(d, &file, (struct rect){0, 0, 1, 1}, out), E_FORMAT);
  file = (struct jpeg_file){bytes, size, {130, 41}, re.restarts, re.n_restarts}; /* without markers */
  assert_int_equal(jpeg_decode_region(d, &file, (struct rect){0, 0, 1, 1}, out), E_FORMAT);
  file = (struct jpeg_file){re.bytes, re.size, {130, 41}, re.restarts, re.n_restarts};
  assert_int_equal(jpeg_decode_region(d, &file, (struct rect){0, 0, 130, 41}, out), OK);
  expect_part(&whole, (struct rect){0, 0, 130, 41}, out, "the right index");
  jpeg_recoded_free(&re);
  image_free(&whole);
  jpeg_decoder_close(&d);
  free(bytes);
}

/* Whatever is broken, a part is what libjpeg makes of the whole, or an error where that is one. */
static void damaged_files_are_judged_by_libjpeg(void **state) {
  (void)state;
  struct jpeg_decoder *d;
  int whole_files = 0, parts = 0;
  assert_int_equal(jpeg_decoder_open(&d), OK);
  for (uint32_t i = 0; i < 600; i++) {
    struct rng r = rng_at(4, i, 0, 0);
    unsigned long size;
    static const int32_t side[2] = {64, 33};
    static uint8_t out[64 * 33 * 3];
    uint8_t *bytes = make(&kinds[i % 4], &forms[i % 3 ? 0 : 4], side, &r, &size);
    bytes[size - 1 - rng_below(rng_next(&r), (uint32_t)size / 2)] ^=
        (uint8_t)(1U << rng_below(rng_next(&r), 8));
    struct image whole;
    struct rect all = {0, 0, 64, 33};
    bool fine = jpeg_decode(bytes, size, &whole) == OK;
    const struct jpeg_file file = {.bytes = bytes, .size = size, .whole = {64, 33}};
    enum status st = jpeg_decode_region(d, &file, all, out);
    if (fine) assert_int_equal(st, OK);
    if (fine) expect_part(&whole, all, out, "a damaged file");
    whole_files += fine;
    parts += st == OK;
    image_free(&whole);
    free(bytes);
  }
  assert_in_range(whole_files, 100, 590); /* both outcomes did occur */
  assert_in_range(parts, whole_files, 600);
  jpeg_decoder_close(&d);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(any_part_of_any_kind_of_file),
                                     cmocka_unit_test(any_part_of_a_scaled_image),
                                     cmocka_unit_test(errors_leave_a_decoder_usable),
                                     cmocka_unit_test(no_image_uses_tables_of_the_one_before),
                                     cmocka_unit_test(a_wrong_index_is_an_error),
                                     cmocka_unit_test(damaged_files_are_judged_by_libjpeg)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
