"""Cloud Build: from a tree of sources to a content-addressed image.

What belongs here: the API's builds, and the one kind of build that this machine can do: a Python project built by hatchling,
its wheel unpacked, started as its Dockerfile says. A step's own program is not run: there are no containers here. The
node carries builds out (`builder.py`); the API (`service.py`) only asks for them.

The source is a `StorageSource`. Its object is either `file:///ABSOLUTE/PATH` of a tree on this machine (the bucket may say
anything), or the path of a `.tar.gz` or `.zip` under `DATA_DIR/buckets/BUCKET/`, as uploaded by who asks for the build.
"""
