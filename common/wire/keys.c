#include "wire/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "base/file.h"

enum { Z85_SIZE = 41, FILE_LIMIT = 1 << 20 };

void key_to_hex(const struct key *key, char out[KEY_HEX + 1]) {
  for (int i = 0; i < KEY_BYTES; i++) snprintf(out + 2 * i, 3, "%02x", key->bytes[i]);
}

static int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool key_from_hex(struct text hex, struct key *out) {
  if (hex.size != KEY_HEX) return false;
  for (int i = 0; i < KEY_BYTES; i++) {
    int high = digit(hex.at[2 * i]), low = digit(hex.at[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out->bytes[i] = (uint8_t)(high << 4 | low);
  }
  return true;
}

bool key_equal(const struct key *a, const struct key *b) { return memcmp(a, b, sizeof *a) == 0; }

enum status keys_make(struct keys *out, const struct key *server) {
  char public_z85[Z85_SIZE], secret_z85[Z85_SIZE];
  *out = (struct keys){.has_server = server != NULL};
  if (server) out->server = *server;
  enum status st = OK;
  if (zmq_curve_keypair(public_z85, secret_z85) != 0 || !zmq_z85_decode(out->own.bytes, public_z85) ||
      !zmq_z85_decode(out->secret.bytes, secret_z85))
    st = fail(E_IO, "cannot make keys: %s; install a ZeroMQ with CURVE", zmq_strerror(errno));
  explicit_bzero(secret_z85, sizeof secret_z85);
  return st;
}

/* --- Lines ---------------------------------------------------------------------------------------------- */

/* The next line that says something: its first word, and what follows up to the end. False: no more. */
struct lines {
  char *at, *word, *rest;
  int number;
};

static bool next_line(struct lines *l) {
  while (*l->at) {
    char *line = l->at, *end = strchrnul(line, '\n');
    l->at = *end ? end + 1 : end;
    l->number++;
    while (end > line && strchr(" \t\r", end[-1])) end--;
    *end = '\0';
    line += strspn(line, " \t");
    if (!*line || *line == '#') continue;
    l->word = line;
    l->rest = line + strcspn(line, " \t");
    if (*l->rest) *l->rest++ = '\0';
    l->rest += strspn(l->rest, " \t");
    return true;
  }
  return false;
}

/* --- Key files ------------------------------------------------------------------------------------------ */

static enum status check_mode(const char *path) {
  struct stat s;
  if (stat(path, &s) != 0)
    return fail(E_IO, "cannot read %s: %s%s", path, strerror(errno), file_advice(errno));
  if ((s.st_mode & 077) == 0) return OK;
  return fail(E_ARG, "others may read the key in %s; run chmod 600 %s", path, path);
}

static enum status parse_keys(struct keys *out, char *text, const char *path) {
  struct lines l = {.at = text};
  bool seen[3] = {false};
  while (next_line(&l)) {
    static const char *const names[] = {"public", "secret", "server"};
    struct key *const into[] = {&out->own, &out->secret, &out->server};
    int i = 0;
    while (i < 3 && strcmp(l.word, names[i]) != 0) i++;
    if (i == 3 || seen[i] || !key_from_hex(text_of(l.rest), into[i]))
      return fail(E_FORMAT, "%s, line %d: not a key; scripts/tandem keygen makes key files", path, l.number);
    seen[i] = true;
  }
  out->has_server = seen[2];
  if (seen[0] && seen[1]) return OK;
  return fail(E_FORMAT, "%s: no key pair in it; scripts/tandem keygen makes key files", path);
}

enum status keys_read(struct keys *out, const char *path) {
  *out = (struct keys){0};
  uint8_t *data = NULL;
  size_t size = 0;
  enum status st = OK;
  TRY(check_mode(path));
  TRY(file_read(path, FILE_LIMIT, &data, &size));
  st = parse_keys(out, (char *)data, path);
  explicit_bzero(data, size);
out:
  free(data);
  if (st != OK) explicit_bzero(out, sizeof *out);
  return st;
}

/* Written under another name and linked: the file is whole when it appears, and nothing is overwritten. */
static enum status create_private(const char *path, const char *text) {
  char temporary[PATH_MAX];
  enum status st = OK;
  int n = snprintf(temporary, sizeof temporary, "%s.tmp-%ld", path, (long)getpid());
  if (n >= (int)sizeof temporary) return fail(E_ARG, "the path is too long: %.80s...", path);
  int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return fail(E_IO, "cannot write %s: %s%s", path, strerror(errno), file_advice(errno));
  size_t size = strlen(text);
  bool written = write(fd, text, size) == (ssize_t)size && fsync(fd) == 0;
  if (close(fd) != 0 || !written)
    st = fail(E_IO, "cannot write %s: %s%s", path, strerror(errno), file_advice(errno));
  else if (link(temporary, path) != 0)
    st = errno == EEXIST ? fail(E_EXISTS, "%s is there already; choose another name", path)
                         : fail(E_IO, "cannot write %s: %s%s", path, strerror(errno), file_advice(errno));
  unlink(temporary);
  return st == OK ? file_sync_parent(path) : st;
}

enum status keys_write(const struct keys *keys, const char *path, const char *about) {
  char own[KEY_HEX + 1], secret[KEY_HEX + 1], server[KEY_HEX + 1], text[640];
  key_to_hex(&keys->own, own);
  key_to_hex(&keys->secret, secret);
  key_to_hex(&keys->server, server);
  snprintf(text, sizeof text, "# %.200s\npublic %s\nsecret %s\n%s%s%s", about, own, secret,
           keys->has_server ? "server " : "", keys->has_server ? server : "", keys->has_server ? "\n" : "");
  enum status st = create_private(path, text);
  explicit_bzero(text, sizeof text);
  explicit_bzero(secret, sizeof secret);
  return st;
}

/* --- Lists ---------------------------------------------------------------------------------------------- */

static enum status parse_list(struct allow_list *out, char *text, const char *path) {
  struct lines l = {.at = text};
  while (next_line(&l)) {
    struct allowed one = {.name = ""};
    if (!key_from_hex(text_of(l.word), &one.key))
      return fail(E_FORMAT, "%s, line %d: not a public key (64 hex digits, then a name)", path, l.number);
    if (allow_list_find(out, &one.key)) continue;
    if (out->n == KEYS_MAX) return fail(E_FORMAT, "%s: more than %d keys", path, KEYS_MAX);
    snprintf(one.name, sizeof one.name, "%s", l.rest);
    out->at[out->n++] = one;
  }
  return OK;
}

enum status allow_list_read(struct allow_list *out, const char *path) {
  *out = (struct allow_list){0};
  uint8_t *data = NULL;
  size_t size = 0;
  enum status st = OK;
  TRY(file_read(path, FILE_LIMIT, &data, &size));
  out->at = calloc(KEYS_MAX, sizeof *out->at);
  if (!out->at) TRY(fail(E_MEMORY, "out of memory while reading %s", path));
  TRY(parse_list(out, (char *)data, path));
out:
  free(data);
  if (st != OK) allow_list_free(out);
  return st;
}

void allow_list_free(struct allow_list *list) {
  free(list->at);
  *list = (struct allow_list){0};
}

const struct allowed *allow_list_find(const struct allow_list *list, const struct key *key) {
  for (size_t i = 0; i < list->n; i++)
    if (key_equal(&list->at[i].key, key)) return &list->at[i];
  return NULL;
}

static enum status append_line(const char *path, const char *hex, const char *name) {
  uint8_t *old = NULL;
  size_t size = 0;
  struct atomic_file *file = NULL;
  enum status st = OK;
  if (access(path, F_OK) == 0) TRY(file_read(path, FILE_LIMIT, &old, &size));
  TRY(atomic_file_open(&file, path));
  FILE *stream = atomic_file_stream(file);
  if (!old) fprintf(stream, "# Public keys that may connect: one per line, then a name.\n");
  if (size) fwrite(old, 1, size, stream);
  if (size && old[size - 1] != '\n') fputc('\n', stream);
  if (hex) fprintf(stream, "%s %s\n", hex, name);
  st = atomic_file_commit(&file);
out:
  free(old);
  return st;
}

enum status allow_list_add(const char *path, const struct key *key, const char *name) {
  struct allow_list list = {0};
  char hex[KEY_HEX + 1];
  enum status st = OK;
  if (access(path, F_OK) == 0) TRY(allow_list_read(&list, path));
  for (size_t i = 0; i < list.n; i++)
    if (strcmp(list.at[i].name, name) == 0 || key_equal(&list.at[i].key, key))
      TRY(fail(E_EXISTS, "%s has a key named '%s' already; choose another name, or remove that line", path,
               list.at[i].name));
  key_to_hex(key, hex);
  TRY(append_line(path, hex, name));
out:
  allow_list_free(&list);
  return st;
}

enum status allow_list_create(const char *path) {
  return access(path, F_OK) == 0 ? OK : append_line(path, NULL, NULL);
}
