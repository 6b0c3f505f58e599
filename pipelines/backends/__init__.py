"""One folder a backend; `table` names them. Light: jobs in toolchains import from here."""
