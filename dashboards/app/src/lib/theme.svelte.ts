// Dark or light: as the system says until the reader chooses.
const STORED = 'kizashi.theme';
type Choice = 'system' | 'dark' | 'light';

class Theme {
  choice = $state<Choice>((localStorage.getItem(STORED) as Choice | null) ?? 'system');
  private system = matchMedia('(prefers-color-scheme: dark)');
  private systemDark = $state(this.system.matches);
  dark = $derived(this.choice === 'system' ? this.systemDark : this.choice === 'dark');

  constructor() {
    this.system.addEventListener('change', (event) => (this.systemDark = event.matches));
    this.apply();
  }

  toggle() {
    this.choice = this.dark ? 'light' : 'dark';
    localStorage.setItem(STORED, this.choice);
    this.apply();
  }

  private apply() {
    if (this.choice === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = this.choice;
  }
}

export const theme = new Theme();

/** The root's font size in pixels: what is drawn on canvases grows with the rest of the page. */
export function rem(): number {
  return parseFloat(getComputedStyle(document.documentElement).fontSize);
}

/** A colour token as the browser computes it now, for canvases. */
export function colour(token: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(--${token})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}
