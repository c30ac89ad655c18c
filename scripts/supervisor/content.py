"""What a file or folder contains, as a short hash.

A path's hash covers names and bytes, never times or places, so a copy or a fresh clone counts as unchanged. Reading is
saved by remembering, per path, the sizes and the times of modification and change for which the hash was taken. A dataset's
hash is its fingerprint, which ingest computed from every record.
"""
import hashlib
import json
import os
import subprocess

_LOCK_FILES = ('lock.mdb', '-lock')
_CHUNK = 1 << 20


class Contents:
    """Hashes with a memory. `ingest`: path of tandem-ingest, which reads fingerprints; may be None."""

    def __init__(self, cache=None, ingest=None):
        self.cache, self.ingest = dict(cache or {}), ingest

    def hash(self, path):
        """Hash of a file or folder; None if there is nothing."""
        path = os.path.realpath(path)
        files = _files(path)
        if files is None:
            return None
        stamp = _stamp(path, files)
        known = self.cache.get(path)
        if known and known[0] == stamp:
            return known[1]
        value = self._fingerprint(path) if path.endswith('.lmdb') else None
        value = value or _digest(path, files)
        self.cache[path] = [stamp, value]
        return value

    def _fingerprint(self, path):
        if not self.ingest:
            return None
        done = subprocess.run([self.ingest, 'info', path, '--json'], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        try:
            return 'dataset ' + json.loads(done.stdout)['fingerprint'] if done.returncode == 0 else None
        except (ValueError, KeyError, TypeError):
            return None


def _files(path):
    """Relative names of the files below a folder, sorted; [''] for a file; None if there is nothing."""
    if os.path.isfile(path):
        return ['']
    if not os.path.isdir(path):
        return None
    names = []
    for parent, folders, found in os.walk(path, followlinks=True):  # as ingest does
        folders[:] = sorted(f for f in folders if not _leads_back(os.path.join(parent, f)))
        below = os.path.relpath(parent, path)
        names += [os.path.normpath(os.path.join(below, f)) for f in found if not f.endswith(_LOCK_FILES)]
    return sorted(names)


def _leads_back(folder):
    """Whether a link leads to a folder that it lies in."""
    return os.path.islink(folder) and f'{os.path.realpath(os.path.dirname(folder))}/'.startswith(f'{os.path.realpath(folder)}/')


def _stamp(path, names):
    h = hashlib.blake2b(digest_size=16)
    for name in names:
        try:
            s = os.stat(os.path.join(path, name) if name else path)
        except OSError:
            continue
        h.update(f'{name}\0{s.st_size}\0{s.st_mtime_ns}\0{s.st_ctime_ns}\n'.encode('utf-8', 'surrogateescape'))
    return h.hexdigest()


def _digest(path, names):
    h = hashlib.blake2b(digest_size=16)
    for name in names:
        one = hashlib.blake2b(digest_size=16)
        try:
            with open(os.path.join(path, name) if name else path, 'rb') as stream:
                while chunk := stream.read(_CHUNK):
                    one.update(chunk)
        except OSError:
            continue
        h.update(name.encode('utf-8', 'surrogateescape') + b'\0' + one.digest())
    return h.hexdigest()
