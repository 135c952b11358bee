/// <reference types="vitest/config" />
import { defineConfig } from "vite";

// The hub serves the result from its package data. No inlined assets: the page's policy forbids data: and inline code.
export default defineConfig({
  base: "/static/app/",
  // Relative, so that the page may lie below any path: the page's URLs to it, those in files to the file.
  experimental: { renderBuiltUrl: (name, { hostType }) => (hostType === "html" ? `static/app/${name}` : { relative: true }) },
  publicDir: "public",
  build: {
    outDir: "../hub/page/app",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    target: "es2022",
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  test: { include: ["test/**/*.test.ts"], environment: "node" },
});
