/* tandem-keygen: key files for machines that work together, and the list of those that may connect. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cli.h"
#include "wire/keys.h"

struct options {
  const char *file, *worker, *consumer, *out;
};

static const struct opt opts[] = {
    {"file", OPT_STR, offsetof(struct options, file), NULL, "key file of the consumer, to be made",
     .positional = true},
    {"worker", OPT_STR, offsetof(struct options, worker), NULL,
     "make a worker's key instead, under this name"},
    {"for", OPT_STR, offsetof(struct options, consumer), NULL,
     "with --worker: key file of the consumer; the worker is added to the list beside it"},
    {"out", OPT_STR, offsetof(struct options, out), NULL,
     "with --worker: the key file to be made (default: NAME.key beside the consumer's)"},
    {0}};

/* run.key -> run.allow; otherwise .allow is added. */
static enum status allow_path(const char *key, char *out, size_t size) {
  size_t n = strlen(key);
  if (n > 4 && strcmp(key + n - 4, ".key") == 0) n -= 4;
  int m = snprintf(out, size, "%.*s.allow", (int)n, key);
  return m < (int)size ? OK : fail(E_ARG, "the path is too long: %.80s...", key);
}

static enum status make_consumer(const struct options *o) {
  char list[PATH_MAX];
  struct keys keys = {.has_server = false};
  enum status st = OK;
  TRY(allow_path(o->file, list, sizeof list));
  TRY(keys_make(&keys, NULL));
  TRY(keys_write(&keys, o->file,
                 "Tandem: key of a consumer. Keep it secret: with it anybody can pose as the consumer."));
  TRY(allow_list_create(list));
  printf("%s: the consumer's key (--key); it stays on this machine\n%s: the workers that may connect "
         "(--allow)\n",
         o->file, list);
out:
  explicit_bzero(&keys, sizeof keys);
  return st;
}

static enum status check_name(const char *name) {
  size_t n = strlen(name);
  if (n > 0 && n <= KEY_NAME_MAX && name[0] != '.' &&
      strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n)
    return OK;
  return fail(E_ARG, "--worker '%s': a name has 1 to %d letters, digits, '.', '_' or '-'", name,
              KEY_NAME_MAX);
}

static enum status worker_path(const struct options *o, char *out, size_t size) {
  const char *slash = strrchr(o->consumer, '/');
  int folder = slash ? (int)(slash - o->consumer) + 1 : 0;
  int n = o->out ? snprintf(out, size, "%s", o->out)
                 : snprintf(out, size, "%.*s%s.key", folder, o->consumer, o->worker);
  return n < (int)size ? OK : fail(E_ARG, "the path is too long: %.80s...", out);
}

static enum status make_worker(const struct options *o) {
  char list[PATH_MAX], path[PATH_MAX];
  struct keys consumer = {.has_server = false}, keys = {.has_server = false};
  enum status st = OK;
  TRY(check_name(o->worker));
  TRY(worker_path(o, path, sizeof path));
  TRY(keys_read(&consumer, o->consumer));
  if (consumer.has_server) TRY(fail(E_ARG, "%s is a worker's key; --for takes the consumer's", o->consumer));
  TRY(allow_path(o->consumer, list, sizeof list));
  TRY(keys_make(&keys, &consumer.own));
  TRY(keys_write(&keys, path,
                 "Tandem: key of a worker. Keep it secret: with it anybody can work in its place."));
  st = allow_list_add(list, &keys.own, o->worker);
  if (st != OK)
    unlink(path); /* made just now */
  else
    printf("%s: the worker's key (--key); copy it to its machine\n%s: now has %s\n", path, list, o->worker);
out:
  explicit_bzero(&keys, sizeof keys);
  explicit_bzero(&consumer, sizeof consumer);
  return st;
}

static enum status run(void *state) {
  const struct options *o = state;
  if (!o->worker != !o->consumer) return fail(E_ARG, "--worker NAME and --for KEY belong together");
  if (!o->file == !o->worker)
    return fail(E_ARG, "give a file for the consumer's key, or --worker NAME --for KEY for a worker's");
  if (o->out && !o->worker) return fail(E_ARG, "--out belongs to --worker");
  return o->worker ? make_worker(o) : make_consumer(o);
}

int main(int argc, char **argv) {
  const struct command commands[] = {
      {NULL, "makes a key file; never overwrites one", sizeof(struct options), opts, NULL, run}, {0}};
  const struct program program = {"tandem-keygen", "makes keys for machines that work together", commands};
  return cli_main(&program, argc, argv);
}
