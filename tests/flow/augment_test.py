"""tandem-augment by hand: apply, preview, policy, and the schema of policy files."""
import json
import os
import re
import struct
import subprocess
import unittest
import zlib

import jsonschema

BIN = os.environ['TANDEM_BIN']
ROOT = os.environ['TANDEM_ROOT']
AUGMENT = f'{BIN}/tandem-augment'
PRESETS = ('stl10', 'cifar', 'imagenet', 'evaluate', 'cifar/none', 'stl10/all+essl')


def run(*arguments):
    """Standard output of a command that must succeed."""
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise AssertionError(f'{arguments}: exit status {done.returncode}\n{done.stdout}{done.stderr}')
    return done.stdout


def mistake(status, *arguments):
    """The one line of standard error of a command that must fail: 2 for what the command line says, 1 for the rest."""
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, timeout=120)
    if done.returncode != status or len(done.stderr.splitlines()) != 1:
        raise AssertionError(f'{arguments}: exit status {done.returncode}, not {status}\n{done.stdout}{done.stderr}')
    return done.stderr


def write_png(path, width, height):
    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
    rows = b''.join(b'\0' + bytes((x * 7 + y * 3 + c * 50) % 256 for x in range(width) for c in range(3)) for y in range(height))
    with open(path, 'wb') as stream:
        stream.write(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0))
                     + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b''))


def png_size(path):
    with open(path, 'rb') as stream:
        head = stream.read(24)
    assert head[:8] == b'\x89PNG\r\n\x1a\n'
    return struct.unpack('>II', head[16:24])


def read_tensor(path):
    """The tensor `image`: (shape, values)."""
    with open(path, 'rb') as stream:
        size, = struct.unpack('<Q', stream.read(8))
        head = json.loads(stream.read(size))['image']
        data = stream.read()
    begin, end = head['data_offsets']
    return head['shape'], struct.unpack(f'<{(end - begin) // 4}f', data[begin:end])


