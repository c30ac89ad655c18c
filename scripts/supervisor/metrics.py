"""Figures of a run for Prometheus: `run --metrics HOST:PORT` answers GET /metrics in its text format (0.0.4).

Counters only grow while the supervisor lives: over workers and trainers that are started again, too (`meter`).
"""
import http.server
import re
import socket
import threading
import time

from .errors import Failure

_STATES = ('waiting', 'running', 'done', 'skipped', 'failed', 'interrupted')
_EVERY_S = 0.5
_WORKER = (('shards', 'tandem_worker_shards_total', 1, 'Shards a worker has made.'),
           ('images', 'tandem_worker_images_total', 1, 'Images a worker has made.'),
           ('bytes_in', 'tandem_worker_received_bytes_total', 1, 'Payload bytes a worker has taken in (decode: encoded bytes read).'),
           ('bytes_out', 'tandem_worker_sent_bytes_total', 1, 'Payload bytes a worker has handed on.'),
           ('busy_ms', 'tandem_worker_busy_seconds_total', 1000, 'Time a worker has worked.'),
           ('wait_ms', 'tandem_worker_wait_seconds_total', 1000, 'Time a worker has waited for work or for room.'))
_FEED = (('shards', 'tandem_feed_shards_total', 1, 'Shards received and used.'),
         ('reissued', 'tandem_feed_reissued_total', 1, 'Tickets handed out again.'),
         ('hedged', 'tandem_feed_hedged_total', 1, 'Of these, tickets handed out a second time before their lease was over.'),
         ('duplicates', 'tandem_feed_duplicates_total', 1, 'Shards that came twice and were compared.'),
         ('failed', 'tandem_feed_failed_total', 1, 'Shards that a worker could not make.'),
         ('refused', 'tandem_feed_refused_total', 1, 'Connections turned away for their key.'),
         ('busy_ms', 'tandem_consumer_busy_seconds_total', 1000, 'Time the consumer has worked.'),
         ('wait_ms', 'tandem_consumer_wait_seconds_total', 1000, 'Time the consumer has waited for batches.'))


class Exposition:
    """Collects samples by family, so that each family stands together under one HELP and TYPE."""

    def __init__(self):
        self._families = {}

    def add(self, name, kind, about, value, /, **labels):
        self._families.setdefault(name, (kind, about, []))[2].append((labels, value))

    def text(self):
        lines = []
        for name, (kind, about, samples) in self._families.items():
            lines += [f'# HELP {name} {_escaped(about)}', f'# TYPE {name} {kind}']
            for labels, value in samples:
                words = ','.join(f'{key}="{_escaped(text, quotes=True)}"' for key, text in labels.items())
                lines.append(f'{name}{{{words}}} {_number(value)}' if words else f'{name} {_number(value)}')
        return '\n'.join(lines) + '\n'


def _escaped(text, quotes=False):
    text = str(text).replace('\\', r'\\').replace('\n', r'\n')
    return text.replace('"', r'\"') if quotes else text


def _number(value):
    return str(value) if isinstance(value, int) else repr(float(value))


def render(pipeline, states, meters, restarts):
    """The page. `states`: stage to its state; `meters`: stage to Meter; `restarts`: {stage: {role or the stage's kind: count}}."""
    page = Exposition()
    page.add('tandem_run_info', 'gauge', 'The pipeline at work.', 1, pipeline=pipeline.name)
    for stage in pipeline.stages.values():
        labels = {'stage': stage.name, 'kind': stage.kind}
        for state in _STATES:
            page.add('tandem_stage_state', 'gauge', 'State of a stage: 1 for the one it is in.', int(states.get(stage.name, 'waiting') == state),
                     **labels, state=state)
    for name, counts in restarts.items():
        for role, count in counts.items():
            page.add('tandem_restarts_total', 'counter', 'Processes of a stage that ended early and were started again.', count, stage=name, role=role)
    for name, meter in meters.items():
        _progress(page, name, meter)
        _members(page, name, meter)
        _feed(page, name, meter)
    return page.text()


