# The image of a node. Two stages: what builds stays behind, what runs has no compiler and no package cache.
FROM python:3.13-slim-trixie AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python3 -m venv /opt/connector
WORKDIR /src
# First what seldom changes: the locked dependencies, each held to its hash.
COPY requirements/run.lock requirements/
RUN /opt/connector/bin/pip install --require-hashes --only-binary :all: -r requirements/run.lock
COPY . .
RUN /opt/connector/bin/pip install --no-deps --no-build-isolation . \
 && /opt/connector/bin/pip uninstall --yes pip

FROM python:3.13-slim-trixie
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/connector connector \
 && install --directory --owner=connector --group=connector --mode=0700 /var/lib/connector /etc/connector/tls
COPY --from=build /opt/connector /opt/connector
ENV PATH=/opt/connector/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
WORKDIR /var/lib/connector
# The database and the signing key: all that a node has to keep. The rest of the file system may be read-only.
VOLUME /var/lib/connector
# Protocol and data plane; management.
EXPOSE 8282 8181
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=5 \
  CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8181/management/check/readiness', timeout=2)"]
ENTRYPOINT ["connector"]
CMD ["serve", "--config", "/etc/connector/node.toml"]
