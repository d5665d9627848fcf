# One image with the three programs: hermes (the default), hermes-dispatcher, hermes-worker-runner.

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked -p hermes -p hermes-dispatcher -p hermes-worker-runner \
    && mkdir /out \
    && cp target/release/hermes target/release/hermes-dispatcher target/release/hermes-worker-runner /out/

FROM debian:bookworm-slim
# Outgoing HTTPS is checked against the system's certificate authorities.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home --home-dir /var/lib/hermes hermes
COPY --from=build /out/ /usr/local/bin/
USER 10001
WORKDIR /var/lib/hermes
ENV HERMES_LOG_FORMAT=json
EXPOSE 5000
CMD ["hermes", "--help"]
