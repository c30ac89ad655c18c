"""`tandem graph`: every stage, worker and artefact is in the picture, and nothing lies on anything else."""
import glob
import os
import random
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

ROOT = os.environ['TANDEM_ROOT']
sys.path.insert(0, os.path.join(ROOT, 'scripts'))
from supervisor import graph, pipeline  # noqa: E402
from supervisor.layout import layout  # noqa: E402

SVG = '{http://www.w3.org/2000/svg}'
LARGE = '''name: large
seed: 7
stages:
  a: {run: ingest, with: {format: shapes, out: "${run}/a.lmdb"}}
  b: {run: ingest, with: {format: shapes}}
  pretrain-with-a-name-that-is-too-long: {run: train, needs: [a], feed: {dataset: "${run}/a.lmdb", decode: 100, augment: 1024}}
  second: {run: train, needs: [a, pretrain-with-a-name-that-is-too-long], seeds: [1, 2], feed: {dataset: "${run}/a.lmdb"},
           with: {weights: "${pretrain-with-a-name-that-is-too-long}/backbone.safetensors"}}
  l1: {run: linear, needs: [b, second], feed: {dataset: "${b}/dataset.lmdb"}, with: {weights: "${second}/final.safetensors"}}
  l2: {run: linear, needs: [a, second, l1], feed: {dataset: "${run}/a.lmdb"}, with: {weights: "${second}/final.safetensors"}}
  l3: {run: linear, needs: [a, b, l2], feed: {dataset: "${b}/dataset.lmdb"}, with: {weights: "random:3"}}
'''


def load(text):
    with tempfile.NamedTemporaryFile('w', suffix='.yaml', encoding='utf-8') as stream:
        stream.write(text)
        stream.flush()
        return pipeline.load(stream.name)


def boxes(svg):
    """(left, top, right, bottom) of the foremost card of each stage."""
    found = [g.find(f"{SVG}rect[@class='card']") for g in svg.findall(f'{SVG}g')]
    return [tuple(float(r.get(k)) for k in 'xy') + (float(r.get('x')) + float(r.get('width')), float(r.get('y')) + float(r.get('height')))
            for r in found]


class Graph(unittest.TestCase):
    def picture(self, loaded):
        text = graph.draw(loaded)
        self.assertEqual(text, graph.draw(loaded), 'the same file gives the same picture')
        self.assertNotRegex(text.replace('http://www.w3.org/2000/svg', ''), r'href|url\(|http', 'it needs no other file')
        svg = xml.etree.ElementTree.fromstring(text)
        _, _, width, height = map(float, svg.get('viewBox').split())
        cards = boxes(svg)
        for i, a in enumerate(cards):
            self.assertTrue(0 <= a[0] and 0 <= a[1] and a[2] <= width and a[3] <= height, a)
            for b in cards[:i]:
                self.assertTrue(a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1], f'{a} lies on {b}')
        return svg, [t.text for t in svg.iter(f'{SVG}text')]

    def test_the_files_that_come_with_it(self):
        for file in glob.glob(f'{ROOT}/pipelines/*.yaml'):
            loaded = pipeline.load(file)
            svg, texts = self.picture(loaded)
            self.assertEqual(len(boxes(svg)), len({s.base for s in loaded.stages.values()}))
            self.assertIn(loaded.name, texts)

    def test_a_large_one(self):
        svg, texts = self.picture(load(LARGE))
        for words in ('a', 'b', 'second', 'l3', 'decode ×100', 'augment ×1024', 'decode ×1', 'seeds 1, 2', 'a.lmdb', 'dataset.lmdb',
                      'backbone.safetensors', 'final.safetensors', 'result.json', 'seed 7', 'format shapes', 'weights random:3'):
            self.assertIn(words, texts)
        self.assertTrue(any(t.startswith('pretrain-with') and t.endswith('…') for t in texts))
        kinds = sorted(p.get('class').split()[1:] for p in svg.findall(f'{SVG}path') if p.get('class').startswith('edge'))
        self.assertEqual(kinds, [[]] * 3 + [['feed']] * 5 + [['order']] * 2, 'files read, datasets fed, and what only orders')

    def test_strange_words_are_text(self):
        _, texts = self.picture(load('name: x\nstages:\n  a: {run: ingest, with: {format: "<b> & \'c\' \\"d\\""}}\n'))
        self.assertIn('format <b> & \'c\' "d"', texts)

    def test_lines_of_a_layout_lie_on_no_node(self):
        choose = random.Random(4)
        for _ in range(30):
            names = list(range(choose.randint(1, 14)))
            heights = {n: choose.randint(30, 200) for n in names}
            edges = sorted({(a, b, choose.randint(0, 1)) for b in names for a in names[:b] if choose.random() < 0.3})
            places, lines, columns, bottom = layout(heights, edges, 100, 40)
            for n, (x, y) in places.items():
                self.assertTrue(x % 140 == 0 and 0 <= x < columns * 140 and y >= 0 and y + heights[n] <= bottom + 1)
            for (a, b, _), line in zip(edges, lines):
                self.assertLess(places[a][0], places[b][0])
                for x, y in line[::2]:
                    self.assertFalse([n for n, (nx, ny) in places.items() if nx == x and ny <= y <= ny + heights[n]])

    def test_the_command(self):
        folder = tempfile.mkdtemp(dir='.')
        for flags, name in (([], 'graph.svg'), (['--out', 'demo.svg'], 'demo.svg')):
            done = subprocess.run([f'{ROOT}/scripts/tandem', 'graph', f'{ROOT}/pipelines/demo.yaml', *flags], capture_output=True, text=True, cwd=folder)
            self.assertEqual((done.returncode, done.stderr), (0, ''))
            self.assertTrue(done.stdout.endswith(f'stages drawn in {name}\n'), done.stdout)
            self.assertEqual(xml.etree.ElementTree.parse(os.path.join(folder, name)).getroot().tag, f'{SVG}svg')
        bad = subprocess.run([f'{ROOT}/scripts/tandem', 'graph', f'{ROOT}/pipelines/demo.yaml', '--out', 'no/such/folder.svg'], capture_output=True, text=True)
        self.assertEqual(bad.returncode, 1)
        self.assertTrue(re.fullmatch(r'tandem: error: .*no/such/folder.svg.*\n', bad.stderr), bad.stderr)


if __name__ == '__main__':
    unittest.main()
