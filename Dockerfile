# The image has the program, the C library of Debian that it is built with, and nothing else: no shell, no packages.
# docs/installing.md says how it is run. The health check asks where DATA_PUSHER_LISTEN says.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --locked --profile dist && packaging/docker/image target/dist/data-pusher /image

FROM scratch
COPY --from=build /image /
COPY --from=build --chown=65532:65532 /image/data /data
USER 65532:65532
VOLUME /data
EXPOSE 8080
ENV PATH=/usr/bin DATA_PUSHER_DATABASE=/data/data-pusher.db DATA_PUSHER_LISTEN=0.0.0.0:8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD ["data-pusher", "healthcheck"]
ENTRYPOINT ["data-pusher"]
CMD ["serve"]
