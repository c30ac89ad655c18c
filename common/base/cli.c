#include "base/cli.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/version.h"

struct common_opts {
  const char *log_level, *progress;
  bool help, version;
};

static const struct opt common_opts[] = {
    {"log-level", OPT_STR, offsetof(struct common_opts, log_level), "info", "least severe message to print",
     "debug|info|warn|error"},
    {"progress", OPT_STR, offsetof(struct common_opts, progress), NULL,
     "file to keep up to date with progress as JSON"},
    {"version", OPT_BOOL, offsetof(struct common_opts, version), NULL, "print the version and leave"},
    {"help", OPT_BOOL, offsetof(struct common_opts, help), NULL, "print this and leave"},
    {0}};

static struct common_opts common; /* written once by cli_main before anything runs */

const char *cli_progress_path(void) { return common.progress; }

const struct opt opt_none[] = {{0}};

/* Part i of an OPT_TABLE and where its state lies; NULL behind the last. */
static const struct opt *part(const struct opt *table, size_t i, size_t *at) {
  *at = i * table->stride;
  if (table->tables) return table->tables(i);
  return i == 0 ? table->sub : NULL;
}

/* An option found by name in a table or its sub-tables, with its place in the state. */
struct slot {
  const struct opt *opt;
  char *at;
};

static struct slot find(const struct opt *opts, void *state, const char *name, size_t length) {
  for (const struct opt *o = opts; o && o->name; o++) {
    char *at = (char *)state + o->offset;
    const struct opt *sub;
    size_t more;
    if (o->type == OPT_TABLE) {
      for (size_t i = 0; (sub = part(o, i, &more)); i++) {
        struct slot s = find(sub, at + more, name, length);
        if (s.opt) return s;
      }
    } else if (!o->positional && strlen(o->name) == length && strncmp(o->name, name, length) == 0) {
      return (struct slot){o, at};
    }
  }
  return (struct slot){0};
}

static struct slot find_positional(const struct opt *opts, void *state, int *skip) {
  for (const struct opt *o = opts; o && o->name; o++)
    if (o->positional && (o->type == OPT_LIST || (*skip)-- == 0))
      return (struct slot){o, (char *)state + o->offset};
  return (struct slot){0};
}

enum { MAX_VALID = 512 };

static bool in_choices(const char *choices, const char *value) {
  size_t n = strlen(value);
  for (const char *c = choices; *c;) {
    size_t m = strcspn(c, "|");
    if (m == n && strncmp(c, value, n) == 0) return true;
    c += m + (c[m] == '|');
  }
  return false;
}

/* What the option takes, "a|b|c"; "" for anything. */
static const char *valid_values(char *text, size_t size, const struct opt *o) {
  snprintf(text, size, "%s", o->choices ? o->choices : "");
  const char *name;
  for (size_t i = 0; o->names && (name = o->names(i)); i++) {
    size_t used = strlen(text);
    snprintf(text + used, size - used, "%s%s", used ? "|" : "", name);
  }
  return text;
}

static enum status list_push(struct cli_list *list, const char *value) {
  if (list->from_preset) list->count = 0;
  list->from_preset = false;
  const char **grown = realloc(list->items, (list->count + 1) * sizeof *grown);
  if (!grown) return fail(E_MEMORY, "out of memory while reading the command line");
  list->items = grown;
  list->items[list->count++] = value;
  return OK;
}

