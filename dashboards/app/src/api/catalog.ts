// Tables and views with their columns and what each means, for the editor and its browser.
import { type Schemas, listed } from './client';

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
  const relations = await listed<Schemas['Relation']>('/api/v1/catalog');
  return relations.map(({ name, columns }) => ({ name, columns: columns.map((column) => ({ name: column.name, type: column.data_type, comment: column.comment })) }));
}
