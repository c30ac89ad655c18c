#include "class_list.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { MAX_BYTES = 1 << 22 };

static const char blank[] = " \t";

/* Without blanks at both ends. */
static char *trimmed(char *s) {
  s += strspn(s, blank);
  size_t n = strlen(s);
  while (n && strchr(blank, s[n - 1])) n--;
  s[n] = '\0';
  return s;
}

/* Cuts "FOLDER\tNAME" or "FOLDER NAME". A tab lets folders have spaces. */
static void cut(char *line, const char **folder, const char **name) {
  char *end = strchr(line, '\t');
  if (!end) {
    line = trimmed(line);
    end = strchr(line, ' ');
  }
  char *rest = end ? end + 1 : NULL;
  if (end) *end = '\0';
  *folder = trimmed(line);
  *name = rest ? trimmed(rest) : "";
  if (!**name) *name = *folder;
}

static enum status add(struct class_list *l, char *line, const char *path, size_t number) {
  const char *folder, *name;
  cut(line, &folder, &name);
  if (!*folder) return fail(E_FORMAT, "%s, line %zu: there is no folder before the name", path, number);
  for (size_t i = 0; i < l->count; i++) {
    // NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): every folder below count is set
    if (strcmp(l->folders[i], folder) == 0)
      return fail(E_FORMAT, "%s, line %zu: the class folder %s is listed twice", path, number, folder);
    if (strcmp(l->names[i], name) == 0)
      return fail(E_FORMAT, "%s, line %zu: the classes %s and %s have the same name, %s", path, number,
                  l->folders[i], folder, name);
  }
  l->folders[l->count] = folder;
  l->names[l->count++] = name;
  return OK;
}

static size_t count_lines(const char *text) {
  size_t n = 1;
  for (; (text = strchr(text, '\n')); text++) n++;
  return n;
}

enum status class_list_read(struct class_list *l, const char *path) {
  uint8_t *bytes = NULL;
  size_t size, number = 0;
  enum status st = OK;
  *l = (struct class_list){0};
  TRY(file_read(path, MAX_BYTES, &bytes, &size));
  if (memchr(bytes, 0, size)) {
    st = fail(E_FORMAT, "%s: this is no text file with a class folder per line", path);
    goto out;
  }
  l->text = calloc(size + 1, 1);
  if (l->text) memcpy(l->text, bytes, size);
  size_t room = l->text ? count_lines(l->text) : 1;
  l->folders = calloc(room, sizeof *l->folders);
  l->names = calloc(room, sizeof *l->names);
  if (!l->text || !l->folders || !l->names) {
    st = fail(E_MEMORY, "out of memory for the classes of %s", path);
    goto out;
  }
  for (char *rest = l->text, *line; (line = strsep(&rest, "\n"));) {
    number++;
    line[strcspn(line, "\r")] = '\0';
    if (line[0] == '#' || !line[strspn(line, blank)]) continue;
    TRY(add(l, line, path, number));
  }
  if (!l->count) st = fail(E_FORMAT, "%s: lists no class; one folder name per line is expected", path);
out:
  free(bytes);
  return st;
}

void class_list_free(struct class_list *l) {
  free(l->text);
  free(l->folders);
  free(l->names);
  *l = (struct class_list){0};
}
