"""The benchmark: this project beside the database's own limit and a frozen stock project. See bench/README.md."""
