#include "ingest/shapes.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/rng.h"

enum {
  SAMPLES = 4 /* per pixel and axis */,
  TEXTURES = 5,
  STREAM_SCENE = 0x5348 /* apart from other uses of the seed */
};

struct point {
  double x, y;
};

/* --- Kinds: each in its own units, y up; `area` scales them to the same size --- */

static bool in_circle(struct point p) { return p.x * p.x + p.y * p.y < 1; }
static bool in_square(struct point p) { return fabs(p.x) < 1 && fabs(p.y) < 1; }
static bool in_bar(struct point p) { return fabs(p.x) < 1 && fabs(p.y) < 0.3; }

static bool in_ring(struct point p) {
  double r2 = p.x * p.x + p.y * p.y;
  return r2 < 1 && r2 > 0.6 * 0.6;
}

static bool in_cross(struct point p) {
  double x = fabs(p.x), y = fabs(p.y);
  return (x < 1 && y < 0.35) || (y < 1 && x < 0.35);
}

static bool in_crescent(struct point p) {
  double dx = p.x - 0.5;
  return in_circle(p) && dx * dx + p.y * p.y > 0.85 * 0.85;
}

static bool in_heart(struct point p) {
  double x2 = p.x * p.x, y2 = p.y * p.y, q = x2 + y2 - 1;
  return q * q * q < x2 * y2 * p.y;
}

/* Even-odd rule. */
static bool in_polygon(struct point p, const struct point *v, int n) {
  bool inside = false;
  for (int i = 0, j = n - 1; i < n; j = i++)
    if ((v[i].y > p.y) != (v[j].y > p.y) &&
        p.x < (v[j].x - v[i].x) * (p.y - v[i].y) / (v[j].y - v[i].y) + v[i].x)
      inside = !inside;
  return inside;
}

static bool in_triangle(struct point p) {
  static const struct point v[] = {{0, 1}, {-0.8660254037844386, -0.5}, {0.8660254037844386, -0.5}};
  return in_polygon(p, v, 3);
}

static bool in_star(struct point p) { /* five points; inner radius 0.4 */
  static const struct point v[] = {{0, 1},
                                   {-0.23511410091698925, 0.3236067977499790},
                                   {-0.9510565162951535, 0.3090169943749474},
                                   {-0.3804226065180614, -0.12360679774997896},
                                   {-0.5877852522924731, -0.8090169943749475},
                                   {0, -0.4},
                                   {0.5877852522924731, -0.8090169943749475},
                                   {0.3804226065180614, -0.12360679774997896},
                                   {0.9510565162951535, 0.3090169943749474},
                                   {0.23511410091698925, 0.3236067977499790}};
  return in_polygon(p, v, 10);
}

static bool in_arrow(struct point p) {
  static const struct point v[] = {{-1, -0.25}, {0, -0.25}, {0, -0.7}, {1, 0},
                                   {0, 0.7},    {0, 0.25},  {-1, 0.25}};
  return in_polygon(p, v, 7);
}

static const struct kind {
  bool (*inside)(struct point p);
  double area, radius; /* radius of the circle around the origin that holds it */
} kinds[SHAPE_KINDS] = {
    {in_circle, 3.141592653589793, 1},
    {in_square, 4, 1.4142135623730951},
    {in_triangle, 1.299038105676658, 1},
    {in_star, 1.1755705045849463, 1},
    {in_cross, 2.31, 1.0594810050208545},
    {in_ring, 2.0106192982974678, 1},
    {in_crescent, 1.39296, 1},
    {in_heart, 3.66196, 1.4246},
    {in_bar, 1.2, 1.0440306508910550},
    {in_arrow, 1.2, 1.0307764064044151},
};

const char *const shape_kinds[SHAPE_KINDS] = {"circle", "square",   "triangle", "star", "cross",
                                              "ring",   "crescent", "heart",    "bar",  "arrow"};

/* --- Small functions without libm --- */

