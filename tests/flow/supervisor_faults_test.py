"""The supervisor when something dies, is killed or stopped."""
import os
import resource
import signal
import socket
import subprocess
import unittest

from pipeline_case import TANDEM, WAIT_S, LongCase, alive, until


class Faults(LongCase):
    def test_killed_workers_are_started_again(self):
        process = self.train()
        for name in ('pretrain/augment-1', 'pretrain/decode-1'):
            os.kill(self.child(name), signal.SIGKILL)
        self.go_on()
        output = self.finish(process)
        self.assertIn('pretrain/augment-1 was ended by SIGKILL; starting it again', output)
        self.assertIn('pretrain/decode-1 was ended by SIGKILL; starting it again', output)
        self.assertEqual(self.result(self.run_folder), self.undisturbed())

    def test_a_killed_trainer_is_resumed_to_the_same_bytes(self):
        process = self.train()
        os.kill(self.child('pretrain'), signal.SIGKILL)
        self.assertIn('resuming from its last checkpoint (1 of 3)', self.finish(process))
        self.assertEqual(self.result(self.run_folder), self.undisturbed())

    def test_a_trainer_that_keeps_dying_is_given_up(self):
        process = self.train()
        for _ in range(4):
            pid = until(lambda: self.child('pretrain'), 'the trainer to run')
            os.kill(pid, signal.SIGKILL)
            until(lambda: not alive(pid), 'the trainer to end')
        children = self.pids()
        output = self.finish(process, code=1)
        self.assertRegex(output, r"stage 'pretrain' was ended by SIGKILL, after 3 restarts: .*\(log: .*train\.log\)")
        self.nothing_left(children)

    def test_ctrl_c_leaves_no_process_and_the_next_run_goes_on(self):
        process = self.train()
        children = self.pids()
        self.assertEqual(len(children), 3)
        process.send_signal(signal.SIGINT)
        self.finish(process, code=130)
        self.nothing_left(children)
        self.assertRegex(self.tandem('status', '--run', self.run_folder), r'(?m)^pretrain +train +interrupted')
        self.assertIn('pretrain: runs: interrupted last time', self.run_file(*self.long, '--only', 'pretrain'))
        self.assertEqual(self.result(self.run_folder), self.undisturbed())

    def test_the_supervisor_killed_and_run_again(self):
        process = self.train()
        children = self.pids()
        process.kill()
        process.wait()
        self.go_on()
        output = self.run_file(*self.long, '--from', 'data', '--only', 'pretrain')
        self.assertIn('pretrain: runs: interrupted last time', output)
        self.nothing_left(children)
        self.assertEqual(self.result(self.run_folder), self.undisturbed())
        self.assertEqual(self.verdicts(self.run_file(*self.long, '--only', 'data')), {'data': 'skipped'})

    def test_a_leftover_child_is_ended(self):
        """A child that cannot follow its supervisor, because it is stopped."""
        process = self.train()
        trainer = self.child('pretrain')
        process.kill()
        process.wait()
        self.assertTrue(alive(trainer))
        output = self.run_file(*self.long, '--only', 'pretrain')
        # its workers may be on their way out still, and are then named beside it
        self.assertRegex(output, r'(?m)^ended pretrain(, pretrain/\S+)*, left by a supervisor that was killed$')
        self.assertFalse(alive(trainer))
        self.assertEqual(self.result(self.run_folder), self.undisturbed())

    def test_one_supervisor_per_run_folder_and_stop(self):
        process = self.train()
        children = self.pids()
        self.assertIn('another supervisor (process', self.run_file(*self.long, code=1))
        self.assertIn('stopping supervisor', self.tandem('stop', '--run', self.run_folder))
        self.finish(process, code=130)
        self.nothing_left(children)
        self.assertIn('nobody at work', self.tandem('stop', '--run', self.run_folder))

    def test_an_error_of_a_stage_is_shown_and_final(self):
        text = self.run_file('--set', 'pretrain.batch=7', code=1)
        self.assertRegex(text, r"stage 'pretrain' failed: tandem-train: error: .*batch.* \(log: .*train\.log\)")
        self.assertEqual(self.state()['children'], [])
        self.assertEqual(self.verdicts(self.run_file()), {'data': 'skipped', 'pretrain': 'runs', 'linear': 'runs'})

    def test_a_port_in_use(self):
        with socket.socket() as taken:
            taken.bind(('127.0.0.1', 0))
            taken.listen()
            port = taken.getsockname()[1]
            text = self.run_file('--set', f'pretrain.feed.listen=tcp://127.0.0.1:{port}', code=1)
        self.assertIn(str(port), text)
        self.assertEqual(len(text.strip().splitlines()), 1, text)

    def test_a_full_disk_is_one_line(self):
        for limit in (0, 400, 4000, 30000):  # a limit on the size of files answers like a full disk, at different moments
            with self.subTest(limit):
                done = subprocess.run([TANDEM, 'run', self.file, '--run', self.run_folder], capture_output=True, text=True,
                                      timeout=WAIT_S, stdin=subprocess.DEVNULL,
                                      preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY)))
                self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
                self.assertRegex(done.stderr, r'\Atandem: error: .*(ile too large|No space left).*\n\Z')
        self.run_file('--only', 'data')

    def test_a_folder_that_is_not_ours_is_left_alone(self):
        os.makedirs(os.path.join(self.run_folder, 'pretrain'))
        mine = self.write(os.path.join('run', 'pretrain', 'letters.txt'), 'dear ...')
        self.assertIn('was not made by this pipeline', self.run_file(code=1))
        self.assertTrue(os.path.exists(mine))


if __name__ == '__main__':
    unittest.main()
