// The statements this browser ran, the newest first.
export interface Item {
  text: string;
  at: number;
  rows: number;
  took: number;
}

const STORED = 'kizashi.statements';
const KEPT_MAX = 50;

function stored(): Item[] {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(STORED) ?? '[]');
    return Array.isArray(found) ? (found as Item[]) : [];
  } catch {
    return [];
  }
}

class History {
  items = $state.raw<Item[]>(stored());

  add(text: string, rows: number, took: number) {
    const rest = this.items.filter((item) => item.text !== text);
    this.keep([{ text, at: Date.now(), rows, took }, ...rest].slice(0, KEPT_MAX));
  }

  clear() {
    this.keep([]);
  }

  private keep(items: Item[]) {
    this.items = items;
    localStorage.setItem(STORED, JSON.stringify(items));
  }
}

export const history = new History();