/* cos and sin of 2 pi t by their Taylor series on an eighth of a turn; error below 1e-12. */
static struct point on_circle(double turn) {
  static const double two_pi = 6.283185307179586;
  turn -= floor(turn);
  int quarter = (int)(turn * 4 + 0.5); /* nearest axis */
  double a = (turn - quarter * 0.25) * two_pi, a2 = a * a;
  double c = 1 - a2 / 2 * (1 - a2 / 12 * (1 - a2 / 30 * (1 - a2 / 56 * (1 - a2 / 90 * (1 - a2 / 132)))));
  double s =
      a * (1 - a2 / 6 * (1 - a2 / 20 * (1 - a2 / 42 * (1 - a2 / 72 * (1 - a2 / 110 * (1 - a2 / 156))))));
  switch (quarter % 4) {
  case 0: return (struct point){c, s};
  case 1: return (struct point){-s, c};
  case 2: return (struct point){-c, -s};
  default: return (struct point){s, -c};
  }
}

struct rgb {
  double c[3];
};

static struct rgb to_rgb(struct colour k) {
  double h = (k.hue - floor(k.hue)) * 6, f = h - floor(h), v = k.value;
  double p = v * (1 - k.saturation), q = v * (1 - k.saturation * f), t = v * (1 - k.saturation * (1 - f));
  switch ((int)h) {
  case 0: return (struct rgb){{v, t, p}};
  case 1: return (struct rgb){{q, v, p}};
  case 2: return (struct rgb){{p, v, t}};
  case 3: return (struct rgb){{p, q, v}};
  case 4: return (struct rgb){{t, p, v}};
  default: return (struct rgb){{v, p, q}};
  }
}

static double luminance(struct colour k) {
  struct rgb x = to_rgb(k);
  return 0.299 * x.c[0] + 0.587 * x.c[1] + 0.114 * x.c[2];
}

/* --- Scenes --- */

static double between(struct rng *r, double low, double high) { return low + (high - low) * rng_next_f64(r); }

/* Muted: with vivid colours a network can tell images apart by colour alone, and need not look at shapes. */
static struct colour draw_colour(struct rng *r) {
  double hue = rng_next_f64(r), saturation = between(r, 0, 0.4);
  return (struct colour){hue, saturation, between(r, 0.15, 1)};
}

struct scene scene_draw(uint64_t seed, uint32_t split, uint64_t count, uint64_t index) {
  struct rng r = rng_at(seed, split, (uint32_t)index, STREAM_SCENE);
  struct scene s = {.kind = (int)(rng_permute(seed, split, count, index) % SHAPE_KINDS)};
  const struct kind *k = &kinds[s.kind];
  s.size = between(&r, 0.4, 0.6);
  double reach = s.size / sqrt(k->area) * k->radius, room = reach < 0.46 ? 0.5 - reach : 0.04;
  s.x = 0.5 + between(&r, -room, room);
  s.y = 0.5 + between(&r, -room, room);
  /* Rotations are bounded because no transformation of a pretraining undoes them. */
  s.turn = between(&r, -0.1, 0.1);
  s.texture = (int)rng_below(rng_next(&r), TEXTURES);
  s.frequency = between(&r, 2.5, 4.5);
  s.phase = rng_next_f64(&r);
  s.contrast = between(&r, 0.15, 0.5);
  s.direction = rng_next_f64(&r);
  s.background = draw_colour(&r);
  do s.shape = draw_colour(&r); /* visible: a quarter of the range of brightness apart, either way */
  while (fabs(luminance(s.shape) - luminance(s.background)) < 0.25);
  s.background_end = s.background;
  s.background_end.hue += between(&r, -0.08, 0.08);
  s.background_end.value *= between(&r, 0.75, 1);
  return s;
}

const char *const shape_attributes[SHAPE_ATTRIBUTES] = {
    "center_x",   "center_y", "size",    "rotation",       "hue",
    "saturation", "value",    "texture", "background_hue", "background_value"};

void scene_attributes(const struct scene *s, float *a) {
  const double values[SHAPE_ATTRIBUTES] = {s->x,
                                           s->y,
                                           s->size,
                                           s->turn,
                                           s->shape.hue,
                                           s->shape.saturation,
                                           s->shape.value,
                                           s->texture,
                                           s->background.hue,
                                           s->background.value};
  for (int i = 0; i < SHAPE_ATTRIBUTES; i++) a[i] = (float)values[i];
}

