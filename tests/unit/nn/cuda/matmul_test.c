/* Which products cuBLASLt has: it needs a GPU to say so. What they compute, the parity tests see. */
#include "nn/cuda/matmul.h"

#include "test.h"

static struct blas *open_blas(void) {
  struct blas *blas = NULL;
  enum status st = blas_open(&blas);
  if (st == E_DEVICE) {
    print_message("%s\n", fail_message());
    skip();
  }
  if (st != OK) fail_msg("%s", fail_message());
  return blas;
}

/* Heads and phi, batch 512; the last ones have rows that no vector divides. */
static const struct matmul_shape shapes[] = {
    {.rows = 512, .columns = 2048, .inner = 2048, .b_transposed = true, .bias = true},
    {.rows = 512, .columns = 2048, .inner = 2048},
    {.rows = 2048, .columns = 2048, .inner = 512, .a_transposed = true},
    {.rows = 256, .columns = 512, .inner = 65536, .b_transposed = true},
    {.rows = 512, .columns = 65536, .inner = 256, .a_transposed = true, .c_stride = 65536},
    {.rows = 7, .columns = 3, .inner = 5, .b_transposed = true, .bias = true},
    {.rows = 3, .columns = 5, .inner = 7, .a_transposed = true, .alignment = 2},
};

/* Of linear evaluation: 100 classes on 2048 features, and few of either. */
static const struct matmul_shape f64_shapes[] = {
    {.rows = 4096, .columns = 100, .inner = 2056, .b_transposed = true},
    {.rows = 100, .columns = 2056, .inner = 4096, .a_transposed = true},
    {.rows = 2049, .columns = 2049, .inner = 4096, .a_transposed = true, .a_stride = 2056, .b_stride = 2056},
    {.rows = 1, .columns = 3, .inner = 8, .b_transposed = true},
    {.rows = 3, .columns = 8, .inner = 1, .a_transposed = true},
};

static void check_opens(struct blas *blas, const struct matmul_shape *shape) {
  struct matmul *m = NULL;
  if (matmul_open(&m, blas, shape) != OK) fail_msg("%s", fail_message());
  assert_true(matmul_workspace(m) <= (size_t)32 << 20);
  matmul_close(&m);
  assert_null(m);
}

static void every_precision_has_every_product(void **state) {
  (void)state;
  struct blas *blas = open_blas();
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    for (int in = NUMBER_F32; in <= NUMBER_BF16; in++) {
      for (int out = NUMBER_F32; out <= in; out += NUMBER_BF16 /* from f32 to bf16 */) {
        struct matmul_shape s = shapes[i];
        s.in = (enum number)in;
        s.out = (enum number)out;
        if (s.alignment && in != NUMBER_BF16) s.alignment = 4;
        check_opens(blas, &s);
      }
    }
  }
  for (size_t i = 0; i < sizeof f64_shapes / sizeof *f64_shapes; i++) {
    struct matmul_shape s = f64_shapes[i];
    s.in = s.out = NUMBER_F64;
    check_opens(blas, &s);
  }
  blas_close(&blas);
}

static void what_cannot_be_is_said(void **state) {
  (void)state;
  struct matmul *m = NULL;
  assert_int_equal(matmul_open(&m, NULL, &(struct matmul_shape){.rows = 2, .columns = 3}), E_SHAPE);
  assert_string_equal(fail_message(), "a matrix product of [2,0] and [0,3]; sizes must be at least 1");
  static const struct {
    enum number in, out;
    bool bias;
    const char *message;
  } cases[] = {{NUMBER_TF32, NUMBER_BF16, false, "a matrix product of tf32 does not give bf16"},
               {NUMBER_TF32, NUMBER_TF32, false, "a matrix product of tf32 does not give tf32"},
               {NUMBER_F64, NUMBER_F32, false, "a matrix product of f64 does not give f32"},
               {NUMBER_BF16, NUMBER_F64, false, "a matrix product of bf16 does not give f64"},
               {NUMBER_F64, NUMBER_F64, true, "a matrix product of f64 adds no bias"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const struct matmul_shape shape = {
        2, 3, 4, .in = cases[i].in, .out = cases[i].out, .bias = cases[i].bias};
    assert_int_equal(matmul_open(&m, NULL, &shape), E_SHAPE);
    assert_string_equal(fail_message(), cases[i].message);
  }
  assert_null(m);
}

static void without_a_gpu_cublaslt_says_so(void **state) {
  (void)state;
  struct blas *blas = NULL;
  if (blas_open(&blas) == OK) {
    blas_close(&blas);
    skip();
  }
  assert_null(blas);
  if (strstr(fail_message(), "not found")) skip();
  assert_non_null(strstr(fail_message(), "cuBLASLt: cublasLtCreate: "));
}

/* Of any shape, and without the library; it cannot be run. */
static void described_products_count_the_most_workspace(void **state) {
  (void)state;
  struct blas *blas = NULL;
  assert_int_equal(blas_open_described(&blas), OK);
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    struct matmul *m = NULL;
    assert_int_equal(matmul_open(&m, blas, &shapes[i]), OK);
    assert_int_equal(matmul_workspace(m), 32 << 20);
    assert_int_equal(matmul_run(m, NULL, &(struct matmul_call){.a = NULL}), E_DEVICE);
    assert_string_equal(fail_message(), "a product planned for a described GPU cannot be run");
    matmul_close(&m);
  }
  blas_close(&blas);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_precision_has_every_product),
      cmocka_unit_test(what_cannot_be_is_said),
      cmocka_unit_test(without_a_gpu_cublaslt_says_so),
      cmocka_unit_test(described_products_count_the_most_workspace),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
