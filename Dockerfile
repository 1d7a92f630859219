# syntax=docker/dockerfile:1
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY nest-cli.json tsconfig.json ./
COPY src ./src
RUN npx nest build

FROM node:24-bookworm-slim AS modules
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The image uses the PostgreSQL of DATABASE_URL, so the embedded server's install script is not needed.
RUN npm ci --omit=dev --ignore-scripts

FROM node:24-bookworm-slim
# bubblewrap is the boundary of the shell and git tools; git clones repositories into work trees.
RUN apt-get update \
  && apt-get install --yes --no-install-recommends bubblewrap ca-certificates git tini \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY --from=modules /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY package.json ./
# Agents of the tier `nova` read these.
COPY src ./src
COPY migrations ./migrations
COPY docs ./docs
RUN mkdir -p /workspace /var/lib/nova && chown node:node /workspace /var/lib/nova
ENV NODE_ENV=production \
  REQUIRE_AUTH=true \
  HOST=0.0.0.0 \
  PORT=8000 \
  REDIS_URL=redis://redis:6379/2 \
  NOVA_WORKSPACE=/workspace \
  NOVA_DATA_DIR=/var/lib/nova
USER node
EXPOSE 8000
VOLUME ["/workspace", "/var/lib/nova"]
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8000/health/live').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["tini", "--"]
CMD ["node", "--enable-source-maps", "dist/main.js"]
