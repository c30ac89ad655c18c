"""tandem-train with real workers: the same bytes whatever happens, orderly stops, and clear refusals."""
import glob
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import time
import unittest

from tap import Gate, Tap
import tfevents

BIN = os.environ['TANDEM_BIN']
WAIT_S = 120
NETWORK = ('--arch resnet10 --width 4 --stem cifar --projector 16-8 --trans-backbone 16-8 --trans-projector 8-8 '
           '--device cpu --threads 2').split()
EPOCHS, STEPS_PER_EPOCH, IMAGES_EVERY = 6, 8, 2
SPREAD = {'std', 'alignment', 'uniformity'}
TRAINING = [*NETWORK, '--policy', 'cifar', '--size', '16', '--batch', '16', '--shard', '8',
            '--epochs', str(EPOCHS), '--seed', '3', '--images-every', str(IMAGES_EVERY)]


def program(name):
    return os.path.join(BIN, f'tandem-{name}')


def read(*path):
    with open(os.path.join(*path), 'rb') as stream:
        return stream.read()


def read_tensors(path):
    """Name to (dtype, shape, bytes) of a safetensors file, and its metadata."""
    data = read(path)
    length, = struct.unpack('<Q', data[:8])
    head = json.loads(data[8:8 + length])
    metadata = head.pop('__metadata__', {})
    body = data[8 + length:]
    return {k: (v['dtype'], v['shape'], body[slice(*v['data_offsets'])]) for k, v in head.items()}, metadata


def measured(path):
    """The lines of the steps, and those of the evaluations, which stand where they were done."""
    found = [json.loads(line) for line in read(path, 'metrics.jsonl').splitlines()]
    return [m for m in found if 'total' in m], [m for m in found if 'total' not in m]


