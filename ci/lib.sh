# shellcheck shell=bash disable=SC2034
# ci/lib.sh - what ci/test, ci/deep and ci/demo share; sourced by them from the root of the repository.

jobs=$(nproc)
test_jobs=$jobs # tests at once

# need_packages NAME... - installs the Debian packages that are missing: as root by apt-get; otherwise
# it prints the one command that does it, and ends the script with 1.
need_packages() {
    local missing=() name
    for name in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] ||
            missing+=("$name")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ]; then
        echo "Packages are missing. Install them by:" >&2
        echo "  sudo apt-get install --yes ${missing[*]}" >&2
        exit 1
    fi
    step "installing ${missing[*]}"
    if ! apt_install "${missing[@]}"; then
        apt-get -qq update
        apt_install "${missing[@]}"
    fi
}

apt_install() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq --yes --no-install-recommends \
        -o Dpkg::Use-Pty=0 install "$@" >/dev/null
}

# What a build of everything takes: compilers, cmake, and the three libraries.
build_packages=(gcc g++ cmake ninja-build pkg-config
    liburing-dev libjemalloc-dev libhttp-parser-dev libbenchmark-dev)

step() {
    printf '== %s\n' "$*"
}

# run_quietly LOG COMMAND... - the output goes to a file, and is shown where the command fails.
run_quietly() {
    local log=$1
    shift
    mkdir -p "$(dirname "$log")"
    if ! "$@" >"$log" 2>&1; then
        tail -n 100 "$log" >&2
        echo "failed: $* (all of its output: $log)" >&2
        return 1
    fi
}

# configure PRESET OPTION... - a build folder that was made by another generator is made anew.
configure() {
    local preset=$1
    shift
    if [ -f "build/$preset/CMakeCache.txt" ] &&
        ! grep -q '^CMAKE_GENERATOR:INTERNAL=Ninja$' "build/$preset/CMakeCache.txt"; then
        rm -rf "build/$preset"
    fi
    run_quietly "build/$preset/configure.log" cmake --preset "$preset" -G Ninja "$@"
}

# build PRESET - with warnings as errors.
build() {
    step "building $1"
    configure "$1" -DSKUA_WERROR=ON
    run_quietly "build/$1/build.log" cmake --build "build/$1" --parallel "$jobs"
}

# run_tests NAME PRESET OPTION... - runs ctest; what it says last stands in `closing`, and `failed` is 1
# where a test failed.
failed=0
closing=()
run_tests() {
    local name=$1 preset=$2 log=build/$2/ctest-${1// /-}.log
    shift 2
    step "testing $name"
    ctest --preset "$preset" --parallel "$test_jobs" "$@" 2>&1 | tee "$log" || failed=1
    closing+=("$name: $(grep -E '^[0-9]+% tests passed' "$log" || echo 'ctest did not finish')")
}

# finish - prints what every ctest said last, and ends the script.
finish() {
    printf '\n'
    printf '%s\n' "${closing[@]}"
    exit "$failed"
}
