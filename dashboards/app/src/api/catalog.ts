// Tables and views with their columns and what each means, for the editor and its browser.
import { sql } from './sql';

export interface Column {
  name: string;
  type: string;
  comment: string;
}
export interface Table {
  name: string;
  columns: Column[];
}

export async function catalog(): Promise<Table[]> {
  const { rows } = await sql('select * from columns', 10_000);
  const tables = new Map<string, Table>();
  for (const row of rows) {
    const name = String(row.table_name);
    const table = tables.get(name) ?? { name, columns: [] };
    tables.set(name, table);
    const comment = row.description ?? row.comment ?? '';
    table.columns.push({ name: String(row.column_name), type: String(row.data_type), comment: String(comment) });
  }
  return [...tables.values()];
}
