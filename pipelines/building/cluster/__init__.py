"""Steps run on other machines, by dask.distributed."""
