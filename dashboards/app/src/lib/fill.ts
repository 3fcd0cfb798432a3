// `{name}` is filled in; `{n:one|many}` chooses by the number n.
export type Values = Record<string, string | number>;

export function fill(template: string, values: Values): string {
  return template.replace(/\{(\w+)(?::([^{}|]*)\|((?:[^{}]|\{\w+\})*))?\}/g, (whole, name: string, one?: string, many?: string) => {
    const value = values[name];
    if (value === undefined) return whole;
    if (one === undefined || many === undefined) return String(value);
    return Number(value) === 1 ? one : fill(many, values);
  });
}
