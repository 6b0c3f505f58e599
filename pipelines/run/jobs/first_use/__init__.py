"""What packages do when first asked, done once in a toolchain's server instead of in every job.

A job is a fork of the server: a page that it writes to is copied first, so that there it takes two
to three times as long. Each module is one that `preload` in toolchains.yaml may name.
"""
