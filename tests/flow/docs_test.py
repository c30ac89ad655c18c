"""The documentation holds: commands run, links lead somewhere, generated pages are current.

Every ```sh block of README.md and docs/ runs here, in a copy of the repository's root, so that nothing is left behind. A block
that needs preparation or would take long is marked <!-- test: NAME -->; NAME is a method `prepare_NAME` of Blocks that
prepares the folder and returns the commands to run instead.
"""
import glob
import os
import re
import subprocess
import tempfile
import unittest
import zlib

ROOT = os.environ['TANDEM_ROOT']
PAGES = sorted(glob.glob(f'{ROOT}/*.md') + glob.glob(f'{ROOT}/docs/**/*.md', recursive=True) + glob.glob(f'{ROOT}/*/README.md'))
BLOCK = re.compile(r'(?:^<!-- test: (\w+) -->\n)?^```sh\n(.*?)^```', re.M | re.S)
TINY = '--set {0}.epochs=1 --set {0}.width=4 --set {0}.projector=8-8 --set {0}.trans-backbone=8-8 --set {0}.trans-projector=8-8 ' \
       '--set {0}.batch=16'
SMALL_TRAINING = ' '.join(TINY.format(s) for s in ('stl', 'simclr')) + ' --set linear-random.width=4'


def text_of(page):
    with open(page, encoding='utf-8') as stream:
        return stream.read()


def blocks():
    """(page, mark or None, commands) of every sh block."""
    for page in PAGES:
        for mark, commands in BLOCK.findall(text_of(page)):
            yield os.path.relpath(page, ROOT), mark or None, commands