class Apply(unittest.TestCase):
    def setUp(self):
        write_png('in.png', 40, 30)

    def test_operations_act_in_the_order_given(self):
        # Darker and clamped, then mirrored: x = 39 of the input comes first.
        run(AUGMENT, 'apply', '--op', 'brightness:factor=2', '--op', 'brightness:factor=0.5', '--op', 'hflip', 'in.png', 'out.safetensors')
        shape, values = read_tensor('out.safetensors')
        self.assertEqual(shape, [30, 40, 3])
        for x in range(40):
            for c in range(3):
                v = ((39 - x) * 7 + c * 50) % 256
                self.assertAlmostEqual(values[3 * x + c], min(2 * v / 255, 1) / 2, places=6)

    def test_more_than_eight_bits_are_kept_between_operations(self):
        run(AUGMENT, 'apply', '--op', 'brightness:factor=0.01', '--op', 'brightness:factor=100', 'in.png', 'out.safetensors')
        _, values = read_tensor('out.safetensors')
        for i in range(120):
            self.assertAlmostEqual(values[i], ((i // 3) * 7 + (i % 3) * 50) % 256 / 255, delta=1 / 4096)

    def test_png_out_and_no_operation(self):
        run(AUGMENT, 'apply', 'in.png', 'out.png')
        run(AUGMENT, 'apply', '--op', 'resize_short:size=15,filter=bicubic', 'out.png', 'small.png')
        self.assertEqual(png_size('out.png'), (40, 30))
        self.assertEqual(png_size('small.png'), (20, 15))

    def test_mistakes_are_one_clear_line_and_leave_nothing(self):
        with open('text.jpg', 'w') as stream:
            stream.write('not an image')
        cases = ((2, ['--op', 'blurr'], 'in.png', 'out.png', 'it must be one of'),
                 (2, ['--op', 'hue:factor=9'], 'in.png', 'out.png', '--op hue:factor=9: factor=9: must lie between -0.5 and 0.5'),
                 (2, ['--op', 'resized_crop:top=0,left=30,height=9,width=11,size=4'], 'in.png', 'out.png', 'the image has 0,0 to 40,30'),
                 (2, [], 'in.png', 'out.jpg', 'must end in .png or .safetensors'),
                 (1, [], 'absent.png', 'out.png', 'absent.png'),
                 (1, [], 'text.jpg', 'out.png', 'text.jpg'),
                 (1, [], 'in.png', 'no/such/folder.png', 'no/such'),
                 (2, ['--oop', 'x'], 'in.png', 'out.png', '--oop'))
        for status, flags, source, target, words in cases:
            self.assertIn(words, mistake(status, AUGMENT, 'apply', *flags, source, target))
            self.assertFalse(os.path.exists(target))
        self.assertIn('INPUT', mistake(2, AUGMENT, 'apply'))


class Preview(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        run(f'{BIN}/tandem-ingest', '--format', 'shapes', '--out', 'shapes.lmdb', '--size', 32, '--train', 12, '--test', 3, '--seed', 1)

    def preview(self, out, *flags):
        return run(AUGMENT, 'preview', '--dataset', 'shapes.lmdb', '--policy', 'cifar', '--out', out, *flags)

    def test_the_same_seed_gives_the_same_sheet(self):
        for name, seed in (('a', 3), ('b', 3), ('c', 4)):
            self.preview(f'{name}.png', '--pairs', 3, '--seed', seed)
        sheets = []
        for name in 'abc':
            with open(f'{name}.png', 'rb') as stream:
                sheets.append(stream.read())
        self.assertEqual(sheets[0], sheets[1])
        self.assertNotEqual(sheets[0], sheets[2])

    def test_a_short_split_gives_fewer_rows(self):
        self.preview('all.png', '--pairs', 100)
        self.preview('six.png', '--pairs', 6)
        self.preview('test.png', '--pairs', 100, '--split', 'test')
        self.assertEqual(png_size('all.png'), png_size('six.png'))
        self.assertLess(png_size('test.png')[1], png_size('six.png')[1])

    def test_views_of_any_policy_with_and_without_captions(self):
        for policy in ('stl10/none+augmix+essl', 'evaluate', 'imagenet/all'):
            sizes = []
            for flag in ('--captions', '--no-captions'):
                run(AUGMENT, 'preview', '--dataset', 'shapes.lmdb', '--policy', policy, '--pairs', 2, flag, '--out', 'any.png')
                sizes.append(png_size('any.png'))
            self.assertEqual(sizes[0][0], sizes[1][0])
            self.assertGreater(sizes[0][1], sizes[1][1])

    def test_parameters_of_a_pair_agree_but_for_its_own(self):
        lines = [json.loads(x) for x in self.preview('p.png', '--pairs', 2, '--params').splitlines()]
        self.assertEqual(len(lines), 2 * 2 * 2)
        for first, second in ((0, 2), (1, 3), (4, 6), (5, 7)):
            for key, value in lines[first].items():
                if key not in ('id', 'flip'):
                    self.assertEqual(value, lines[second][key], key)

    def test_mistakes(self):
        for status, flags, words in ((1, ('--split', 'none'), 'train test'), (2, ('--policy', 'x'), 'stl10|cifar|imagenet[/crop'),
                                     (2, ('--pairs', 0), '--pairs'), (2, ('--size', 4096, '--pairs', 9), 'pixels'),
                                     (1, ('--out', 'no/such/out.png'), 'no/such'), (1, ('--dataset', 'absent.lmdb'), 'absent')):
            self.assertIn(words, mistake(status, AUGMENT, 'preview', '--dataset', 'shapes.lmdb', '--out', 'bad.png', *flags))
            self.assertFalse(os.path.exists('bad.png'))


class Policy(unittest.TestCase):
    def setUp(self):
        with open(f'{ROOT}/schemas/policy.schema.json', encoding='utf-8') as stream:
            self.text = stream.read()
        schema = json.loads(self.text)
        jsonschema.Draft202012Validator.check_schema(schema)
        self.valid = jsonschema.Draft202012Validator(schema).is_valid

    def test_the_schema_is_current(self):
        self.assertEqual(run(AUGMENT, 'policy', '--schema'), self.text,
                         'write it again: build/bin/tandem-augment policy --schema > schemas/policy.schema.json')

    def test_presets_are_valid_and_read_back_as_themselves(self):
        for preset in PRESETS:
            for size in (0, 40):
                text = run(AUGMENT, 'policy', '--policy', preset, '--size', size)
                self.assertTrue(self.valid(json.loads(text)), text)
                with open('policy.json', 'w') as stream:
                    stream.write(text)
                self.assertEqual(run(AUGMENT, 'policy', '--policy', 'policy.json'), text)

    def test_the_schema_and_the_program_refuse_the_same(self):
        text = run(AUGMENT, 'policy', '--policy', 'stl10')
        changes = (('"p":0.8', '"p":1.8'), ('"kernel":9', '"kernel":9.5'), ('"kernel":9,', ''), ('"hue":0.1', '"hue":0.9'),
                   ('"hue":', '"hues":'), ('[0.1,2]', '[0.1]'), ('[0.1,2]', '"wide"'), ('"size":96', '"size":0'), ('"size"', '"sizes"'),
                   ('"group":"pair"', '"group":"all"'), ('"random_resized_crop"', '"hflip"'), ('"hflip"', '"brightness"'),
                   ('"hflip"', '"random_resized_crop"'), ('"views"', '"view"'))
        for old, new in changes:
            self.assertIn(old, text)
            bad = text.replace(old, new, 1)
            with open('bad.json', 'w') as stream:
                stream.write(bad)
            self.assertFalse(self.valid(json.loads(bad)), f'{old} -> {new}')
            self.assertRegex(mistake(2, AUGMENT, 'policy', '--policy', 'bad.json'), r'bad\.json: policy: ')

    def test_every_operation_and_parameter_is_documented(self):
        with open(f'{ROOT}/docs/transformations.md', encoding='utf-8') as stream:
            page = stream.read()
        names = set(os.path.splitext(f)[0] for f in os.listdir(f'{ROOT}/common/transform/ops'))
        for definition in json.loads(self.text)['$defs'].values():
            names |= set(definition.get('properties', ()))
        missing = [n for n in names if not re.search(rf'`{n}[`:]', page)]
        self.assertEqual(missing, [])


if __name__ == '__main__':
    unittest.main()