/* --- Drawing --- */

/* How much of the texture's second colour there is at p, in the shape's frame, one unit per size. */
static double texture_at(const struct scene *s, struct point p) {
  double u = p.x * s->frequency + s->phase, v = p.y * s->frequency + s->phase;
  u -= floor(u);
  v -= floor(v);
  switch (s->texture) {
  case 0: return 0;                                                         /* plain */
  case 1: return u < 0.5;                                                   /* stripes */
  case 2: return (u < 0.5) != (v < 0.5);                                    /* checks */
  case 3: return (u - 0.5) * (u - 0.5) + (v - 0.5) * (v - 0.5) < 0.3 * 0.3; /* dots */
  default: return fmin(fmax(p.y + 0.5, 0), 1);                              /* gradient */
  }
}

struct painter {
  const struct scene *scene;
  const struct kind *kind;
  struct point axis, way; /* unit vectors: of the rotation, of the background's run */
  double scale;           /* the kind's units per size */
  struct rgb shape, shape_end, background, background_end;
  double left, top, right, bottom; /* what is covered so far, in sides */
};

static struct painter painter_at(const struct scene *s) {
  const struct kind *k = &kinds[s->kind];
  struct colour dark = s->shape;
  dark.value *= 1 - s->contrast;
  return (struct painter){.scene = s,
                          .kind = k,
                          .axis = on_circle(s->turn),
                          .way = on_circle(s->direction),
                          .scale = sqrt(k->area),
                          .shape = to_rgb(s->shape),
                          .shape_end = to_rgb(dark),
                          .background = to_rgb(s->background),
                          .background_end = to_rgb(s->background_end),
                          .left = 2,
                          .top = 2,
                          .right = -1,
                          .bottom = -1};
}

/* Adds the colour at (x, y), in sides from the top left, to sum;
 * `half` is half the distance between samples. */
static void paint(struct painter *q, double x, double y, double half, struct rgb *sum) {
  const struct scene *s = q->scene;
  double dx = (x - s->x) / s->size, dy = (s->y - y) / s->size;
  struct point p = {dx * q->axis.x + dy * q->axis.y, dy * q->axis.x - dx * q->axis.y};
  struct rgb a = q->background, b = q->background_end;
  double t = 0.5 + 0.7 * ((x - 0.5) * q->way.x + (y - 0.5) * q->way.y);
  if (q->kind->inside((struct point){p.x * q->scale, p.y * q->scale})) {
    a = q->shape;
    b = q->shape_end;
    t = texture_at(s, p);
    q->left = fmin(q->left, x - half);
    q->right = fmax(q->right, x + half);
    q->top = fmin(q->top, y - half);
    q->bottom = fmax(q->bottom, y + half);
  }
  for (int c = 0; c < 3; c++) sum->c[c] += a.c[c] + t * (b.c[c] - a.c[c]);
}

enum status scene_render(const struct scene *scene, int32_t side, struct image *out, struct box *box) {
  *out = (struct image){side, side, malloc(3 * (size_t)side * (size_t)side)};
  if (!out->pixels) return fail(E_MEMORY, "out of memory while drawing %dx%d pixels", side, side);
  struct painter q = painter_at(scene);
  double step = 1.0 / (SAMPLES * (double)side), n = SAMPLES * SAMPLES;
  uint8_t *pixel = out->pixels;
  for (int32_t y = 0; y < side; y++)
    for (int32_t x = 0; x < side; x++, pixel += 3) {
      struct rgb sum = {{0}};
      for (int v = 0; v < SAMPLES; v++)
        for (int u = 0; u < SAMPLES; u++)
          paint(&q, (x * SAMPLES + u + 0.5) * step, (y * SAMPLES + v + 0.5) * step, step / 2, &sum);
      for (int c = 0; c < 3; c++) pixel[c] = (uint8_t)(fmin(fmax(sum.c[c] / n, 0), 1) * 255 + 0.5);
    }
  *box = (struct box){(float)(q.left * side),   (float)(q.top * side), (float)(q.right * side),
                      (float)(q.bottom * side), scene->kind,           0};
  return OK;
}
