#!/bin/sh
# Writes every lock below the directory $1; the packages of images are of the versions in requirements.lock beside pyproject.toml.
# Run from the root of the repository; `make lock` and `make check` do.
set -eu
into=${1:-.}
mkdir -p "$into/deploy/locks"

compile() {
    .venv/bin/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-strip-extras \
        --custom-compile-command "make lock" --python-version 3.13 "$@"
}

# what the first line asked the index is in uv's cache, so the others ask nobody
part_of() {
    compile --offline --constraint requirements.lock "$@"
}

compile --all-extras pyproject.toml --output-file "$into/requirements.lock"
part_of pyproject.toml --output-file "$into/deploy/locks/api.lock"
part_of pyproject.toml --extra orchestration --output-file "$into/deploy/locks/dagster.lock"
echo hatchling | part_of - --output-file "$into/deploy/locks/build.lock"
