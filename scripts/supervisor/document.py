"""YAML that remembers where everything stands, and files that extend others.

`load` gives the plain data and a Places, which maps a path into it (a tuple of keys and indexes) to the line it
came from, so that every message about a pipeline file can name file and line. Anchors and merge keys (`<<`) work;
duplicate keys are errors, because YAML would silently keep the last.
"""
import os

import yaml

from .errors import Problems

_MOST_NODES = 10000  # aliases of aliases can stand for more than fits in memory
_NUMBER_TAGS = ('tag:yaml.org,2002:int', 'tag:yaml.org,2002:float')


class Places:
    """Where each path of a document came from."""

    def __init__(self, file):
        self.file = file
        self._lines = {}

    def note(self, path, place):
        """`place`: a line number, or text such as '--set data.in=x' for what did not come from the file."""
        self._lines[path] = place

    def at(self, path):
        """'FILE:LINE' of the path or of its nearest parent that has one."""
        path = tuple(path)
        while path and path not in self._lines:
            path = path[:-1]
        place = self._lines.get(path, 1)
        return place if isinstance(place, str) else f'{self.file}:{place}'

    def take(self, other):
        """Adds the places of another file; where both know a path, the other's."""
        self._lines |= {path: other.at(path) for path in other._lines}


class _Builder:
    def __init__(self, file):
        self.places = Places(file)
        self.problems = []
        self._open, self._built = [], 0
        self._scalars = yaml.constructor.SafeConstructor()

    def build(self, node, path):
        self.places.note(path, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        self._built += 1
        if node in self._open or self._built > _MOST_NODES:
            self._problem(node, 'this alias contains itself' if node in self._open else 'the aliases expand to too much')
            return None
        self._open.append(node)
        if isinstance(node, yaml.MappingNode):
            data = self._mapping(node, path)
        else:
            data = [self.build(child, path + (i,)) for i, child in enumerate(node.value)]
        self._open.pop()
        return data

    def _scalar(self, node):
        if node.tag in _NUMBER_TAGS and ':' in node.value:
            return node.value  # YAML 1.1 would read 1:30 as ninety
        try:
            return self._scalars.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            self._problem(node, f'cannot read this value: {str(error).splitlines()[0]}')
            return None

    def _mapping(self, node, path):
        data, own = {}, set()
        for key_node, value_node in node.value:
            if key_node.tag == 'tag:yaml.org,2002:merge':
                self._merge(data, value_node, path)
        for key_node, value_node in node.value:
            if key_node.tag == 'tag:yaml.org,2002:merge':
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(key_node, 'a key must be a plain word')
                continue
            key = key_node.value
            if key in own:
                self._problem(key_node, f"'{key}' stands here twice; remove one")
            own.add(key)
            data[key] = self.build(value_node, path + (key,))
            self.places.note(path + (key,), key_node.start_mark.line + 1)
        return data

    def _merge(self, data, node, path):
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for merged in reversed(nodes):
            if not isinstance(merged, yaml.MappingNode):
                self._problem(merged, "'<<' needs a mapping (an anchor such as *settings)")
                continue
            data.update(self._mapping(merged, path))

    def _problem(self, node, text):
        self.problems.append(f'{self.places.file}:{node.start_mark.line + 1}: {text}')


def load(file, inside=()):
    """(data, places) of a YAML file with what it extends: of several files and itself, the last one that says something counts. The
    name is never another's. `inside`: the files that extend this one. Raises Problems."""
    data, places = _read(file)
    if not isinstance(data, dict) or 'extends' not in data:
        return data, places
    named, merged, found = data.pop('extends'), {}, Places(file)
    for name in named if isinstance(named, list) else [named]:
        path, at = os.path.join(os.path.dirname(file), str(name)), places.at(('extends',))
        if os.path.realpath(path) in (*inside, os.path.realpath(file)):
            raise Problems([f'{at}: {path} extends itself; remove it here or there'])
        if not os.path.isfile(path):
            raise Problems([f'{at}: {path}: no such file; extends names files beside this one'])
        base, base_places = load(path, (*inside, os.path.realpath(file)))
        merged = _patched(merged, base)
        found.take(base_places)
    merged.pop('name', None)
    found.take(places)
    return _patched(merged, data), found


def _patched(base, patch):
    """A JSON merge patch (RFC 7396): mappings are merged key by key, null removes, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    result = dict(base) if isinstance(base, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _patched(result.get(key), value)
    return result


def _read(file):
    """(data, places) of one file. Raises Problems."""
    try:
        with open(file, encoding='utf-8') as stream:
            text = stream.read()
    except OSError as error:
        raise Problems([f'{file}: {error.strerror.lower()}'])
    except UnicodeDecodeError as error:
        raise Problems([f'{file}: not a text file (byte {error.start} is not UTF-8)'])
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f'{file}:{mark.line + 1}' if mark else file
        raise Problems([f'{where}: not valid YAML: {error.problem or error.context}'])
    except yaml.YAMLError as error:
        raise Problems([f'{file}: not valid YAML: {str(error).splitlines()[0]}'])
    if node is None:
        raise Problems([f'{file}: the file is empty; docs/pipelines.md shows what stands in one'])
    builder = _Builder(file)
    data = builder.build(node, ())
    if builder.problems:
        raise Problems(list(dict.fromkeys(builder.problems)))
    return data, builder.places


def scalar(text):
    """A value given on the command line, read as YAML would read it in the file."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return text
    if node is None or isinstance(node, yaml.MappingNode):
        return text
    return _Builder('').build(node, ())
