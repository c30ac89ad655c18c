"""A small reader of TensorBoard's event files that shares nothing with the writer: records, protocol buffers, and
which events a start in a later file makes void."""
import glob
import os
import struct


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x82f63b78 * (crc & 1)
    return crc ^ 0xffffffff


def masked_crc(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xa282ead8) & 0xffffffff


def records(data):
    """The whole records of a file; what is left of one that was cut off is passed over."""
    at = 0
    while at + 12 <= len(data):
        length, check = struct.unpack_from('<QI', data, at)
        assert check == masked_crc(data[at:at + 8]), f'length at {at}'
        if at + 16 + length > len(data):
            return
        record = data[at + 12:at + 12 + length]
        assert struct.unpack_from('<I', data, at + 12 + length)[0] == masked_crc(record), f'record at {at}'
        yield record
        at += 16 + length


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def fields(data):
    """[(field number, value)] of a message: an int, a float, or bytes."""
    at, found = 0, []
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 2:
            length, at = varint(data, at)
            value, at = data[at:at + length], at + length
        else:
            (value,), at = struct.unpack_from({1: '<d', 5: '<f'}[kind], data, at), at + {1: 8, 5: 4}[kind]
        found.append((key >> 3, value))
    assert at == len(data)
    return found


def files(folder):
    return sorted(glob.glob(os.path.join(glob.escape(folder), 'events.out.tfevents.*')))


def read_events(folder):
    """{tag: {step: value}}: a float, or for an image (height, width, PNG bytes); as TensorBoard would show them."""
    tags = {}
    for path in files(folder):
        with open(path, 'rb') as stream:
            events = [dict(fields(r)) for r in records(stream.read())]
        assert events[0][3] == b'brain.Event:2' and dict(fields(events[1][7]))[1] == 1, path
        for event in events[1:]:
            if 7 in event:
                for steps in tags.values():
                    for step in [s for s in steps if s >= event[2]]:
                        del steps[step]
            for _, value in fields(event.get(5, b'')):
                value = dict(fields(value))
                steps = tags.setdefault(value[1].decode(), {})
                assert event[2] not in steps, f'{path}: step {event[2]} twice'
                image = dict(fields(value[4])) if 4 in value else None
                steps[event[2]] = (image[1], image[2], image[4]) if image else value[2]
    return tags
