"""What this machine has: a driver, a GPU, CUDA's libraries, an interpreter with PyTorch."""
import ctypes
import glob
import json
import os
import platform
import re
import shutil
import subprocess

LIBRARIES = 'libcudnn.so.9', 'libcublasLt.so.13', 'libnvrtc.so.13'


def missing():
    """What a GPU program would miss first; None: nothing."""
    try:
        driver = ctypes.CDLL('libcuda.so.1')
    except OSError:
        return 'there is no NVIDIA driver on this machine (libcuda.so.1 cannot be loaded)'
    count = ctypes.c_int()
    status = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    if status or not count.value:
        return f'the NVIDIA driver finds no GPU (CUDA error {status})'
    return None


def output(*command, limit_s=60):
    """What a command prints; None where it cannot run or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout.strip()


def toolkits():
    """Where CUDA's toolkit may be, newest first."""
    return [os.environ.get('CUDA_HOME', '/usr/local/cuda'), *sorted(glob.glob('/usr/local/cuda-*'), reverse=True)]


def search_path(python):
    """Folders in which an interpreter with PyTorch, or a toolkit, has CUDA's libraries."""
    said = output(python, '-c', 'import json, sys; print(json.dumps(sys.path))')
    packages = [p for p in json.loads(said) if p] if said else []
    return [*(d for p in packages for d in (*sorted(glob.glob(f'{p}/nvidia/*/lib')), f'{p}/torch/lib')),
            *(f'{t}/{d}' for t in toolkits() for d in ('lib64', 'lib'))]


def find_libraries(python):
    """({library: file or None}, the folders that the loader has to be told of)."""
    known = output('ldconfig', '-p') or output('/sbin/ldconfig', '-p') or ''
    own = [d for d in os.environ.get('LD_LIBRARY_PATH', '').split(':') if d]
    found, folders = {}, []
    for name in LIBRARIES:
        at = next((f'{d}/{name}' for d in own if os.path.exists(f'{d}/{name}')), None)
        if not at and (m := re.search(rf'^\s*{re.escape(name)} .*=> (\S+)', known, re.M)):
            at = m[1]
        if not at and (folder := next((d for d in search_path(python) if os.path.exists(f'{d}/{name}')), None)):
            at = f'{folder}/{name}'
            folders += [] if folder in folders else [folder]
        found[name] = at
    return found, own + folders


def torch_version(python):
    """On a machine that has never read PyTorch's files from its disk this takes a while."""
    asked = 'import torch, torchvision; print("PyTorch", torch.__version__, "torchvision", torchvision.__version__)'
    return output(python, '-c', asked, limit_s=180)


def description(libraries):
    """For the results."""
    model = re.search(r'^model name\s*: (.*)$', open('/proc/cpuinfo').read(), re.M)
    asked = 'name,driver_version,memory.total,compute_cap,clocks.max.sm'
    return {'cpu': f'{model[1] if model else platform.machine()}, {len(os.sched_getaffinity(0))} cores', 'kernel': platform.release(),
            'gpu': output('nvidia-smi', f'--query-gpu={asked}', '--format=csv,noheader'),
            'nvcc': (output('nvcc', '--version') or '').splitlines()[-1:], 'libraries': libraries, 'torch': None,
            'sanitizer': shutil.which('compute-sanitizer', path=':'.join([os.environ.get('PATH', ''), *(f'{t}/bin' for t in toolkits())]))}
