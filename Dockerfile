# syntax=docker/dockerfile:1

FROM rust:1.95-bookworm AS build
WORKDIR /build
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked -p stemma \
    && install -D target/release/stemma /out/stemma

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --no-create-home stemma \
    && install -d -o stemma -g stemma -m 0750 /var/lib/stemma
COPY --from=build /out/stemma /usr/local/bin/stemma
COPY LICENSE-MIT LICENSE-APACHE /usr/share/doc/stemma/

USER 10001:10001
WORKDIR /var/lib/stemma
ENV STEMMA_DATA=/var/lib/stemma STEMMA_LISTEN=0.0.0.0:8080
VOLUME /var/lib/stemma
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["stemma", "doctor"]
ENTRYPOINT ["stemma"]
CMD ["serve"]
