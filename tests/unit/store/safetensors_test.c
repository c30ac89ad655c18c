#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "store/safetensors.h"

#include <cmocka.h> /* last: it has a macro called fail */

/* A file from its header and data, padded to nothing: any alignment may come. */
static enum status parse(const char *header, const char *data, size_t size, struct safetensors **out) {
  size_t n = strlen(header);
  uint8_t *bytes = malloc(8 + n + size);
  for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(n >> (8 * i));
  for (size_t i = 0; i < n; i++) bytes[8 + i] = (uint8_t)header[i];
  if (size) memcpy(bytes + 8 + n, data, size);
  enum status st = safetensors_parse(out, bytes, 8 + n + size);
  free(bytes);
  return st;
}

static void written_tensors_read_back(void **state) {
  (void)state;
  const float weights[6] = {1, 2, 3, 4, 5, -6.5F};
  const int64_t count = 42;
  const uint8_t flag[3] = {1, 0, 1};
  const struct tensor_view tensors[] = {
      {"b.weight", DTYPE_F32, 2, {2, 3}, weights, sizeof weights},
      {"flag", DTYPE_U8, 1, {3}, flag, sizeof flag},
      {"a.bias", DTYPE_F32, 1, {2}, weights, 8},
      {"n \"quoted\" \xc3\xa9", DTYPE_I64, 0, {0}, &count, 8},
      {"empty", DTYPE_F64, 2, {0, 7}, weights, 0},
  };
  const struct metadata notes[] = {{"arch", "resnet18"}, {"format", "pt"}};
  assert_int_equal(safetensors_write("t.safetensors", tensors, 5, notes, 2), OK);
  struct safetensors *f;
  assert_int_equal(safetensors_open(&f, "t.safetensors"), OK);
  assert_int_equal(safetensors_count(f), 5);
  assert_string_equal(safetensors_at(f, 0)->name, "a.bias");
  assert_string_equal(safetensors_at(f, 1)->name, "b.weight");
  const struct tensor_view *t = safetensors_find(f, "b.weight");
  assert_non_null(t);
  assert_int_equal(t->dtype, DTYPE_F32);
  assert_int_equal(t->n_dims, 2);
  assert_int_equal(t->shape[1], 3);
  assert_memory_equal(t->data, weights, sizeof weights);
  t = safetensors_find(f, "n \"quoted\" \xc3\xa9");
  assert_int_equal(*(const int64_t *)t->data, 42);
  assert_int_equal(t->n_dims, 0);
  assert_int_equal(safetensors_find(f, "empty")->size, 0);
  assert_null(safetensors_find(f, "b"));
  assert_string_equal(safetensors_metadata(f, "arch"), "resnet18");
  assert_null(safetensors_metadata(f, "epoch"));
  safetensors_close(&f);
  assert_null(f);
}

/* The bytes that the safetensors library writes for the same content: 63 bytes of header padded to 64. */
static void bytes_are_the_reference_writer_s(void **state) {
  (void)state;
  const float w[2] = {1, 2};
  const struct tensor_view t = {"bn1.weight", DTYPE_F32, 1, {2}, w, 8};
  uint8_t *bytes;
  size_t size;
  assert_int_equal(safetensors_write("r.safetensors", &t, 1, NULL, 0), OK);
  assert_int_equal(file_read("r.safetensors", 1000, &bytes, &size), OK);
  assert_int_equal(size, 80);
  assert_memory_equal(
      bytes, "\x40\0\0\0\0\0\0\0{\"bn1.weight\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}} ",
      72);
  free(bytes);
}

static void unaligned_tensors_are_aligned(void **state) {
  (void)state;
  struct safetensors *f;
  double d = 0.1;
  char data[9] = "x";
  memcpy(data + 1, &d, 8);
  assert_int_equal(parse("{\"u\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                         "\"d\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[1,9]}}",
                         data, 9, &f),
                   OK);
  const struct tensor_view *t = safetensors_find(f, "d");
  assert_int_equal((uintptr_t)t->data % 8, 0);
  assert_true(*(const double *)t->data == 0.1);
  safetensors_close(&f);
}

#define TENSOR(name, dtype, shape, begin, end)                                                               \
  "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end "]}"

