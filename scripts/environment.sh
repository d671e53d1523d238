# Makes the environment that `run` and `test` share. It is read by them (`. scripts/environment.sh`), in the project's folder.
#
#   prepare service|dev   makes .venv with the locked packages and the project in it, or sees at once that all is there
#   say TEXT              prints a line with the seconds since the start
#   debian TEXT PACKAGE... installs system packages if we are root, else prints the command and returns 1
#
# Two folders come of it: .tools (uv, which installs fast) and .venv. Both can be deleted at any time.

umask 022
UV_PYTHON_DOWNLOADS=never
UV_NO_PROGRESS=1
PIP_DISABLE_PIP_VERSION_CHECK=1
export UV_PYTHON_DOWNLOADS UV_NO_PROGRESS PIP_DISABLE_PIP_VERSION_CHECK
# an environment that happens to be active is not the one that is meant
unset VIRTUAL_ENV PYTHONPATH PYTHONHOME
# uv brings its own list of certificates; a network that has one of its own has told the system
[ ! -e /etc/ssl/certs/ca-certificates.crt ] || export UV_SYSTEM_CERTS=1
# a user without a home (a service account, some CI) has no place for uv's cache
[ -w "${HOME:-/nonexistent}" ] || export UV_NO_CACHE=1

started=$(date +%s)

say() {
    printf '[%3d s] %s\n' "$(($(date +%s) - started))" "$*" >&2
}

give_up() {
    say "$@"
    exit 1
}

debian() {
    text=$1
    shift
    if ! command -v apt-get >/dev/null; then
        say "$text. Install what this system calls: $*"
        return 1
    elif [ "$(id -u)" -ne 0 ]; then
        say "$text. As root, run: apt-get install -y --no-install-recommends $*"
        return 1
    fi
    say "$text: installing $*"
    apt-get -qq update >/dev/null &&
        DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends "$@" >/dev/null
}

find_python() {
    for python in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            # the interpreter behind an environment that happens to be active, not that environment
            python=$("$python" -c 'import sys; print(sys.argv[1] if sys.prefix == sys.base_prefix else sys._base_executable)' "$python")
            return
        fi
    done
    give_up "Python 3.11 or newer is needed and was not found. On Debian or Ubuntu, as root, run: apt-get install python3 python3-venv"
}

# Debian ships Python without the part that makes environments
need_venv() {
    if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        return
    fi
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    debian "$python cannot make environments without $package" "$package" || give_up "Start again when it is installed"
}

# What an environment depends on: its place (scripts in it hold their path), the interpreter, and the files named
fingerprint() {
    { pwd && "$python" -VV && "$python" -c 'import sys; print(sys.executable)' && cat scripts/environment.sh "$@"; } | cksum
}

is_current() {
    [ -x "$1/bin/python" ] && [ "$(cat "$1/.fingerprint" 2>/dev/null)" = "$2" ] && "$1/bin/python" -c '' 2>/dev/null
}

# uv, from its own lock. Without it the plain pip does the same, more slowly
get_uv() {
    tools=$(fingerprint requirements/tools.lock)
    if is_current .tools "$tools"; then
        return
    fi
    say "Getting the installer (uv) into .tools"
    "$python" -m venv --clear .tools || give_up "The folder .tools cannot be made: see the message above"
    if .tools/bin/python -m pip install --quiet --require-hashes --no-deps -r requirements/tools.lock; then
        echo "$tools" >.tools/.fingerprint
    else
        say "uv cannot be had: see the message above"
    fi
}

with_uv() {
    [ -x .tools/bin/uv ] &&
        .tools/bin/uv pip sync --quiet --python .venv/bin/python --require-hashes "requirements/$1.lock" &&
        .tools/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
}

with_pip() {
    .tools/bin/python -m pip --python .venv/bin/python install --quiet --require-hashes --no-deps -r "requirements/$1.lock" &&
        .tools/bin/python -m pip --python .venv/bin/python install --quiet --no-deps --no-build-isolation --editable .
}

# An environment that somebody made by hand is taken over; one from another place or for another Python is not
usable() {
    [ -x .venv/bin/python ] && .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null &&
        { [ ! -e .venv/.place ] || [ "$(cat .venv/.place)" = "$(pwd)" ]; }
}

# Two starts at the same time: the second waits. The lock is on this file, and goes with the process
one_at_a_time() {
    if command -v flock >/dev/null; then
        exec 9<scripts/environment.sh
        flock -n 9 || { say "Waiting for another start to finish its setup" && flock 9; }
    fi
}

# `run` needs the set service, `test` the set dev, which holds the other: where dev is installed it stays
prepare() {
    find_python
    one_at_a_time
    set=$1
    if [ -x .venv/bin/pytest ]; then
        set=dev
    fi
    wanted=$(fingerprint "requirements/$set.lock" pyproject.toml src/holdfast/__init__.py)
    if ! is_current .venv "$wanted"; then
        need_venv
        get_uv
        say "Installing the locked packages ($set) into .venv"
        usable || "$python" -m venv --clear .venv || give_up "The folder .venv cannot be made: see the message above"
        # `holdfast model` uses it; an environment made by hand, or left half made, may lack it
        .venv/bin/python -c 'import pip' 2>/dev/null || .venv/bin/python -m ensurepip >/dev/null
        rm -f .venv/.fingerprint
        pwd >.venv/.place
        with_uv "$set" || { say "Trying again with pip, which takes longer" && with_pip "$set"; } ||
            give_up "The packages cannot be installed: see the message above. Is the network there? Start again to go on"
        echo "$wanted" >.venv/.fingerprint
        say "Installed"
    fi
    exec 9<&-
}
