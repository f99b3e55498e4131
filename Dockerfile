# kdns, in the place of CoreDNS's image: the same arguments, paths and ports.
#
#     docker build --tag kdns:0.1.0 .
#
# docs/replace-coredns.md says how to use it, tests/image builds and runs it without a daemon.

FROM docker.io/library/debian:12.15-slim AS python
RUN apt-get update --quiet \
    && DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes --no-install-recommends \
        ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* /var/cache/ldconfig \
        /usr/share/doc/* /usr/share/man/*

FROM python AS build
RUN apt-get update --quiet \
    && DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes --no-install-recommends \
        libcap2-bin python3-venv
WORKDIR /build
COPY requirements ./requirements
# Everything is a wheel of a known digest: nothing is compiled, on amd64 as on arm64.
RUN python3 -m venv tools \
    && tools/bin/pip install --no-cache-dir --require-hashes --only-binary=:all: \
        --requirement requirements/build.txt \
    && python3 -m venv --copies --without-pip /opt/kdns \
    && tools/bin/pip --python /opt/kdns/bin/python3 install --no-cache-dir --no-compile \
        --require-hashes --only-binary=:all: --requirement requirements/image.txt
COPY LICENSE README.md pyproject.toml ./
COPY kdns ./kdns
RUN tools/bin/pip wheel --no-cache-dir --no-build-isolation --no-deps --wheel-dir dist . \
    && tools/bin/pip --python /opt/kdns/bin/python3 install --no-cache-dir --no-compile \
        --no-index --no-deps dist/*.whl \
    # Nothing can be compiled later, on a read-only root. The models of the API and its client for
    # asyncio are 60 MB compiled, and never imported.
    && python3 -m compileall -q -x '/kubernetes/(aio|client/(api|models))/' /opt/kdns/lib \
    && ln --symbolic --force python3 /opt/kdns/bin/python \
    && ln --symbolic --force python3 /opt/kdns/bin/python3.11
# Port 53 without root, as CoreDNS's image does it. A script cannot have a capability, so its
# interpreter has: this copy, which only /opt/kdns uses.
RUN setcap cap_net_bind_service=+ep /opt/kdns/bin/python3

FROM python
LABEL org.opencontainers.image.title="kdns" \
      org.opencontainers.image.description="A cluster DNS server for Kubernetes" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="docker.io/library/debian:12.15-slim"
COPY --from=build /opt/kdns /opt/kdns
RUN ln --symbolic /opt/kdns/bin/kdns /usr/local/bin/kdns \
    && ln --symbolic /opt/kdns/bin/kdns /coredns \
    && mkdir /etc/coredns
# In numbers, so that runAsNonRoot can be checked; it is the user of CoreDNS's image.
USER 65532:65532
WORKDIR /
EXPOSE 53 53/udp 8080 8181 9153
ENTRYPOINT ["/usr/local/bin/kdns"]