static void malformed_files_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *header;
    size_t data;
    const char *message;
  } cases[] = {
      {"", 0, "not a safetensors file"},
      {" {}", 0, "not a safetensors file"},
      {"[]", 0, "not a safetensors file"},
      {"{", 0, "header is not valid"},
      {"{\"a\xff\":1}", 0, "header is not valid"},
      {"{} x", 0, "header is not valid"},
      {"{}", 4, "4 unused bytes after"},
      {"{\"a\":3}", 0, "not exactly dtype"},
      {"{" TENSOR("a", "F32", "[1]", 0, 4) "," TENSOR("a", "F32", "[1]", 4, 8) "}", 8, "header is not valid"},
      {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"x\":1}}", 1, "not exactly dtype"},
      {"{" TENSOR("a", "F8", "[1]", 0, 1) "}", 1, "unsupported dtype F8"},
      {"{" TENSOR("a", "U8", "[1.0]", 0, 1) "}", 1, "dimension 0 is not a whole number"},
      {"{" TENSOR("a", "U8", "[1e0]", 0, 1) "}", 1, "dimension 0 is not a whole number"},
      {"{" TENSOR("a", "U8", "[-1]", 0, 1) "}", 1, "dimension 0 is not a whole number"},
      {"{" TENSOR("a", "U8", "[[1]]", 0, 1) "}", 1, "dimension 0 is not a whole number"},
      {"{" TENSOR("a", "U8", "[99999999999999999999]", 0, 1) "}", 1, "header is not valid"},
      {"{" TENSOR("a", "U8", "[1,1,1,1,1,1,1,1,1]", 0, 1) "}", 1, "9 dimensions"},
      {"{" TENSOR("a", "U8", "1", 0, 1) "}", 1, "its shape is not a list"},
      {"{" TENSOR("a", "F32", "[4611686018427387904]", 0, 0) "}", 0, "overflows"},
      {"{" TENSOR("a", "F32", "[2]", 0, 4) "}", 4, "4 bytes of data where its shape needs 8"},
      {"{" TENSOR("a", "U8", "[4]", 4, 0) "}", 4, "lie outside"},
      {"{" TENSOR("a", "U8", "[4]", -4, 0) "}", 4, "lie outside"},
      {"{" TENSOR("a", "U8", "[5]", 0, 5) "}", 4, "lie outside"},
      {"{" TENSOR("a", "U8", "[2]", 0, 2) "," TENSOR("b", "U8", "[2]", 3, 5) "}", 5, "unused bytes before"},
      {"{" TENSOR("a", "U8", "[2]", 0, 2) "," TENSOR("b", "U8", "[2]", 1, 3) "}", 3, "overlaps"},
      {"{" TENSOR("a", "U8", "[2]", 0, 2) "}", 3, "1 unused bytes after"},
      {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]}}", 1, "not two whole numbers"},
      {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,0.5]}}", 1, "not two whole numbers"},
      {"{\"__metadata__\":3}", 0, "__metadata__ is not a map"},
      {"{\"__metadata__\":{\"a\":3}}", 0, "not a string"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct safetensors *f;
    assert_int_equal(parse(cases[i].header, "01234567", cases[i].data, &f), E_FORMAT);
    assert_null(f);
    if (!strstr(fail_message(), cases[i].message)) fail_msg("%s: %s", cases[i].header, fail_message());
  }
}

static void truncated_and_oversized_headers_are_refused(void **state) {
  (void)state;
  static const uint8_t huge[16] = {255, 255, 255, 255, 255, 255, 255, 255, '{', '}'},
                       beyond[10] = {3, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
  struct safetensors *f;
  for (size_t n = 0; n < 8; n++) assert_int_equal(safetensors_parse(&f, huge, n), E_FORMAT);
  assert_int_equal(safetensors_parse(&f, huge, sizeof huge), E_FORMAT);
  assert_int_equal(safetensors_parse(&f, beyond, sizeof beyond), E_FORMAT);
  assert_int_equal(safetensors_open(&f, "nothing-here"), E_IO);
  assert_non_null(strstr(fail_message(), "nothing-here"));
}

static void writer_refuses_what_no_reader_would_take(void **state) {
  (void)state;
  const float w[2] = {1, 2};
  const struct tensor_view same[2] = {{"a", DTYPE_F32, 1, {2}, w, 8}, {"a", DTYPE_U8, 1, {1}, w, 1}};
  const struct tensor_view wrong = {"a", DTYPE_F32, 1, {3}, w, 8}, name = {"\xff", DTYPE_F32, 1, {2}, w, 8};
  assert_int_equal(safetensors_write("w.safetensors", same, 2, NULL, 0), E_ARG);
  assert_int_equal(safetensors_write("w.safetensors", &wrong, 1, NULL, 0), E_ARG);
  assert_int_equal(safetensors_write("w.safetensors", &name, 1, NULL, 0), E_ARG);
  assert_int_equal(safetensors_write("no/such/folder/w.safetensors", same, 1, NULL, 0), E_IO);
  assert_int_not_equal(access("w.safetensors", F_OK), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(written_tensors_read_back),
                                     cmocka_unit_test(bytes_are_the_reference_writer_s),
                                     cmocka_unit_test(unaligned_tensors_are_aligned),
                                     cmocka_unit_test(malformed_files_are_refused),
                                     cmocka_unit_test(truncated_and_oversized_headers_are_refused),
                                     cmocka_unit_test(writer_refuses_what_no_reader_would_take)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