def _progress(page, stage, meter):
    told = meter.progress
    labels = {'stage': stage, 'work': told.get('what', ''), 'unit': told.get('unit', '')}
    for key, name, about in (('done', 'tandem_stage_done', 'How far the work at hand is.'),
                             ('total', 'tandem_stage_planned', 'How much there is to do; 0 if unknown.'),
                             ('rate', 'tandem_stage_rate', 'Units per second of late.')):
        if isinstance(told.get(key), (int, float)):
            page.add(name, 'gauge', about, told[key], **labels)
    for term, value in (told.get('losses') or {}).items():
        page.add('tandem_loss', 'gauge', 'Loss of the last step, by term.', value, stage=stage, term=term)


def _members(page, stage, meter):
    for role in ('decode', 'augment'):
        members = [m for m in meter.members.values() if m.role == role]
        if members:
            page.add('tandem_workers', 'gauge', 'Workers that talk to the consumer.', sum(m.present for m in members), stage=stage, role=role)
        for m in members:
            labels = {'stage': stage, 'role': role, 'worker': m.place, 'host': m.host}
            for key, name, scale, about in _WORKER:
                page.add(name, 'counter', about, m.counts[key] if scale == 1 else m.counts[key] / scale, **labels)
            for kind, count in sorted(m.errors.items()):
                page.add('tandem_worker_errors_total', 'counter', 'What went wrong at a worker, by kind.', count, **labels, error=kind)


def _feed(page, stage, meter):
    if not meter.members:
        return
    for key, name, scale, about in _FEED:
        page.add(name, 'counter', about, meter.feed[key] if scale == 1 else meter.feed[key] / scale, stage=stage)
    for kind, count in sorted(meter.dropped.items()):
        page.add('tandem_feed_dropped_total', 'counter', 'Messages the consumer dropped, by kind.', count, stage=stage, error=kind)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, host, port, handler):
        self.address_family = socket.AF_INET6 if ':' in host else socket.AF_INET
        super().__init__((host, port), handler)

    def server_bind(self):
        """Without the look-up of this machine's name, which can take long."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def handle_error(self, *_):
        pass  # who asked went away


class Exporter:
    """A server in threads of its own that gives out the last page published."""

    def __init__(self, where):
        """`where`: HOST:PORT, :PORT or PORT; port 0 is a free one. Raises Failure."""
        match = re.fullmatch(r'(?:(\[[0-9A-Fa-f:.%]+\]|[^:\[\]]*):)?(\d{1,5})', where)
        if not match or int(match[2]) > 65535:
            raise Failure(f"--metrics {where}: give HOST:PORT, for example 127.0.0.1:9464", 2)
        host = (match[1] or '').strip('[]') or '127.0.0.1'
        self._page, self._published = b'# no stage has begun yet\n', 0.0
        try:
            self._server = _Server(host, int(match[2]), self._handler())
        except OSError as error:
            raise Failure(f'--metrics {where}: {(error.strerror or str(error)).lower()}; choose another address')
        shown = f'[{host}]' if ':' in host else host
        self.url = f'http://{shown}:{self._server.server_address[1]}/metrics'
        threading.Thread(target=self._server.serve_forever, kwargs={'poll_interval': 0.2}, daemon=True).start()

    def _handler(self):
        exporter = self

        class Handler(http.server.BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self):
                found = self.path.partition('?')[0] == '/metrics'
                body = exporter._page if found else b'the figures are at /metrics\n'
                self.send_response(200 if found else 404)
                self.send_header('Content-Type', 'text/plain; version=0.0.4; charset=utf-8' if found else 'text/plain')
                self.send_header('Content-Length', str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Handler

    def due(self):
        return time.monotonic() - self._published >= _EVERY_S

    def publish(self, page):
        self._page, self._published = page.encode(), time.monotonic()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
