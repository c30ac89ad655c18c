/* Linear evaluation at the sizes of its use, where NVIDIA's library chooses other algorithms than for few rows: beside `ref`,
 * and the same bytes again. */
#include "gpu/gpu.h"
#include "parity/regression_check.h"

static void check(const char *name, int64_t n, int64_t dim, int32_t classes) {
  struct samples samples = regression_samples(n, dim, classes, classes);
  struct regression a = regression_open("cuda", &samples, 0), ref = regression_open("ref", &samples, 1);
  const size_t bytes = (size_t)a.params * sizeof *a.gradient;
  double *gradient = regression_zeros((int64_t)bytes), value;
  regression_ask(&a, 0, n, 1e-3);
  regression_ask(&ref, 0, n, 1e-3);
  regression_compare(name, &a, &ref, 1e-12);
  memcpy(gradient, a.gradient, bytes);
  value = a.value;
  for (int i = 0; i < 3; i++) {
    regression_ask(&a, 0, n, 1e-3);
    if (memcmp(gradient, a.gradient, bytes) != 0 || value != a.value)
      fail_msg("%s: other bytes than before", name);
  }
  free(gradient);
  regression_close(&a);
  regression_close(&ref);
  regression_free(&samples);
}

static void resnet18_on_100_classes(void **state) {
  (void)state;
  skip_without_gpu();
  check("20000 x 512", 20000, 512, 100);
}

static void resnet50_on_37_classes(void **state) {
  (void)state;
  skip_without_gpu();
  check("1000 x 2048", 1000, 2048, 37);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(resnet18_on_100_classes),
                                     cmocka_unit_test(resnet50_on_37_classes)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
