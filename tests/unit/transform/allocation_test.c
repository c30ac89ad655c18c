#include "base/pool.h"
#include "base/rng.h"
#include "test.h"
#include "transform/policy.h"

#include <stdatomic.h>

/* Everything this program allocates passes here, its libraries included, where nobody else has taken malloc's
 * place already. */
static atomic_long allocations;

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && defined(__GLIBC__)
enum { COUNTED = 1 };
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size) {
  allocations++;
  return __libc_malloc(size);
}

void *calloc(size_t n, size_t size) {
  allocations++;
  return __libc_calloc(n, size);
}

void *realloc(void *p, size_t size) {
  allocations++;
  return __libc_realloc(p, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
  allocations++;
  return __libc_memalign(alignment, size);
}
#else
enum { COUNTED = 0 };
#endif

enum { IMAGES = 32, THREADS = 3, LARGEST = 3 * 300 * 201, VIEW = 3 * 64 * 64 };

struct shard {
  const struct policy *policy;
  struct render *render[THREADS];
  const uint8_t *pixels;
  uint8_t *views; /* [IMAGES, views] */
};

/* Images of different sizes, so that no two need the same memory. */
static struct extent extent_of(uint32_t i) {
  return (struct extent){300 - (int32_t)(i * 7 % 250), 201 - (int32_t)(i * 5 % 150)};
}

static enum status render_image(void *context, uint32_t i, int thread) {
  struct shard *s = context;
  struct extent e = extent_of(i);
  struct source source = {s->pixels, {0, 0, e.width, e.height}, e};
  struct view_draw draws[POLICY_MAX_VIEWS];
  float params[POLICY_MAX_PARAMS];
  policy_sample(s->policy, 42, 1, i, e, extent_of(i ^ 1U), draws);
  enum status st = OK;
  for (int v = 0; st == OK && v < policy_views(s->policy); v++)
    st = render_view(s->render[thread], s->policy, v, &draws[v], &source,
                     s->views + ((size_t)i * POLICY_MAX_VIEWS + (size_t)v) * VIEW, params);
  return st;
}

/* Every image once on every thread, so that each has met the largest. */
static void warm_up(struct shard *s) {
  for (int t = 0; t < THREADS; t++)
    for (uint32_t i = 0; i < IMAGES; i++) assert_int_equal(render_image(s, i, t), OK);
}

static void a_worker_that_has_met_the_largest_image_allocates_no_more(void **state) {
  (void)state;
  if (!COUNTED) skip();
  static const char *const presets[] = {"stl10", "cifar", "imagenet+augmix", "stl10+essl", "evaluate"};
  static uint8_t pixels[LARGEST], views[IMAGES * POLICY_MAX_VIEWS * VIEW];
  struct rng r = rng_at(1, 0, 0, 0);
  for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)rng_next(&r);
  struct pool *pool;
  assert_int_equal(pool_open(&pool, THREADS), OK);
  for (size_t p = 0; p < sizeof presets / sizeof *presets; p++) {
    struct shard s = {.pixels = pixels, .views = views};
    struct policy *policy;
    assert_int_equal(policy_load(&policy, presets[p], 64), OK);
    s.policy = policy;
    for (int t = 0; t < THREADS; t++) assert_int_equal(render_open(&s.render[t]), OK);
    long before = allocations;
    warm_up(&s);
    assert_true(allocations > before); /* they are seen */
    before = allocations;
    for (int round = 0; round < 3; round++)
      assert_int_equal(pool_run(pool, &(struct pool_job){IMAGES, &s, render_image, NULL}), OK);
    assert_int_equal(allocations - before, 0);
    for (int t = 0; t < THREADS; t++) render_close(&s.render[t]);
    policy_close(&policy);
  }
  pool_close(&pool);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_worker_that_has_met_the_largest_image_allocates_no_more)};
  return cmocka_run_group_tests_name("allocations", tests, NULL, NULL);
}
