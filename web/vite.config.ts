import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// A running console for `npm run dev`, for example that of `playhead demo`.
const target = process.env.PLAYHEAD_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [react()],
  // The console replaces the placeholder by a fresh nonce each time it serves index.html.
  html: { cspNonce: "__CSP_NONCE__" },
  build: {
    target: "es2022",
    // Data addresses would need exceptions in the content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 900,
    manifest: "build-manifest.json",
  },
  worker: { format: "es" },
  server: {
    proxy: {
      "/api": {
        target,
        changeOrigin: true,
        configure: (proxy) => {
          // The console refuses changes that come from another origin; behind this proxy it is its own.
          proxy.on("proxyReq", (request) => {
            if (request.getHeader("origin")) request.setHeader("origin", target);
          });
        },
      },
    },
  },
  test: { environment: "node", include: ["src/**/*.test.{ts,tsx}"], testTimeout: 60_000 },
});
