# The only commands to remember. Each installs what it lacks, says what it does, and stops at the first error.
#
#   make demo      the built-in model over its held-out corpus, and the report in Reports/demo/
#   make test      every test
#   make notebooks JupyterLab with the notebooks, once `make demo` has been run
#   make docs      the documentation as a site, into build/docs/html
#   make bench     side by side with other engines, into Benchmarks/RESULTS.md
#   make parity    largest differences to Hugging Face transformers, shape by shape
#   make conformance  settings given in every way, through Hugging Face transformers and here: the same or refused
#   make calibrate  how often the report's sentences are false, and what they find, into Benchmarks/CALIBRATION.md
#   make endurance  kills, full disks, pairs of writers, flipped bits: nothing lost (an hour; SMALL=1: minutes)
#   make example   Reports/Example/ again, byte for byte
#   make fuzz      mutated files of every format, read as the commands read them: nothing may die, hang or fill memory
#   make sanitize  kernels, readers and tests under sanitizers, and mutations that libFuzzer chooses
#   make wheel     dist/moescope-….whl, tried where there is no Swift toolchain
#   make release   the wheel, the source archive and their hashes in dist/, checked
#   make format    formats the sources

.PHONY: help demo test notebooks docs bench parity conformance calibrate endurance example fuzz sanitize wheel release format build clean
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

help:
	@sed -n 's/^#   //p' Makefile

demo:
	@Scripts/setup demo
	@Scripts/build
	@Scripts/demo

test:
	@Scripts/setup test
	@Scripts/test

notebooks:
	@Scripts/setup demo
	@Scripts/build
	@Scripts/notebooks

docs:
	@Scripts/setup demo
	@Scripts/build
	@Scripts/docs

bench:
	@Benchmarks/run

parity:
	@Scripts/setup parity
	@Scripts/build
	@Scripts/optional Scripts/parity "make parity"

conformance:
	@Scripts/setup parity
	@Scripts/optional Scripts/conformance "make conformance"

calibrate:
	@Scripts/setup demo
	@Scripts/build
	@Scripts/calibrate

endurance:
	@Scripts/setup demo
	@Scripts/build
	@Scripts/endurance $(if $(SMALL),--small)

example:
	@Scripts/setup demo
	@Scripts/build
	@Scripts/example

fuzz:
	@Scripts/setup demo
	@Scripts/fuzz

sanitize:
	@Scripts/setup demo
	@Scripts/sanitize

wheel:
	@Scripts/setup demo
	@Scripts/wheel

release:
	@Scripts/setup demo
	@Scripts/release

format:
	@swift format format --in-place --parallel --recursive Sources Tests Package.swift

build:
	@Scripts/setup demo
	@Scripts/build

clean:
	@rm -rf .build .cache build dist .venv .venv-parity .venv-bench .venv-docs Benchmarks/.work Reports/demo traces
