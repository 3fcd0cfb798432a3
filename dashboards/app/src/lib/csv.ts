// CSV for Excel, which takes UTF-8 only with the mark in front.
export function withBom(csv: ArrayBuffer): Blob {
  return new Blob([new Uint8Array([0xef, 0xbb, 0xbf]), csv], { type: 'text/csv;charset=utf-8' });
}

export function readable(count: number): string {
  return count.toLocaleString('en');
}
