# The result holds the installed program; copy it out, or run it with the host's container engine:
#   docker build -t runnc . && docker run --rm runnc --version
FROM node:20-bookworm AS build
WORKDIR /src
COPY . .
RUN npm run setup && npm run build

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends xorriso libmnl0 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/dist/runnc /src/dist/tender-spt /usr/local/bin/
ENTRYPOINT ["runnc"]
