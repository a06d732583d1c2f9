# The cluster's image, built from this checkout: `docker compose build`.
# Targets: `airflow` (all processes of Airflow, and the simulator) and `store` (an S3 server for trials).
ARG PYTHON=3.12

FROM python:${PYTHON}-slim-bookworm AS build
WORKDIR /src
COPY requirements/uv.txt requirements/build.txt requirements/
RUN python -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes \
      -r requirements/uv.txt -r requirements/build.txt
COPY requirements/cluster.txt requirements/
RUN python -m venv --without-pip /opt/segexport \
 && /opt/build/bin/uv pip install --no-cache --compile-bytecode --python /opt/segexport/bin/python \
      --require-hashes -r requirements/cluster.txt
COPY pyproject.toml README.md LICENSE ./
COPY airflow_provider_segexport airflow_provider_segexport
RUN PATH="/opt/build/bin:${PATH}" /opt/build/bin/python -m hatchling build -t wheel -d /tmp/wheel \
 && /opt/build/bin/uv pip install --no-cache --compile-bytecode --python /opt/segexport/bin/python --no-deps /tmp/wheel/*.whl

FROM build AS build-store
COPY requirements/store.txt requirements/
RUN python -m venv --without-pip /opt/store \
 && /opt/build/bin/uv pip install --no-cache --python /opt/store/bin/python --require-hashes -r requirements/store.txt

FROM python:${PYTHON}-slim-bookworm AS store
RUN useradd --uid 50000 --gid 0 --no-create-home store
COPY --from=build-store /opt/store /opt/store
COPY compose/health.py /opt/store/health.py
ENV PATH="/opt/store/bin:${PATH}" PYTHONUNBUFFERED=1
USER 50000
CMD ["moto_server", "-H", "0.0.0.0", "-p", "9000"]

FROM python:${PYTHON}-slim-bookworm AS airflow
# A new named volume gets owner and mode of the folder at which it is mounted.
RUN useradd --uid 50000 --gid 0 --create-home --home-dir /opt/airflow airflow \
 && install -d -o airflow -g root -m 0770 /opt/airflow/logs /keys \
 && install -d -o airflow -g root -m 0755 /keys-postgres
COPY --from=build /opt/segexport /opt/segexport
COPY --chown=airflow:root dags /opt/airflow/dags
COPY --chown=airflow:root compose /opt/airflow/compose
ENV PATH="/opt/segexport/bin:${PATH}" \
    AIRFLOW_HOME=/opt/airflow \
    PYTHONUNBUFFERED=1
WORKDIR /opt/airflow
USER 50000
CMD ["airflow", "version"]
