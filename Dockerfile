# kdns, in the place of CoreDNS's image: the same arguments, paths and ports.
#
#     docker build --tag kdns:0.1.0 .
#     docker build --target sbom --output . .
#
# The second command writes kdns.cdx.json, which lists what is in the image. docs/replace-coredns.md
# says how to use both, tests/image builds and runs the image without a daemon.

# To pin the digest too: --build-arg BASE=docker.io/library/debian@sha256:...
ARG BASE=docker.io/library/debian:12.15-slim

FROM ${BASE} AS build
RUN apt-get update --quiet \
    && DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes --no-install-recommends \
        ca-certificates libcap2-bin python3-venv

# Of Debian, the image has Python, the libraries that it and the wheels load, and what scanners look
# for: the name of the release and the list of packages. It has no shell and no package manager.
WORKDIR /packages
RUN apt-get download --quiet --option APT::Sandbox::User=root \
        base-files ca-certificates gcc-12-base libbz2-1.0 libc6 libcrypt1 libexpat1 libffi8 \
        libgcc-s1 liblzma5 libpython3.11-minimal libpython3.11-stdlib libssl3 libuuid1 \
        media-types netbase python3.11-minimal zlib1g
WORKDIR /system
RUN for name in bin lib lib64 sbin; do mkdir -p "usr/$name" && ln -s "usr/$name" "$name"; done \
    && mkdir -p etc/coredns etc/ssl/certs usr/lib/ssl usr/local/bin usr/share/sbom var/lib/dpkg \
    && for package in /packages/*.deb; do \
        dpkg-deb --extract "$package" . \
        && { dpkg-deb --field "$package" && printf 'Status: install ok installed\n\n'; } \
            >> var/lib/dpkg/status \
        || exit 1; \
    done \
    && cp /etc/nsswitch.conf etc/ \
    && cp /etc/ssl/certs/ca-certificates.crt etc/ssl/certs/ \
    && ln -s /etc/ssl/certs/ca-certificates.crt usr/lib/ssl/cert.pem \
    && printf '%s:/:/usr/sbin/nologin\n' root:x:0:0: kdns:x:65532:65532: > etc/passwd \
    && printf '%s:\n' root:x:0 kdns:x:65532 > etc/group \
    && install --directory --owner=65532 --group=65532 var/lib/kdns \
    && ln -s /opt/kdns/bin/kdns usr/local/bin/kdns \
    && ln -s /opt/kdns/bin/kdns coredns
# Without the character sets of iconv, documentation but for licences, what is for developers of
# Python, and modules of it whose libraries are not here. Nothing can be compiled later, on a
# read-only root, and nothing changes there.
RUN rm -r usr/lib/*/gconv usr/share/man usr/share/lintian \
    && find usr/share/doc -type f ! -name copyright -delete \
    && cd usr/lib/python3.11 \
    && rm -r pydoc_data test turtle.py lib-dynload/_curses* lib-dynload/_dbm.* \
        lib-dynload/_sqlite3.* lib-dynload/_*test* lib-dynload/nis.* lib-dynload/readline.* \
    && python3 -m compileall -q -s /system --invalidation-mode unchecked-hash .
# Port 53 without root, as CoreDNS's image does it. A script cannot have a capability, so its
# interpreter has.
RUN setcap cap_net_bind_service=+ep usr/bin/python3.11

WORKDIR /build
COPY requirements/build.txt requirements/image.txt requirements/sbom.txt ./
# Everything is a wheel of a known digest: nothing is compiled, on amd64 as on arm64.
RUN python3 -m venv tools \
    && tools/bin/pip install --no-cache-dir --no-compile --require-hashes --only-binary=:all: \
        --requirement build.txt --requirement sbom.txt \
    && python3.11 -m venv --without-pip /opt/kdns \
    && tools/bin/pip --python /opt/kdns/bin/python3 install --no-cache-dir --no-compile \
        --require-hashes --only-binary=:all: --requirement image.txt
# The models of the API and the client for asyncio, with what it needs, are never imported.
RUN tools/bin/pip --python /opt/kdns/bin/python3 uninstall --quiet --yes aiohappyeyeballs aiohttp \
        aiohttp-retry aiosignal attrs frozenlist multidict propcache yarl \
    && cd /opt/kdns/lib/python3.11/site-packages/kubernetes \
    && rm -r aio client/api \
    && find client/models -name '[!_]*.py' -delete
COPY LICENSE README.md pyproject.toml ./
COPY kdns ./kdns
RUN tools/bin/pip wheel --no-cache-dir --no-build-isolation --no-deps --wheel-dir dist . \
    && tools/bin/pip --python /opt/kdns/bin/python3 install --no-cache-dir --no-compile \
        --no-index --no-deps --find-links dist kdns \
    && rm /opt/kdns/bin/[Aa]ctivate* \
    && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/kdns/lib
# What of Python and what of Debian is in the image, in one file of CycloneDX.
RUN printf '[project]\nname = "python"\n' > root.toml \
    && tools/bin/cyclonedx-py environment --pyproject root.toml --output-file python.json \
        --no-validate /opt/kdns \
    && tools/bin/debsbom generate --sbom-type cdx --out debian --root /system \
        --distro-arch "$(dpkg --print-architecture)" \
    && tools/bin/debsbom merge --sbom-type cdx --out /system/usr/share/sbom/kdns --omit-roots \
        --distro-name kdns --distro-version "$(/opt/kdns/bin/kdns --version | cut -d- -f2)" \
        debian.cdx.json python.json

FROM scratch AS sbom
COPY --from=build /system/usr/share/sbom /

FROM scratch
LABEL org.opencontainers.image.title="kdns" \
      org.opencontainers.image.description="A cluster DNS server for Kubernetes" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /system /
COPY --from=build /opt/kdns /opt/kdns
ENV PATH=/opt/kdns/bin:/usr/bin
# In numbers, so that runAsNonRoot can be checked; it is the user of CoreDNS's image.
USER 65532:65532
WORKDIR /
EXPOSE 53 53/udp 8080 8181 9153
ENTRYPOINT ["/usr/local/bin/kdns"]
