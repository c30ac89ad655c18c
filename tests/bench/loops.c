/* loops: nanoseconds per pixel of each pixel loop with each instruction set of this CPU, one thread. One JSON
 * line per loop; the least of many rounds counts, as other load only ever adds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cli.h"
#include "base/clock.h"
#include "base/rng.h"
#include "image/blur.h"
#include "image/color.h"
#include "image/isa.h"
#include "image/resize.h"

struct options {
  int64_t size, ms;
  const char *only;
};

static const struct opt opts[] = {
    {"size", OPT_INT, offsetof(struct options, size), "224", "side of a view, pixels"},
    {"ms", OPT_INT, offsetof(struct options, ms), "30", "time for each loop and instruction set"},
    {"only", OPT_STR, offsetof(struct options, only), NULL, "the loops whose name contains this"},
    {0}};

/* A view of `side` pixels; the source is a quarter larger each way, as crops of photographs usually are. */
struct site {
  int32_t side;
  struct extent source;
  uint8_t *pixels, *bytes;
  struct planes view;
  struct workspace work;
};

static enum status resize(struct site *s, enum filter filter) {
  struct resize job = {s->source, {s->side, s->side}, {0, 0, s->side, s->side}, filter};
  struct planes out;
  return resize_rgb8(&s->work, &job, s->pixels, (struct rect){0, 0, s->source.width, s->source.height}, &out);
}

static enum status resize_bilinear(struct site *s) { return resize(s, FILTER_BILINEAR); }
static enum status resize_bicubic(struct site *s) { return resize(s, FILTER_BICUBIC); }

static enum status resize_floats(struct site *s) {
  struct rect have = {0, 0, s->side, s->side};
  struct resize job = {{s->side, s->side}, {s->side, s->side}, have, FILTER_BILINEAR};
  struct planes out;
  return resize_planes(&s->work, &job, &s->view, have, &out);
}

static enum status blur(struct site *s, double sigma) {
  struct planes out;
  return blur_gaussian(&s->work, &s->view, s->side >= 224 ? 23 : 9, sigma, &out);
}

static enum status blur_narrow(struct site *s) { return blur(s, 0.3); }
static enum status blur_wide(struct site *s) { return blur(s, 1.9); }

#define IN_PLACE(name, call)                                                                                 \
  static enum status name(struct site *s) {                                                                  \
    call;                                                                                                    \
    return OK;                                                                                               \
  }
IN_PLACE(brightness, color_brightness(&s->view, 0.999F))
IN_PLACE(contrast, color_contrast(&s->view, 1.001F))
IN_PLACE(saturation, color_saturation(&s->view, 1.001F))
IN_PLACE(hue, color_hue(&s->view, 0.001F))
IN_PLACE(jitter, color_chain(&s->view,
                             (struct color_step[]){{COLOR_BRIGHTNESS, 0.999F},
                                                   {COLOR_SATURATION, 1.001F},
                                                   {COLOR_CONTRAST, 1.001F},
                                                   {COLOR_HUE, 0.001F}},
                             4))
IN_PLACE(hflip, planes_hflip(&s->view))
IN_PLACE(gray, color_gray(&s->view))
IN_PLACE(from_rgb8, planes_from_rgb8(&s->view, s->pixels, 3 * (size_t)s->source.width))
IN_PLACE(to_rgb8, planes_to_rgb8(&s->view, s->bytes))

static const struct loop {
  const char *name;
  enum status (*run)(struct site *);
} loops[] = {{"from_rgb8", from_rgb8},
             {"brightness", brightness},
             {"contrast", contrast},
             {"saturation", saturation},
             {"hue", hue},
             {"jitter", jitter},
             {"hflip", hflip},
             {"blur_narrow", blur_narrow},
             {"blur_wide", blur_wide},
             {"to_rgb8", to_rgb8},
             {"resize_bilinear", resize_bilinear},
             {"resize_bicubic", resize_bicubic},
             {"resize_floats", resize_floats},
             {"gray", gray}};

static enum status site_open(struct site *s, int64_t size) {
  if (size < 1 || size > 4096) return fail(E_ARG, "--size must lie between 1 and 4096");
  s->side = (int32_t)size;
  s->source = (struct extent){s->side + s->side / 4, s->side + s->side / 4};
  size_t n = (size_t)size * (size_t)size, source = (size_t)s->source.width * (size_t)s->source.height;
  float *planes = malloc(3 * n * sizeof *planes);
  s->pixels = malloc(3 * source);
  s->bytes = malloc(3 * n);
  s->view = (struct planes){s->side, s->side, {planes, planes + n, planes + 2 * n}};
  if (!planes || !s->pixels || !s->bytes) return fail(E_MEMORY, "out of memory");
  struct rng r = rng_at(1, 0, 0, 0);
  for (size_t i = 0; i < 3 * source; i++) s->pixels[i] = (uint8_t)rng_next(&r);
  return OK;
}

static void site_close(struct site *s) {
  free(s->view.plane[0]);
  free(s->pixels);
  free(s->bytes);
  workspace_free(&s->work);
}

/* The least time of one round, nanoseconds. */
static enum status measure(struct site *s, const struct loop *loop, int64_t ms, double *least) {
  int64_t end = clock_ns() + ms * 1000000;
  *least = 1e18;
  do {
    int64_t start = clock_ns();
    enum status st = loop->run(s);
    if (st != OK) return st;
    double ns = (double)(clock_ns() - start);
    *least = ns < *least ? ns : *least;
  } while (clock_ns() < end);
  return OK;
}

static enum status measure_all(struct site *s, const struct loop *loop, int64_t ms) {
  double pixels = (double)s->side * s->side, least;
  printf("{\"loop\": \"%s\", \"size\": %d", loop->name, s->side);
  for (int isa = 0; isa < ISA_COUNT; isa++) {
    if (!isa_usable((enum isa)isa)) continue;
    enum status st = isa_select(isa_names[isa]);
    from_rgb8(s);
    if (st == OK) st = measure(s, loop, ms, &least);
    if (st != OK) return st;
    printf(", \"%s\": %.3f", isa_names[isa], least / pixels);
  }
  puts("}");
  return OK;
}

static enum status run(void *state) {
  const struct options *o = state;
  struct site s = {0};
  enum status st = site_open(&s, o->size);
  for (size_t i = 0; st == OK && i < sizeof loops / sizeof *loops; i++)
    if (!o->only || strstr(loops[i].name, o->only)) st = measure_all(&s, &loops[i], o->ms);
  site_close(&s);
  return st;
}

int main(int argc, char **argv) {
  const struct command commands[] = {
      {NULL, "measures every pixel loop", sizeof(struct options), opts, NULL, run}, {0}};
  const struct program program = {"loops", "nanoseconds per pixel of each loop and instruction set",
                                  commands};
  return cli_main(&program, argc, argv);
}
