"""Real messages of every kind against schemas/messages: a tap between the processes keeps what passes."""
import glob
import json
import os
import re
import unittest

import jsonschema
import msgpack

from harness import ROOT, FlowTest, damaged, shapes
from tap import Tap

BODY_KINDS = {'ticket': 2, 'decoded': 3, 'augmented': 4}  # kind: frames


def load_schemas():
    schemas = {}
    for path in glob.glob(f'{ROOT}/schemas/messages/*.schema.json'):
        with open(path) as f:
            schemas[os.path.basename(path).split('.')[0]] = json.load(f)
    return schemas


class Messages(FlowTest):
    def collect(self):
        """What passes in a run in shared memory, with a worker that is refused and some that leave, in one through sockets, and
        in one with a sample that is damaged."""
        data, other = shapes(self.path('a.lmdb')), shapes(self.path('b.lmdb'), train=8)
        kept, tapped = [], self.listen('tap')
        tap = Tap(tapped, self.listen(), kept)
        consumer = self.count(data, steps=20, sleep_ms=60)
        key, _ = self.keys()
        leaving = [self.decode(data, '--key', key, '--serve', self.listen('serve'), '--serve', 'tcp://127.0.0.1:*', connect=tapped),
                   self.augment(tapped)]
        refused = self.decode(other, connect=tapped)
        self.finish(consumer)
        self.until(lambda: 'refuses this worker' in refused.log(), 'refusal')
        for p in leaving:
            self.assertEqual(p.stop(), 0)
        self.shared_memory = False
        consumer = self.count(data, steps=3)
        leaving = [self.decode(data, connect=tapped), self.augment(tapped)]
        self.finish(consumer)
        for p in leaving:
            self.assertEqual(p.stop(), 0)
        bad = damaged(data, self.path('bad.lmdb'))
        consumer = self.count(bad, steps=20)
        self.decode(bad, connect=tapped)
        self.augment(tapped)
        self.assertEqual(consumer.wait(), 1)
        tap.stop()
        return kept

    def test_every_kind_fits_its_schema(self):
        schemas = load_schemas()
        validators = {name: jsonschema.Draft202012Validator(s) for name, s in schemas.items()}
        seen, self.places = {}, [0, 0]  # payloads in frames, in shared memory
        for frames in self.collect():
            head = msgpack.unpackb(frames[0])
            kind = head['kind']
            seen[kind] = seen.get(kind, 0) + 1
            validators[kind].validate(json.loads(json.dumps(head)))
            self.assertEqual(len(frames), BODY_KINDS.get(kind, 1), kind)
            if kind in BODY_KINDS:
                body = msgpack.unpackb(frames[1])
                validators['ticket_body'].validate(json.loads(json.dumps(body)))
                self.payload(kind, head, body, frames)
        self.assertGreater(min(self.places), 0, 'pixels in frames and in shared memory')
        self.assertEqual(set(seen), set(schemas) - {'ticket_body'}, seen)

    def payload(self, kind, head, body, frames):
        n = len(body['ids'])
        if kind == 'decoded':
            self.assertEqual([len(head[k]) for k in ('height', 'width', 'offset', 'left', 'top', 'whole_height', 'whole_width')],
                             [n] * 7)
        if kind in ('decoded', 'augmented'):
            end = max(o + 3 * h * w for o, h, w in zip(head['offset'], head['height'], head['width']))
            self.assertEqual(end, head['memory_bytes'] or len(frames[2]))
            self.places[bool(head['memory_bytes'])] += 1
            if head['memory_bytes']:
                self.assertEqual(frames[2], b'')
        if kind == 'augmented':
            self.assertEqual(len(head['height']), n * len(head['params']))
            self.assertEqual(len(frames[3]), 4 * n * sum(head['params']))

    def test_schemas_are_valid_and_have_the_limits_of_the_source(self):
        """The tables in message.c and ticket.c and the schemas say the same."""
        schemas = load_schemas()
        for name, schema in schemas.items():
            jsonschema.Draft202012Validator.check_schema(schema)
            self.assertEqual(sorted(schema['properties']), sorted(schema['required']), name)
        with open(f'{ROOT}/common/wire/message.c') as f:
            source = f.read()
        keys = set(re.findall(r'\{"(\w+)", FIELD_', source))
        named = {k for name, s in schemas.items() if name != 'ticket_body' for k in s['properties']}
        self.assertEqual(keys | {'v', 'kind'}, named)
        with open(f'{ROOT}/common/wire/ticket.c') as f:
            keys = set(re.findall(r'\{"(\w+)", FIELD_', f.read()))
        self.assertEqual(keys | {'v'}, set(schemas['ticket_body']['properties']))


if __name__ == '__main__':
    unittest.main()
