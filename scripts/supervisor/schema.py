"""Checks a document against schemas/pipeline.schema.json and says in one line what to change."""
import json
import os

from .errors import suggest
from .programs import ROOT, text_of

SCHEMA = os.path.join(ROOT, 'schemas', 'pipeline.schema.json')
_TYPES = {'object': 'a mapping (key: value)', 'array': 'a list', 'string': 'text', 'integer': 'a whole number',
          'number': 'a number', 'boolean': 'true or false'}
_RESERVED = 'run, root, name and seed'
_NAMED = {('stages',): 'stage name', ('rows',): 'row name', ('table', 'columns'): 'column name'}


def problems(document, places):
    """Lines 'FILE:LINE: what is wrong and what to do', in file order."""
    import jsonschema  # a quarter of a second, and only files need it
    with open(SCHEMA, encoding='utf-8') as stream:
        validator = jsonschema.Draft202012Validator(json.load(stream))
    lines = []
    for error in validator.iter_errors(document):
        for path, text in _explain(error):
            lines.append(f'{places.at(path)}: {text}')
    return sorted(set(lines), key=_line_number)


def _line_number(line):
    digits = line.split(': ')[0].rpartition(':')[2]
    return int(digits) if digits.isdigit() else 0


def _explain(error):
    """(path, text) of everything one schema error says."""
    path, where, keyword = tuple(error.absolute_path), _where(error.absolute_path), error.validator
    if keyword == 'additionalProperties' and error.validator_value is False:
        known = error.schema.get('properties', {})
        for key in error.instance:
            if key not in known:
                yield path + (key,), f"{where}unknown key '{key}'{suggest(key, known)}"
    elif keyword == 'required':
        missing = [k for k in error.validator_value if k not in error.instance]
        for key in missing:
            yield path, f"{where}'{key}' is missing{_purpose(error.schema, key)}"
    elif keyword == 'type':
        yield path, f'{where}{_name(path)} must be {_type(error.validator_value)}, not {_shown(error.instance)}'
    elif keyword == 'anyOf':
        yield path, f'{where}{_name(path)} must be text, a number, true, false or a list of these, not ' \
                    f'{_shown(error.instance)}'
    elif keyword in ('minItems', 'maxItems') and error.validator_value > 1:
        yield path, f'{where}{_name(path)} must have {error.validator_value} entries, not {len(error.instance)}'
    elif keyword in ('minItems', 'minProperties', 'minLength'):
        yield path, f'{where}{_name(path)} must not be empty'
    elif keyword in ('minimum', 'maximum'):
        bound = 'at least' if keyword == 'minimum' else 'at most'
        yield path, f'{where}{_name(path)} must be {bound} {error.validator_value}, not {error.instance}'
    elif keyword == 'uniqueItems':
        yield path, f'{where}{_name(path)} names something twice'
    elif keyword == 'enum':
        yield path, f"{where}{_name(path)} must be {' or '.join(map(text_of, error.validator_value))}, not {_shown(error.instance)}"
    elif keyword == 'pattern':
        yield path + _key_of(error, path), f"{where}'{error.instance}' is not a valid {_NAMED.get(path, _name(path))}: " \
                                           f"give {error.schema['$comment']}"
    elif keyword == 'not':
        yield path + _key_of(error, path), f"a stage cannot be called '{error.instance}': ${{...}} keeps " \
                                           f'{_RESERVED} for itself'
    else:
        yield path, f'{where}{error.message}'


def _key_of(error, path):
    """Errors about a mapping's keys stand at the mapping; the key itself has a line of its own."""
    return (error.instance,) if path in _NAMED else ()


def _where(path):
    path = list(path)
    if len(path) > 1 and path[0] in ('stages', 'rows'):
        return f"{path[0][:-1]} '{path[1]}': " + (f'{path[2]}: ' if len(path) > 3 else '')
    return ''


def _name(path):
    words = [str(p) for p in path if not isinstance(p, int)]
    return f"'{words[-1]}'" if words else 'the file'


def _purpose(schema, key):
    about = schema.get('properties', {}).get(key, {}).get('description')
    return f' ({about.rstrip(".")})' if about else ''


def _type(types):
    return ' or '.join(_TYPES[t] for t in ([types] if isinstance(types, str) else types))


def _shown(value):
    if isinstance(value, dict):
        return 'a mapping'
    if isinstance(value, list):
        return 'a list'
    return 'nothing' if value is None else f"'{text_of(value)}'"
