# What a developer does daily. `just` alone lists the recipes; each is one command that can be typed without it.

default:
    @just --list

# Simulated exchange, daemon, discovery, report: the main job without a network.
demo *ARGS:
    cargo run --release -- demo {{ARGS}}

# Everything that must hold.
test *ARGS:
    cargo test {{ARGS}}

# The house rules alone: arrows, lengths, documents, dependencies.
tidy:
    cargo test --test tidy

# The lints that CI runs.
lint:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings

# Specs: everything that can change a result.
check-specs:
    cargo run --release -- spec check

# What it costs; benches/README.md keeps the history.
bench *ARGS:
    cargo bench {{ARGS}}

# What CI runs.
ci:
    .ci/run
