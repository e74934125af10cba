# One image with every binary; compose.yaml says which of them a container runs.
# Needs BuildKit (the default builder of Docker 23 and later) for the cache mounts.

# Both stages have to be the same Debian release: the binaries are linked to its libc.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
COPY . .
# The target directory is a cache and not part of the layer, so what is kept has to be copied out in the same step.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,id=syncline-target,target=/build/target,sharing=locked \
    cargo build --release --locked --workspace --bins \
    && mkdir /out \
    && for name in syncline syncline-ingress syncline-worker syncline-status syncline-scheduler syncline-lab; do \
         cp "target/release/$name" /out/ || exit 1; \
       done

FROM debian:bookworm-slim
# ca-certificates: the vendors' TLS. curl: the health checks in compose.yaml.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --home-dir /nonexistent --shell /usr/sbin/nologin syncline
COPY --from=build /out/ /usr/local/bin/
# As a number, so that Kubernetes can see that it is not root.
USER 10001:10001
# The default, loopback, would not be reached from outside the container.
ENV SYNCLINE_HTTP_LISTEN=0.0.0.0:8080
EXPOSE 8080
CMD ["syncline", "--help"]
