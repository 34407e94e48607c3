# syntax of the classic builder: no heredocs, no mounts, so that it builds everywhere.
#
# GO_IMAGE is any image with Go 1.26 and a shell. Where no registry is reachable, import one made from
# the machine's own toolchain and name it: docker build --build-arg GO_IMAGE=local/go .
# VERSION and REVISION are what `dockerwall version` and the labels say.
ARG GO_IMAGE=golang:1.26
FROM ${GO_IMAGE} AS build
WORKDIR /src
COPY . .
ARG VERSION=
ARG REVISION=
RUN sh packaging/compile.sh /dockerwall "$VERSION" "$REVISION"

FROM scratch
COPY --from=build /dockerwall /dockerwall
ENV PATH=/
ENTRYPOINT ["/dockerwall"]
CMD ["run"]
HEALTHCHECK --interval=30s --timeout=6s --start-period=10s CMD ["/dockerwall", "health"]
ARG VERSION=
ARG REVISION=
LABEL org.opencontainers.image.title="dockerwall" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.description="Fences what Docker containers may send out" \
      org.opencontainers.image.source="https://github.com/dockerwall/dockerwall" \
      org.opencontainers.image.licenses="MIT"
EXPOSE 50000
