/* Command lines from tables: a program is a list of commands, a command a struct plus one option table.
 *
 * Long flags only, `--name value` or `--name=value`; booleans are `--name` / `--no-name`. Every program also
 * has
 * --help, --version, --log-level, --progress FILE and --threads where its table says so. Unknown flags and
 * commands, missing or malformed values are one clear line that lists what is valid, and exit status 2.
 * Single-threaded, start-up only. */
#ifndef BASE_CLI_H
#define BASE_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum opt_type {
  OPT_BOOL,  /* bool */
  OPT_INT,   /* int64_t */
  OPT_FLOAT, /* double; NaN for "auto", where that is the default */
  OPT_STR,   /* const char *, borrowed from argv or the table; NULL if not given and no default */
  OPT_LIST,  /* struct cli_list: every occurrence, in order */
  OPT_TABLE  /* another table, whose offsets count from this one's: options that several commands share */
};

struct cli_list {
  const char **items; /* owned by the parsed state; freed by cli_main */
  size_t count;
  bool from_preset; /* the next value replaces what is there */
};

struct opt {
  const char *name; /* without dashes; NULL ends a table */
  enum opt_type type;
  size_t offset;         /* into the command's state */
  const char *fallback;  /* default, parsed like a value; NULL: zero, NULL or false */
  const char *help;      /* one line: sense and unit */
  const char *choices;   /* "a|b|c", or NULL */
  const struct opt *sub; /* OPT_TABLE */
  bool required, positional;
  /* OPT_TABLE instead of sub: the options of a registry's entries, those of entry i counting from offset + i *
   * stride. NULL behind the last; an entry without options has opt_none. */
  const struct opt *(*tables)(size_t i);
  size_t stride;
  const char *(*names)(
      size_t i); /* OPT_STR instead of choices: the names of a registry; NULL behind the last */
};
extern const struct opt opt_none[]; /* a table without options */

struct preset_value {
  const char *name, *value;
};

/* Named sets of option values (`--preset NAME`). Flags given on the command line win over them. */
struct preset {
  const char *name, *help;
  const struct preset_value *values; /* ends with {NULL, NULL} */
};

struct command {
  const char *name; /* NULL for the program's only or default command */
  const char *summary;
  size_t state_size; /* zeroed, then filled from `opts`, then handed to run */
  const struct opt *opts;
  const struct preset *presets; /* ends with a NULL name; NULL if there are none */
  enum status (*run)(void *state);
  bool none_required; /* options that are marked as required may be left out */
};

struct program {
  const char *name;
  const char *summary;
  const struct command *commands; /* ends with a NULL run */
};

/* Parses argv into a fresh state and runs the command. Prints the failure message, if any, on stderr.
 * Returns the exit status: 0; 1 for a failed run; 2 for a bad command line; 130 when interrupted. */
int cli_main(const struct program *program, int argc, char **argv);

/* The same parse without running (tests, and programs that parse for themselves). `state` is zeroed first.
 * Release with cli_free. Errors: E_ARG. */
enum status cli_parse(const struct command *command, int argc, char **argv, void *state);
void cli_free(const struct command *command, void *state);

/* Where --progress asked for the machine-readable progress file; NULL when it was not given. */
const char *cli_progress_path(void);

#endif
