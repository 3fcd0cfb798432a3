// Builds into ../dist, which is committed and embedded. Every URL is relative, so that the portal works under a sub-path.
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';
import { compressed } from './build/compressed.ts';
import { licences } from './build/licences.ts';

const product = process.env.KIZASHI_URL ?? 'http://127.0.0.1:8686';

export default defineConfig({
  base: './',
  plugins: [svelte(), licences(), compressed()],
  build: {
    outDir: '../dist',
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: 'es2022',
    chunkSizeWarningLimit: 800,
    reportCompressedSize: false,
  },
  server: { proxy: { '/api': product, '/openapi.json': product, '/readyz': product, '/status': product } },
  test: { include: ['src/**/*.test.ts'] },
} as import('vite').UserConfig);