static enum status assign(struct slot s, const char *value) {
  char *end = NULL;
  errno = 0;
  if (s.opt->type == OPT_FLOAT && strcmp(value, "auto") == 0 && s.opt->fallback &&
      strcmp(s.opt->fallback, "auto") == 0)
    return *(double *)(void *)s.at = NAN, OK;
  char valid[MAX_VALID];
  if (*valid_values(valid, sizeof valid, s.opt) && !in_choices(valid, value))
    return fail(E_ARG, "--%s: '%s' is not one of %s", s.opt->name, value, valid);
  switch (s.opt->type) {
  case OPT_BOOL:
    if (!in_choices("true|false", value))
      return fail(E_ARG, "--%s: '%s' is not true or false", s.opt->name, value);
    *(bool *)(void *)s.at = strcmp(value, "true") == 0;
    return OK;
  case OPT_INT: *(int64_t *)(void *)s.at = strtoll(value, &end, 10); break;
  case OPT_FLOAT: *(double *)(void *)s.at = strtod(value, &end); break;
  case OPT_STR: *(const char **)(void *)s.at = value; return OK;
  case OPT_LIST: return list_push((struct cli_list *)(void *)s.at, value);
  case OPT_TABLE: break;
  }
  if (!*value || !end || *end || errno == ERANGE ||
      (s.opt->type == OPT_FLOAT && !isfinite(*(double *)(void *)s.at)))
    return fail(E_ARG, "--%s: '%s' is not %s", s.opt->name, value,
                s.opt->type == OPT_INT ? "a whole number" : "a number");
  return OK;
}

static enum status set_fallbacks(const struct opt *opts, void *state) {
  for (const struct opt *o = opts; o && o->name; o++) {
    char *at = (char *)state + o->offset;
    enum status st = OK;
    const struct opt *sub;
    size_t more;
    if (o->type == OPT_TABLE)
      for (size_t i = 0; st == OK && (sub = part(o, i, &more)); i++) st = set_fallbacks(sub, at + more);
    else if (o->fallback && o->type != OPT_LIST)
      st = assign((struct slot){o, at}, o->fallback);
    if (st != OK) return st;
  }
  return OK;
}

static enum status check_required(const struct opt *opts, const void *state) {
  for (const struct opt *o = opts; o && o->name; o++) {
    const char *at = (const char *)state + o->offset;
    const struct opt *sub;
    size_t more;
    if (o->type == OPT_TABLE) {
      for (size_t i = 0; (sub = part(o, i, &more)); i++) {
        enum status st = check_required(sub, at + more);
        if (st != OK) return st;
      }
    } else if (o->required &&
               ((o->type == OPT_STR && !*(const char *const *)(const void *)at) ||
                (o->type == OPT_LIST && !((const struct cli_list *)(const void *)at)->count))) {
      return fail(E_ARG, "%s%s is required: %s", o->positional ? "" : "--", o->name, o->help);
    }
  }
  return OK;
}

static void print_opts(FILE *out, const struct opt *opts, bool mark_required) {
  for (const struct opt *o = opts; o && o->name; o++) {
    if (o->type == OPT_TABLE) {
      const struct opt *sub;
      size_t more;
      for (size_t i = 0; (sub = part(o, i, &more)); i++) print_opts(out, sub, mark_required);
      continue;
    }
    static const char *const kinds[] = {"", " N", " X", " VALUE", " VALUE...", ""};
    char head[96];
    snprintf(head, sizeof head, "%s%s%s", o->positional ? "" : "--", o->name,
             o->positional ? "" : kinds[o->type]);
    fprintf(out, "  %-26s %s", head, o->help);
    char valid[MAX_VALID];
    if (*valid_values(valid, sizeof valid, o)) fprintf(out, " (%s)", valid);
    if (o->fallback) fprintf(out, " [%s]", o->fallback);
    fprintf(out, "%s\n", o->required && mark_required ? " (required)" : "");
  }
}

static void print_command(FILE *out, const struct program *program, const struct command *c) {
  fprintf(out, "usage: %s%s%s", program->name, c->name ? " " : "", c->name ? c->name : "");
  for (const struct opt *o = c->opts; o && o->name; o++)
    if (o->positional) fprintf(out, " %s%s", o->name, o->type == OPT_LIST ? "..." : "");
  fprintf(out, " [flags]\n\n%s\n\n", c->summary);
  print_opts(out, c->opts, !c->none_required);
  print_opts(out, common_opts, true);
  if (!c->presets) return;
  fprintf(out, "\npresets (--preset NAME; flags given beside it win):\n");
  for (const struct preset *p = c->presets; p->name; p++) {
    fprintf(out, "  %-24s %s\n   ", p->name, p->help);
    for (const struct preset_value *v = p->values; v->name; v++) fprintf(out, " --%s %s", v->name, v->value);
    fputc('\n', out);
  }
}

