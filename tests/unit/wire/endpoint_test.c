#include <string.h>

#include "test.h"
#include "wire/endpoint.h"

static void who_can_dial_an_endpoint(void **state) {
  (void)state;
  static const struct {
    const char *endpoint;
    bool local, wildcard;
  } cases[] = {{"ipc:///tmp/x", true, false},
               {"tcp://127.0.0.1:5", true, false},
               {"tcp://127.8.9.10:*", true, false},
               {"tcp://[::1]:5", true, false},
               {"tcp://[::ffff:127.0.0.1]:5", true, false},
               {"tcp://localhost:5", true, false},
               {"tcp://lo:5", true, false},
               {"tcp://127.example.org:5", false, false},
               {"tcp://10.0.0.1:5", false, false},
               {"tcp://eth0:5", false, false},
               {"tcp://[fe80::1]:5", false, false},
               {"tcp://0.0.0.0:5", false, true},
               {"tcp://*:*", false, true},
               {"tcp://[::]:5", false, true}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_int_equal(endpoint_is_local(cases[i].endpoint), cases[i].local);
    assert_int_equal(endpoint_is_wildcard(cases[i].endpoint), cases[i].wildcard);
  }
}

static void hosts_are_found_and_replaced(void **state) {
  (void)state;
  char out[ENDPOINT_MAX + 1];
  assert_int_equal(endpoint_host("tcp://[fe80::1]:55", out, sizeof out), OK);
  assert_string_equal(out, "fe80::1");
  assert_int_equal(endpoint_with_host("tcp://0.0.0.0:55", "fe80::1", out, sizeof out), OK);
  assert_string_equal(out, "tcp://[fe80::1]:55");
  assert_int_equal(endpoint_with_host("tcp://[::]:55", "box.example.org", out, sizeof out), OK);
  assert_string_equal(out, "tcp://box.example.org:55");
  static const char *const bad[] = {"tcp://",  "tcp://:5", "tcp://host", "tcp://host:", "tcp://[]:5",
                                    "ipc://x", ""};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_int_equal(endpoint_host(bad[i], out, sizeof out), E_ARG);
  char longer[2 * ENDPOINT_MAX];
  memset(longer, 'x', sizeof longer);
  longer[sizeof longer - 1] = '\0';
  assert_int_equal(endpoint_with_host("tcp://a:55", longer, out, sizeof out), E_ARG);
}

static void the_consumers_host_stands_for_a_star(void **state) {
  (void)state;
  static const char star[] = "tcp:/"
                             "/*:55";
  char out[ENDPOINT_MAX + 1];
  assert_int_equal(endpoint_resolve(star, "tcp://trainer:5555", out, sizeof out), OK);
  assert_string_equal(out, "tcp://trainer:55");
  assert_int_equal(endpoint_resolve(star, "tcp://[fd00::2]:5555", out, sizeof out), OK);
  assert_string_equal(out, "tcp://[fd00::2]:55");
  assert_int_equal(endpoint_resolve(star, "ipc:///tmp/x", out, sizeof out), OK);
  assert_string_equal(out, "tcp://127.0.0.1:55");
  assert_int_equal(endpoint_resolve("tcp://10.0.0.1:55", "tcp://trainer:5555", out, sizeof out), OK);
  assert_string_equal(out, "tcp://10.0.0.1:55");
}

static void a_machine_is_itself(void **state) {
  (void)state;
  char a[HOST_MAX + 1], b[HOST_MAX + 1];
  endpoint_machine(a);
  endpoint_machine(b);
  assert_string_equal(a, b);
  assert_int_equal(strlen(a), HOST_MAX);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(who_can_dial_an_endpoint), cmocka_unit_test(hosts_are_found_and_replaced),
      cmocka_unit_test(the_consumers_host_stands_for_a_star), cmocka_unit_test(a_machine_is_itself)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