class Blocks(unittest.TestCase):
    """A folder like the repository's root: its files by link, what is written in it its own."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(dir='.')
        for name in os.listdir(ROOT):
            if name not in ('build', 'runs', '.git'):
                os.symlink(os.path.join(ROOT, name), os.path.join(self.folder, name))
        os.symlink(os.environ['TANDEM_BUILD'], os.path.join(self.folder, 'build'))

    def run_commands(self, commands):
        done = subprocess.run(['sh', '-eu', '-c', commands], cwd=self.folder, capture_output=True, text=True, timeout=600,
                              stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0, f'{commands}\n{done.stdout}{done.stderr}')

    def prepare_demo(self, commands):
        """The demo with less of everything."""
        if os.environ['TANDEM_BUILD'] != f'{ROOT}/build':
            self.skipTest('scripts/demo would build with other flags than the programs under test')
        return f'{commands.strip()} {SMALL_TRAINING} --set data.train=64 --set data.test=40\ntest -s runs/demo/report.html\n' \
            + f'{commands.strip()} {SMALL_TRAINING} --set data.train=64 --set data.test=40 | grep "linear-stl: skipped: unchanged"\n'

    def prepare_scale(self, commands):
        """A run that trains until it is stopped."""
        with open(os.path.join(self.folder, 'long.yaml'), 'w', encoding='utf-8') as stream:
            stream.write('''name: long
stages:
  data: {run: ingest, with: {format: shapes, size: 32, train: 64, test: 8}}
  pretrain:
    run: train
    needs: [data]
    feed: {dataset: "${data}/dataset.lmdb"}
    with: {arch: resnet10, width: 4, projector: 8-8, trans-backbone: 8-8, trans-projector: 8-8, batch: 16, epochs: 100000}
''')
        return 'scripts/tandem run long.yaml > log 2>&1 & run=$!\n' \
            'until grep -q train runs/long/pretrain/progress.json; do kill -0 $run; sleep 0.1; done 2>> log\n' \
            + commands + 'scripts/tandem stop\n! wait $run\n'

    def prepare_ledger(self, commands):
        """Two runs of one step each."""
        for run in ('today', 'yesterday'):
            folder = os.path.join(self.folder, 'runs', run, 'pretrain')
            os.makedirs(folder)
            with open(os.path.join(folder, 'ledger.jsonl'), 'w', encoding='utf-8') as stream:
                digests = ''.join(f', "{key}": "{i:016x}"' for i, key in enumerate(('tickets', 'pixels', 'labels')))
                stream.write('{"step": 0, "images": 16' + digests + '}\n')
        return commands

    def prepare_cuda(self, commands):
        """What needs a CUDA build, and cuDNN."""
        asked = subprocess.run([os.environ['TANDEM_BIN'] + '/tandem-train', 'describe', '--device', 'cuda:h200', '--arch', 'resnet10', '--size', '32'],
                               capture_output=True, text=True)
        if re.search('made without CUDA|libcudnn.*not found', asked.stderr):
            self.skipTest(asked.stderr.strip().splitlines()[-1])
        return commands

    def prepare_bench(self, commands):
        """A few steps of everything."""
        return 'scripts/bench --quick --build build --python no-python --images none --small none\n'

    def prepare_photos(self, commands):
        """Photographs that a user might have, and a training that a test has time for."""
        for split, count in (('train', 24), ('test', 6)):
            for kind in ('cat', 'dog'):
                folder = os.path.join(self.folder, 'photos', split, kind)
                os.makedirs(folder)
                for i in range(count):
                    with open(os.path.join(folder, f'{i}.png'), 'wb') as stream:
                        stream.write(picture(40, 32 + i % 9, i * (3 if kind == 'cat' else 5)))
        return commands.strip() + ' ' + SMALL_TRAINING + ' --set stl.seeds=[1] --set simclr.seeds=[1] --set linear-random.seeds=[1]\n' \
            + 'test -s runs/photos/stl-1/backbone.safetensors\n'


def picture(width, height, shade):
    """A PNG file."""
    def chunk(kind, data):
        return len(data).to_bytes(4, 'big') + kind + data + zlib.crc32(kind + data).to_bytes(4, 'big')
    rows = b''.join(b'\0' + bytes((x * 5 + y * c * 3 + shade) % 256 for x in range(width) for c in range(3)) for y in range(height))
    header = width.to_bytes(4, 'big') + height.to_bytes(4, 'big') + bytes([8, 2, 0, 0, 0])
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b'')


def block_test(mark, commands):
    def test(self):
        self.run_commands(getattr(self, f'prepare_{mark}')(commands) if mark else commands)
    return test


# What runs this test cannot run in it.
WHOLE = {'scripts/test'}
for number, (page_name, page_mark, page_commands) in enumerate(blocks()):
    if page_commands.strip() not in WHOLE:
        setattr(Blocks, f'test_{number:02d}_{re.sub("[^a-z]+", "_", page_name.lower())}', block_test(page_mark, page_commands))


class Pages(unittest.TestCase):
    def test_links_lead_somewhere(self):
        for page in PAGES:
            for target in re.findall(r'\]\(([^)#\s]+)(?:#[^)]*)?\)', text_of(page)):
                if not re.match(r'[a-z]+:', target):
                    self.assertTrue(os.path.exists(os.path.join(os.path.dirname(page), target)), f'{page}: {target}')

    def test_flags_are_current(self):
        subprocess.run([f'{ROOT}/scripts/flags-doc', '--check'], check=True)

    def test_every_page_is_in_the_manual(self):
        manual = text_of(f'{ROOT}/docs/README.md')
        for page in glob.glob(f'{ROOT}/docs/*.md'):
            if not page.endswith('README.md'):
                self.assertIn(f'({os.path.basename(page)})', manual)

    def test_whole_scripts_exist(self):
        for script in WHOLE:
            self.assertTrue(os.access(f'{ROOT}/{script}', os.X_OK))
            subprocess.run(['sh', '-n', f'{ROOT}/{script}'], check=True)

    def test_pipeline_files_are_valid(self):
        folder = tempfile.mkdtemp(dir='.')
        for file in glob.glob(f'{ROOT}/pipelines/*.yaml'):
            for words in (['validate', file], ['run', file, '--dry-run', '--run', f'{folder}/run']):
                subprocess.run([f'{ROOT}/scripts/tandem', *words], check=True, stdout=subprocess.DEVNULL)
        self.assertEqual(os.listdir(folder), [])

    def test_no_block_is_left_out(self):
        names = {n for n in dir(Blocks) if n.startswith('test_')}
        whole = sum(c.strip() in WHOLE for _, _, c in blocks())
        self.assertEqual(len(names) + whole, sum(len(re.findall(r'^```sh$', text_of(p), re.M)) for p in PAGES))


if __name__ == '__main__':
    unittest.main()