static void print_program(FILE *out, const struct program *program) {
  const struct command *nameless = NULL;
  for (const struct command *c = program->commands; c->run && !nameless; c++)
    if (!c->name) nameless = c;
  if (nameless)
    print_command(out, program, nameless);
  else
    fprintf(out, "%s: %s\n", program->name, program->summary);
  fprintf(out, "\ncommands:\n");
  for (const struct command *c = program->commands; c->run; c++)
    if (c->name) fprintf(out, "  %s %-12s %s\n", program->name, c->name, c->summary);
  fprintf(out, "\n%s COMMAND --help lists a command's flags.\n", program->name);
}

/* A flag replaces a preset's list instead of adding to it. */
static void mark_lists(const struct opt *opts, void *state) {
  for (const struct opt *o = opts; o && o->name; o++) {
    char *at = (char *)state + o->offset;
    const struct opt *sub;
    size_t more;
    if (o->type == OPT_TABLE)
      for (size_t i = 0; (sub = part(o, i, &more)); i++) mark_lists(sub, at + more);
    else if (o->type == OPT_LIST)
      ((struct cli_list *)(void *)at)->from_preset = true;
  }
}

static enum status apply_preset(const struct command *command, void *state, const char *name) {
  for (const struct preset *p = command->presets; p && p->name; p++) {
    if (strcmp(p->name, name) != 0) continue;
    for (const struct preset_value *v = p->values; v->name; v++) {
      struct slot s = find(command->opts, state, v->name, strlen(v->name));
      if (!s.opt) return fail(E_ARG, "preset %s sets --%s, which this command does not have", name, v->name);
      enum status st = assign(s, v->value);
      if (st != OK) return st;
      log_info("preset %s: --%s %s", name, v->name, v->value);
    }
    mark_lists(command->opts, state);
    return OK;
  }
  char names[256] = "";
  for (const struct preset *p = command->presets; p && p->name; p++)
    snprintf(names + strlen(names), sizeof names - strlen(names), " %s", p->name);
  return fail(E_ARG, "--preset: there is no '%s'; known:%s", name, *names ? names : " none for this command");
}

/* How many words of argv `--preset NAME` takes at argv[i]: 0 if something else stands there. */
static int preset_at(int argc, char **argv, int i, const char **name) {
  if (strncmp(argv[i], "--preset=", 9) == 0) return *name = argv[i] + 9, 1;
  if (strcmp(argv[i], "--preset") != 0 || i + 1 >= argc) return 0;
  *name = argv[i + 1];
  return 2;
}

static enum status parse_flag(const struct command *command, int argc, char **argv, int *i, void *state) {
  const char *name = argv[*i] + 2;
  size_t length = strcspn(name, "=");
  struct slot s = find(command->opts, state, name, length);
  if (!s.opt) s = find(common_opts, &common, name, length);
  if (!s.opt && strncmp(name, "no-", 3) == 0) {
    s = find(command->opts, state, name + 3, length - 3);
    if (s.opt && s.opt->type == OPT_BOOL && !name[length]) return assign(s, "false");
    s.opt = NULL;
  }
  if (!s.opt) return fail(E_ARG, "unknown flag --%.*s; --help lists the valid ones", (int)length, name);
  if (name[length] == '=') return assign(s, name + length + 1);
  if (s.opt->type == OPT_BOOL) return assign(s, "true");
  if (*i + 1 >= argc) return fail(E_ARG, "--%s needs a value: %s", s.opt->name, s.opt->help);
  return assign(s, argv[++*i]);
}

