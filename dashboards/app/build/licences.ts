// Writes licences.txt: what is in the build and was written by others, with the licence of each.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Plugin } from 'vite';

const PACKAGE = /^(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//;

export function licences(): Plugin {
  const folders = new Set<string>();
  return {
    name: 'kizashi-licences',
    apply: 'build',
    generateBundle(_, bundle) {
      for (const file of Object.values(bundle)) {
        for (const source of file.type === 'chunk' ? file.moduleIds : []) {
          const folder = PACKAGE.exec(source.replace(/^\0/, ''))?.[1];
          if (folder && existsSync(join(folder, 'package.json'))) folders.add(folder);
        }
      }
      // Style sheets name the fonts; their files come without a module of their own.
      for (const font of ['ibm-plex-sans', 'ibm-plex-mono']) folders.add(join(process.cwd(), 'node_modules/@fontsource', font));
      this.emitFile({ type: 'asset', fileName: 'licences.txt', source: [...folders].map(entry).sort().join('\n') });
    },
  };
}

function entry(folder: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Record<string, string>;
  const files = readdirSync(folder).filter((file) => /^(licen[cs]e|notice)(\.|$)/i.test(file));
  const texts = files.sort().map((file) => readFileSync(join(folder, file), 'utf8').trim());
  return `== ${name} ${version}: ${license}\n\n${texts.join('\n\n')}\n`;
}
