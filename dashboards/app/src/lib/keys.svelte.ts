// The keyboard: pages say what their list does, the frame hears the keys.

export interface ListKeys {
  move(by: number): void;
  open(): void;
  mark?(): void;
}

class Keys {
  list: ListKeys | null = null;
  palette = $state(false);
  help = $state(false);
  private led = 0;

  /** Registers a list for as long as its page is shown; returns what takes it back. */
  use(list: ListKeys): () => void {
    this.list = list;
    return () => {
      if (this.list === list) this.list = null;
    };
  }

  handle(event: KeyboardEvent, go: (place: string) => void) {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
      event.preventDefault();
      this.palette = !this.palette;
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || writes(event)) return;
    if (this.palette || this.help) return;
    const place = event.timeStamp - this.led < 1_000 ? PLACES[event.key] : undefined;
    this.led = 0;
    if (place !== undefined) return go(place);
    const act = this.act(event);
    if (!act) return;
    event.preventDefault();
    act();
  }

  private act(event: KeyboardEvent): (() => void) | undefined {
    const { list } = this;
    switch (event.key) {
      case '?':
        return () => (this.help = true);
      case 'g':
        return () => (this.led = event.timeStamp);
      case '/':
        return () => document.querySelector<HTMLInputElement>('[data-filter]')?.focus();
      case 'j':
        return list ? () => list.move(1) : undefined;
      case 'k':
        return list ? () => list.move(-1) : undefined;
      case 'Enter':
        return list && !presses(event) ? () => list.open() : undefined;
      case 'x':
        return list?.mark ? () => list.mark?.() : undefined;
      default:
        return undefined;
    }
  }
}

const PLACES: Record<string, string> = { o: '#/', a: '#/alerts', t: '#/tickets', p: '#/predictions', d: '#/dashboards', s: '#/sql', r: '#/rejects', l: '#/pipeline', c: '#/configuration' };

/** Whether the key goes into a field; an editor may hide behind a shadow root. */
function writes(event: KeyboardEvent): boolean {
  const target = event.composedPath()[0];
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

function presses(event: KeyboardEvent): boolean {
  const target = event.composedPath()[0];
  return target instanceof HTMLElement && /^(BUTTON|A)$/.test(target.tagName);
}

export const keys = new Keys();