def write_tensors(path, tensors):
    """Writes float32 tensors given as name: (shape, numbers)."""
    head, body = {}, b''
    for name, (shape, numbers) in tensors.items():
        data = struct.pack(f'<{len(numbers)}f', *numbers)
        head[name] = {'dtype': 'F32', 'shape': shape, 'data_offsets': [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(head).encode()
    text += b' ' * (-len(text) % 8)
    with open(path, 'wb') as stream:
        stream.write(struct.pack('<Q', len(text)) + text + body)


def until(condition, what):
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError(f'waited {WAIT_S} s for {what}')


def lines(path):
    return read(path).count(b'\n') if os.path.exists(path) else 0


class Training:
    """A trainer with its workers. Ends them all on exit. With `until` it gets to that step and no further."""

    def __init__(self, out, *flags, augment=1, dataset=None, until=None):
        self.out, self.sockets, self.last = out, tempfile.mkdtemp(prefix='tt-'), until
        address, self.log = f'ipc://{self.sockets}/feed', tempfile.TemporaryFile()
        dataset = dataset or TrainTest.dataset
        self.tap = Tap(f'{address}-tap', address, change=Gate(until)) if until else None
        self.workers, self.address = [], address
        for _ in range(augment):
            self.join('augment')
        self.join('decode', '--dataset', dataset)
        self.trainer = subprocess.Popen(
            [program('train'), '--dataset', dataset, '--listen', address, '--out', out, *TRAINING, *flags],
            stdout=self.log, stderr=self.log)

    def join(self, kind, *flags):
        """One more worker."""
        address = self.tap.listen if self.tap and kind == 'augment' else self.address
        self.workers.append(subprocess.Popen([program(kind), '--connect', address, *flags], stdout=subprocess.DEVNULL,
                                             stderr=subprocess.DEVNULL))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for p in (self.trainer, *self.workers):
            p.kill()
            p.wait()
        if self.tap:
            self.tap.stop()
        self.log.close()
        shutil.rmtree(self.sockets)

    def text(self):
        self.log.seek(0)
        return self.log.read().decode()

    def come_to_the_step(self):
        """Waits until as many steps are done as may be."""
        metrics = os.path.join(self.out, 'metrics.jsonl')
        until(lambda: lines(metrics) == self.last or self.trainer.poll() is not None, f'step {self.last}')
        if self.trainer.poll() is not None:
            raise AssertionError(f'the trainer left: {self.text()}')

    def finish(self):
        try:
            return self.trainer.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f'the trainer hangs: {self.text()}') from None


def train(out, *flags, **more):
    with Training(out, *flags, **more) as t:
        return t.finish(), t.text()


class TrainTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dataset, cls.whole = os.path.abspath('shapes.lmdb'), os.path.abspath('whole')
        subprocess.run([program('ingest'), '--format', 'shapes', '--size', '16', '--train', str(16 * STEPS_PER_EPOCH + 5),
                        '--test', '8', '--seed', '1', '--out', cls.dataset], check=True, stderr=subprocess.DEVNULL)
        status, text = train(cls.whole)
        assert status == 0, text

    def assert_same_run(self, out):
        for name in ('final.safetensors', 'backbone.safetensors', 'ledger.jsonl'):
            self.assertEqual(read(self.whole, name), read(out, name), name)
        self.assertEqual(measured(self.whole)[0], measured(out)[0])
        results = [json.loads(read(folder, 'result.json')) for folder in (self.whole, out)]
        for r in results:
            r.pop('timing')
        self.assertEqual(*results)
        self.assert_events_are_the_metrics(out)

    def assert_events_are_the_metrics(self, out):
        steps, scores = measured(out)
        tags = tfevents.read_events(out)
        groups = {'epoch': '', 'lr': '', **{name: 'monitor/' for name in (*SPREAD, 'knn', 'probe')}}
        for name in {*steps[0], *scores[0]} - {'step'}:
            expected = {m['step']: m[name] for m in (scores if name in ('knn', 'probe') else steps) if name in m}
            events = tags[groups.get(name, 'loss/') + name]
            self.assertEqual(list(events), list(expected), name)
            for step, value in expected.items():
                self.assertAlmostEqual(events[step], value, delta=1e-6 * abs(value), msg=name)
        self.assertEqual(list(tags['pairs']), list(range(0, EPOCHS * STEPS_PER_EPOCH, IMAGES_EVERY * STEPS_PER_EPOCH)))

    def test_the_event_file_has_what_the_metrics_have(self):
        self.assertEqual(len(tfevents.files(self.whole)), 1)
        self.assert_events_are_the_metrics(self.whole)
        status, text = train('none', '--no-tensorboard', '--epochs', '1')
        self.assertEqual((status, tfevents.files('none')), (0, []), text)
        status, text = train('numbers', '--images-every', '0', '--epochs', '1', '--monitor-every', '0', '--monitor-steps', '0')
        self.assertEqual((status, set(tfevents.read_events('numbers'))),
                         (0, {'epoch', 'lr', 'loss/total', 'loss/inv', 'loss/equi', 'loss/trans'}), text)

    def test_the_first_picture_is_what_preview_shows(self):
        height, width, png = tfevents.read_events(self.whole)['pairs'][0]
        with open('picture.png', 'wb') as stream:
            stream.write(png)
        preview = [program('augment'), 'preview', '--dataset', self.dataset, '--policy', 'cifar', '--size', '16', '--seed', '3',
                   '--pairs', '4', '--out', 'preview.png']
        subprocess.run(preview, check=True)
        pixels = {}
        for name in ('picture', 'preview'):
            subprocess.run([program('augment'), 'apply', f'{name}.png', f'{name}.safetensors'], check=True)
            (_, shape, data), = read_tensors(f'{name}.safetensors')[0].values()
            self.assertEqual(shape, [height, width, 3])
            pixels[name] = data[32 * len(data) // height:]  # below the title, which says the step
        self.assertTrue(pixels['picture'] == pixels['preview'])

    def test_outputs_describe_the_run(self):
        tensors, metadata = read_tensors(os.path.join(self.whole, 'final.safetensors'))
        self.assertEqual((metadata['arch'], metadata['width'], metadata['stem'], metadata['size'], metadata['method'],
                          metadata['epoch'], metadata['seed']), ('resnet10', '4', 'cifar', '16', 'stl', '6', '3'))
        self.assertEqual(tensors['equi_transform.hypernet.weight'][:2], ('F32', [32 * 32, 8]))
        calls = {'backbone.bn1': 2, 'equi_projector.1': 4, 'trans_projector.1': 2}
        for name, per_step in calls.items():
            dtype, shape, data = tensors[f'{name}.num_batches_tracked']
            self.assertEqual((dtype, shape, struct.unpack('<q', data)[0]), ('I64', [], per_step * EPOCHS * STEPS_PER_EPOCH))
        backbone, _ = read_tensors(os.path.join(self.whole, 'backbone.safetensors'))
        self.assertEqual({f'backbone.{name}' for name in backbone}, {n for n in tensors if n.startswith('backbone.')})
        metrics = measured(self.whole)[0]
        self.assertEqual([m['step'] for m in metrics], list(range(EPOCHS * STEPS_PER_EPOCH)))
        self.assertEqual(set(metrics[0]), {'step', 'epoch', 'lr', 'total', 'inv', 'equi', 'trans'} | SPREAD)
        self.assertEqual(set(metrics[1]), {'step', 'epoch', 'lr', 'total', 'inv', 'equi', 'trans'})
        mean = lambda epoch: sum(m['total'] for m in metrics if m['epoch'] == epoch) / STEPS_PER_EPOCH
        self.assertLess(mean(EPOCHS - 1), mean(0))
        result = json.loads(read(self.whole, 'result.json'))
        for which, epoch in (('first', 0), ('last', EPOCHS - 1)):
            self.assertAlmostEqual(result[f'{which}_epoch_losses']['total'], mean(epoch), places=6)
        self.assertEqual(len(glob.glob(os.path.join(self.whole, 'checkpoint-*'))), 2)
        for text in (json.dumps({k: v for k, v in result.items() if k != 'timing'}), read(self.whole, 'metrics.jsonl').decode()):
            self.assertNotIn(os.path.dirname(self.whole), text)

    def test_killed_and_resumed_with_other_workers_it_ends_with_the_same_bytes(self):
        with Training('killed', augment=3, until=3 * STEPS_PER_EPOCH - 2) as t:
            t.come_to_the_step()
            t.trainer.kill()
            t.finish()
        open('killed/checkpoint-00000099.safetensors.tmp-1', 'wb').close()
        events, = tfevents.files('killed')
        os.truncate(events, os.path.getsize(events) - 7)
        with Training('killed', '--resume', augment=2, until=4 * STEPS_PER_EPOCH + 3) as t:
            t.come_to_the_step()
            t.trainer.kill()
            t.finish()
        self.assertEqual(glob.glob('killed/*.tmp-*'), [])
        status, text = train('killed', '--resume')
        self.assertEqual(status, 0, text)
        self.assertIn('continuing after step', text)
        self.assertEqual(len(tfevents.files('killed')), 3)
        self.assert_same_run('killed')

    def test_sigterm_leaves_a_checkpoint_in_the_middle_of_an_epoch(self):
        with Training('stopped', until=STEPS_PER_EPOCH + 3) as t:
            t.come_to_the_step()
            self.assertIn(b'GOMP_SPINCOUNT=', read(f'/proc/{t.trainer.pid}/environ'))
            t.trainer.send_signal(signal.SIGTERM)
            self.assertEqual(t.finish(), 130, t.text())
        steps = sorted(int(re.search(r'(\d+)\.safetensors$', p)[1]) for p in glob.glob('stopped/checkpoint-*'))
        self.assertGreater(steps[-1], STEPS_PER_EPOCH)
        self.assertEqual(lines('stopped/metrics.jsonl'), steps[-1])
        status, text = train('stopped', '--resume')
        self.assertEqual(status, 0, text)
        self.assert_same_run('stopped')

    def test_a_damaged_checkpoint_is_passed_over(self):
        shutil.copytree(self.whole, 'damaged')
        os.remove('damaged/final.safetensors')
        newest = sorted(glob.glob('damaged/checkpoint-*'))[-1]
        with open(newest, 'r+b') as stream:
            stream.seek(-50, os.SEEK_END)
            stream.write(b'\xff')
        status, text = train('damaged', '--resume')
        self.assertEqual(status, 0, text)
        self.assertIn('damaged: its contents do not match its digest', text)
        self.assert_same_run('damaged')

    def test_finished_training_resumes_into_its_outputs(self):
        shutil.copytree(self.whole, 'again')
        os.remove('again/final.safetensors')
        status, text = train('again', '--resume')
        self.assertEqual(status, 0, text)
        self.assert_same_run('again')

    def test_an_earlier_run_is_neither_overwritten_nor_continued_under_other_settings(self):
        before = read(self.whole, 'metrics.jsonl')
        for flags, says in (((), '--resume continues it'), (('--resume', '--lr', '0.1'), 'made with lr 0.03'),
                            (('--resume', '--method', 'simclr'), 'made with method "stl"')):
            status, text = train(self.whole, *flags)
            self.assertNotEqual(status, 0)
            self.assertIn(says, text)
            self.assertEqual(read(self.whole, 'metrics.jsonl'), before)

    def test_training_starts_from_weights(self):
        final = os.path.join(self.whole, 'final.safetensors')
        status, text = train('from', '--weights', final, '--epochs', '1', '--lr', '1e-30')
        self.assertEqual(status, 0, text)
        before, after = read_tensors(final)[0], read_tensors('from/final.safetensors')[0]
        for name in ('backbone.layer4.0.conv2.weight', 'equi_transform.hypernet.weight'):
            self.assertEqual(before[name], after[name])
        backbone = os.path.join(self.whole, 'backbone.safetensors')
        status, text = train('from-backbone', '--weights', backbone, '--epochs', '1', '--lr', '1e-30')
        self.assertEqual(status, 0, text)
        after = read_tensors('from-backbone/final.safetensors')[0]
        self.assertEqual(before['backbone.conv1.weight'], after['backbone.conv1.weight'])
        self.assertNotEqual(before['inv_projector.0.weight'], after['inv_projector.0.weight'])

    def test_a_loss_that_is_not_finite_ends_the_run(self):
        status, text = train('nan', '--lr', '1e30')
        self.assertEqual(status, 1, text)
        self.assertRegex(text, r'step \d+: the loss is not a finite number \(inv .*lower --lr')
        self.assertFalse(os.path.exists('nan/final.safetensors'))

    def test_without_workers_it_gives_up(self):
        with Training('alone', '--worker-wait-s', '0.5', augment=0) as t:
            self.assertEqual(t.finish(), 1)
            self.assertRegex(t.text(), r'no (augment|decode) worker')

    def test_it_says_which_workers_it_waits_for(self):
        note = lambda: os.path.exists('waits.json') and json.loads(read('waits.json'))['note']
        with Training('waits', '--progress', 'waits.json', '--epochs', '1', augment=0) as t:
            until(lambda: note() == 'waits for an augment worker', 'a note')
            self.assertEqual([w['role'] for w in json.loads(read('waits.json'))['workers']], ['decode'])
            t.join('augment')
            self.assertEqual(t.finish(), 0, t.text())
            self.assertIn('epoch 1/1', note())

    def test_when_its_workers_are_gone_it_keeps_what_was_done(self):
        with Training('left', '--worker-wait-s', '10', until=STEPS_PER_EPOCH + 3) as t:
            t.come_to_the_step()
            for worker in t.workers:
                worker.kill()
            self.assertEqual(t.finish(), 1, t.text())
            self.assertRegex(t.text(), r'no (augment|decode) worker')
        newest = sorted(glob.glob('left/checkpoint-*'))[-1]
        self.assertEqual(lines('left/metrics.jsonl'), int(re.search(r'(\d+)\.safetensors$', newest)[1]))
        status, text = train('left', '--resume')
        self.assertEqual(status, 0, text)
        self.assert_same_run('left')

    def test_mistakes_are_refused_in_one_line(self):
        with open('not.safetensors', 'w', encoding='utf-8') as stream:
            stream.write('hello, this is a text file')
        final = os.path.join(self.whole, 'final.safetensors')
        for flags, status, says in (
                (['--method', 'slt'], 2, "'slt' is not one of augself|equimod|essl|none|sen|sie|stl|barlow"),
                (['--base', 'moco'], 2, "'moco' is not one of barlow|byol|simclr|simsiam"),
                (['--batch', '15'], 2, 'pairs'), (['--batch', '2'], 2, 'below 4'),
                (['--batch', '4096'], 2, 'more than the 133 images'),
                (['--splits', 'trian'], 1, 'train'), (['--device', 'tpu'], 2, 'tpu'),
                (['--method', 'essl'], 2, 'needs a third view'), (['--policy', 'cifar+essl'], 2, 'no use for a third'),
                (['--method', 'sie', '--labels', 'blur'], 2, 'have no blur'), (['--predictor', '8-8'], 2, '--predictor'),
                (['--base', 'byol', '--projector', 'auto', '--target-momentum', '2'], 2, '--target-momentum'),
                (['--policy', 'nothing.json'], 1, 'nothing.json'), (['--policy', 'evaluate'], 2, '2 views'),
                (['--projector', '16--8'], 2, '--projector'), (['--equi', '-1'], 2, '--equi'),
                (['--inv', '0', '--equi', '0', '--trans', '0'], 2, 'nothing to learn'),
                (['--keep', '0'], 2, '--keep'), (['--epochs', '0'], 2, '--epochs'),
                (['--epochs', str(2**63 - 1)], 2, '--epochs'), (['--threads', '-1'], 2, '--threads'),
                (['--monitor-every', '0.5'], 2, '--monitor-every'), (['--monitor-images', '0'], 2, '--monitor-images'),
                (['--monitor-images', '4001'], 2, '--monitor-images'), (['--monitor-steps', '-1'], 2, '--monitor-steps'),
                (['--warmup-epochs', '7'], 2, '--warmup-epochs'), (['--arch', 'vgg'], 2, 'resnet10'),
                (['--weights', 'not.safetensors'], 1, 'not.safetensors'), (['--weights', 'absent'], 1, 'absent'),
                (['--weights', final, '--width', '8'], 2, 'made with 4'),
                (['--weights', final, '--projector', '16-16-8'], 1, 'inv_projector.6.weight'),
                (['--dataset', 'absent.lmdb'], 1, 'absent.lmdb'), (['--epoch', '3'], 2, '--epoch')):
            with self.subTest(flags=flags):
                p = subprocess.run([program('train'), '--dataset', self.dataset, '--listen', 'ipc://unused', '--out',
                                    'refused', *TRAINING, '--width', '4', *flags], capture_output=True, timeout=WAIT_S)
                said = [line for line in p.stderr.decode().splitlines() if 'waits for workers' not in line]
                self.assertEqual((p.returncode, len(said)), (status, 1), said)
                self.assertIn(says, said[0])
        self.assertFalse(os.path.exists('refused'))


class MethodsTest(unittest.TestCase):
    """What bases and methods take from a batch and leave in the files, beyond two views and their networks."""

    @classmethod
    def setUpClass(cls):
        cls.dataset = os.path.abspath('methods.lmdb')
        subprocess.run([program('ingest'), '--format', 'shapes', '--size', '16', '--train', '64', '--test', '8', '--seed', '1',
                        '--out', cls.dataset], check=True, stderr=subprocess.DEVNULL)

    def train(self, out, *flags):
        return train(out, '--epochs', '2', *flags, dataset=self.dataset)

    def run_method(self, out, *flags):
        status, text = self.train(out, *flags)
        self.assertEqual(status, 0, text)
        metrics = measured(out)[0]
        tensors, metadata = read_tensors(os.path.join(out, 'final.safetensors'))
        return metrics, tensors, metadata

    def test_a_third_view_and_its_rotations(self):
        metrics, tensors, metadata = self.run_method('essl', '--method', 'essl', '--policy', 'cifar+essl', '--rotation-head', '16')
        self.assertEqual((len(metrics), set(metrics[0])), (8, {'step', 'epoch', 'lr', 'total', 'inv', 'equi'} | SPREAD))
        self.assertAlmostEqual(metrics[0]['total'], metrics[0]['inv'] + 0.5 * metrics[0]['equi'], places=5)
        self.assertEqual((tensors['rotation_head.3.weight'][1], metadata['method']), ([4, 16], 'essl'))
        calls, = struct.unpack('<q', tensors['backbone.bn1.num_batches_tracked'][2])
        self.assertEqual(calls, 3 * 8)

    def test_labels(self):
        metrics, tensors, _ = self.run_method('equimod', '--base', 'barlow', '--method', 'equimod', '--labels', 'crop,color,flip')
        self.assertEqual(set(metrics[0]), {'step', 'epoch', 'lr', 'total', 'inv', 'equi'} | SPREAD)
        self.assertEqual(tensors['equi_transform.hypernet.weight'][1], [32 * 32, 9])
        metrics, tensors, _ = self.run_method('augself', '--base', 'simsiam', '--method', 'augself', '--predictor', '8-8',
                                              '--label-head', '16')
        self.assertEqual([tensors[f'{k}_head.3.bias'][1] for k in ('crop', 'color')], [[4], [4]])
        # Before anything is learnt the heads know little more than that differences are small.
        self.assertLess(metrics[0]['equi'], 1)

    def test_target_networks_are_part_of_what_is_continued(self):
        flags = ('--base', 'byol', '--method', 'stl', '--predictor', '8-8')
        _, tensors, metadata = self.run_method('byol', *flags)
        self.assertEqual(metadata['base'], 'byol')
        for name in ('backbone.conv1.weight', 'trans_backbone.0.weight', 'inv_projector.3.bias', 'trans_projector.0.weight'):
            dtype, shape, data = tensors[f'target.{name}']
            self.assertEqual((dtype, shape), tensors[name][:2])
            self.assertNotEqual(data, tensors[name][2])
        for name in tensors:
            self.assertFalse(name.startswith('target.') and ('predictor' in name or 'equi_transform' in name), name)
        with Training('byol-cut', '--epochs', '2', *flags, dataset=self.dataset, until=6) as t:
            t.come_to_the_step()
            t.trainer.kill()
            t.finish()
        status, text = self.train('byol-cut', '--resume', *flags)
        self.assertEqual(status, 0, text)
        self.assertIn('continuing after step 4', text)
        self.assertEqual(read('byol', 'final.safetensors'), read('byol-cut', 'final.safetensors'))
        status, text = self.train('byol-cut', '--resume', *flags, '--target-momentum', '0.5')
        self.assertNotEqual(status, 0)
        self.assertIn('made with target-momentum 0.996', text)
        for weights in ('byol/backbone.safetensors', 'byol/final.safetensors'):
            status, text = self.train('byol-from', '--weights', weights, '--epochs', '1', '--lr', '1e-30', *flags)
            self.assertEqual(status, 0, text)
            after = read_tensors('byol-from/final.safetensors')[0]
            self.assertEqual(after['backbone.conv1.weight'], tensors['backbone.conv1.weight'])
            shutil.rmtree('byol-from')


class ReplayTest(unittest.TestCase):
    """The contract's command on a checkpoint of ours."""

    @classmethod
    def setUpClass(cls):
        n = 6 * 3 * 8 * 8
        view = lambda seed: ([6, 3, 8, 8], [((i * 7919 + seed) % 1000) / 500 - 1 for i in range(n)])
        write_tensors('batch.safetensors', {'x1': view(0), 'x2': view(350)})
        write_tensors('one-view.safetensors', {'x1': view(0)})
        write_tensors('uneven.safetensors', {'x1': view(0), 'x2': ([6, 3, 8, 4], view(0)[1][:n // 2])})
        cls.weights = os.path.abspath('weights/final.safetensors')
        subprocess.run([program('ingest'), '--format', 'shapes', '--size', '16', '--train', '16', '--test', '4', '--seed',
                        '1', '--out', 'few.lmdb'], check=True, stderr=subprocess.DEVNULL)
        status, text = train('weights', '--epochs', '1', dataset=os.path.abspath('few.lmdb'))
        assert status == 0, text

    def replay(self, *flags):
        p = subprocess.run([program('train'), 'replay', '--weights', self.weights, '--batch',
                            'batch.safetensors', '--out', 'out.safetensors', *NETWORK, *flags],
                           capture_output=True, timeout=WAIT_S)
        return p.returncode, p.stderr.decode()

    def test_writes_losses_gradients_and_what_comes_after(self):
        status, text = self.replay('--steps', '3', '--method', 'stl')
        self.assertEqual(status, 0, text)
        out, (given, _) = read_tensors('out.safetensors')[0], read_tensors(self.weights)
        self.assertEqual(out['losses'][1], [3, 4])
        for name, (dtype, shape, _) in given.items():
            if dtype == 'I64':
                continue
            self.assertEqual(out[f'after.{name}'][1], shape)
            self.assertEqual(f'grad.{name}' in out, 'running_' not in name)
        status, text = self.replay('--method', 'simclr')
        self.assertEqual(status, 0, text)
        self.assertNotIn('grad.equi_projector.0.weight', read_tensors('out.safetensors')[0])

    def test_mistakes_are_refused_in_one_line(self):
        backbone = self.weights.replace('final', 'backbone')
        for flags, status, says in (
                (['--batch', 'one-view.safetensors'], 1, 'x2'), (['--batch', 'uneven.safetensors'], 1, 'shape'),
                (['--batch', 'absent'], 1, 'absent'), (['--steps', '0'], 2, '--steps'), (['--steps', str(2**62)], 2, '--steps'),
                (['--weights', backbone], 1, 'missing'), (['--projector', '16-9'], 1, 'inv_projector.3.weight is [8,16]'),
                (['--out', 'no/folder/out'], 1, 'no/folder/out'), (['--lr', 'nan'], 2, '--lr')):
            with self.subTest(flags=flags):
                code, text = self.replay(*flags)
                self.assertEqual((code, len(text.splitlines())), (status, 1), text)
                self.assertIn(says, text)


if __name__ == '__main__':
    unittest.main()