enum status cli_parse(const struct command *command, int argc, char **argv, void *state) {
  memset(state, 0, command->state_size);
  enum status st = OK;
  TRY(set_fallbacks(command->opts, state));
  const char *preset;
  for (int i = 0; command->presets && i < argc; i++)
    if (preset_at(argc, argv, i, &preset)) TRY(apply_preset(command, state, preset));
  int positionals = 0;
  for (int i = 0; i < argc; i++) {
    int words = command->presets ? preset_at(argc, argv, i, &preset) : 0;
    if (words) {
      i += words - 1;
      continue;
    }
    if (strncmp(argv[i], "--", 2) == 0 && argv[i][2]) {
      TRY(parse_flag(command, argc, argv, &i, state));
      continue;
    }
    int skip = positionals;
    struct slot s = find_positional(command->opts, state, &skip);
    if (!s.opt) {
      st = fail(E_ARG, "unexpected argument '%s'; --help shows the usage", argv[i]);
      goto out;
    }
    positionals += s.opt->type != OPT_LIST;
    TRY(assign(s, argv[i]));
  }
  if (!common.help && !common.version && !command->none_required) TRY(check_required(command->opts, state));
out:
  return st;
}

void cli_free(const struct command *command, void *state) {
  for (const struct opt *o = command->opts; o && o->name; o++) {
    char *at = (char *)state + o->offset;
    const struct opt *sub;
    size_t more;
    if (o->type == OPT_LIST)
      free(((struct cli_list *)(void *)at)->items);
    else if (o->type == OPT_TABLE)
      for (size_t i = 0; (sub = part(o, i, &more)); i++) cli_free(&(struct command){.opts = sub}, at + more);
  }
}

static enum log_level level_of(const char *name) {
  static const char *const names[] = {"debug", "info", "warn", "error"};
  for (int i = 0; i < 4; i++)
    if (strcmp(name, names[i]) == 0) return (enum log_level)i;
  return LOG_INFO;
}

/* The command that argv names, or the nameless one; NULL when there is none. Sets how many words it took. */
static const struct command *choose(const struct program *program, int argc, char **argv, int *words) {
  *words = 1;
  const struct command *nameless = NULL;
  for (const struct command *c = program->commands; c->run; c++) {
    if (!c->name)
      nameless = c;
    else if (argc > 1 && strcmp(c->name, argv[1]) == 0)
      return *words = 2, c;
  }
  return nameless;
}

static int run_command(const struct program *program, const struct command *command, int argc, char **argv) {
  int code = 2;
  void *state = calloc(1, command->state_size ? command->state_size : 1);
  if (!state) return fputs("out of memory\n", stderr), 1;
  enum status st = cli_parse(command, argc, argv, state);
  if (common.help) {
    print_command(stdout, program, command);
    code = 0;
  } else if (common.version) {
    printf("%s %s\n", program->name, TANDEM_VERSION);
    code = 0;
  } else if (st != OK) {
    log_error("%s", fail_message());
  } else {
    log_open(program->name, level_of(common.log_level));
    st = command->run(state);
    if (st != OK && st != E_INTERRUPTED) log_error("%s", fail_message());
    code = st == OK ? 0 : st == E_INTERRUPTED ? 130 : st == E_ARG ? 2 : 1;
  }
  cli_free(command, state);
  free(state);
  return code;
}

int cli_main(const struct program *program, int argc, char **argv) {
  log_open(program->name, LOG_INFO);
  common = (struct common_opts){.log_level = "info"};
  int words;
  const struct command *command = choose(program, argc, argv, &words);
  bool only_command = command && !command->name && !program->commands[1].run;
  if (argc > 1 && !only_command && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "--version") == 0)) {
    if (argv[1][2] == 'v')
      printf("%s %s\n", program->name, TANDEM_VERSION);
    else
      print_program(stdout, program);
    return 0;
  }
  if (command) return run_command(program, command, argc - words, argv + words);
  if (argc > 1)
    log_error("unknown command '%s'; --help lists the valid ones", argv[1]);
  else
    print_program(stderr, program);
  return 2;
}
