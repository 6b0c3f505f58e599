"""Commands for one model: new, doctor, tune and others."""
