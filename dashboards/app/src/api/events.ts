// The server's events, read by fetch rather than by EventSource, which cannot send a token.
import { ApiError, credentials, url } from './client';

export interface Listener {
  open(open: boolean): void;
  event(name: string, data: string): void;
}

const WAIT_MS_MAX = 30_000;

/** Listens until `stop`; returns at once when this server has no events. */
export async function events(stop: AbortSignal, listener: Listener): Promise<void> {
  let last = '';
  let wait = 1_000;
  while (!stop.aborted) {
    try {
      const response = await open(last, stop);
      if (!response) return;
      listener.open(true);
      wait = 1_000;
      for await (const message of messages(response)) {
        if (message.id) last = message.id;
        listener.event(message.event, message.data);
      }
    } catch {
      // The connection ended or could not be made: tried again below, from the event seen last.
    }
    listener.open(false);
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(wait * 2, WAIT_MS_MAX);
  }
}

async function open(last: string, stop: AbortSignal): Promise<ReadableStream<Uint8Array> | null> {
  const headers = new Headers({ accept: 'text/event-stream' });
  if (credentials.token) headers.set('authorization', `Bearer ${credentials.token}`);
  if (last) headers.set('last-event-id', last);
  const response = await fetch(url('/api/v1/events'), { headers, signal: stop, cache: 'no-store' });
  if (response.status === 404) return null;
  if (!response.ok || !response.body) throw new ApiError(response.status, response.statusText);
  return response.body;
}

interface Message {
  id: string;
  event: string;
  data: string;
}

async function* messages(body: ReadableStream<Uint8Array>): AsyncGenerator<Message> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split(/\r?\n\r?\n/);
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      const message = parsed(block);
      if (message) yield message;
    }
  }
}

/** A block of the stream; nothing for comments, which only keep the connection alive. */
export function parsed(block: string): Message | null {
  const message: Message = { id: '', event: 'message', data: '' };
  let any = false;
  for (const line of block.split(/\r?\n/)) {
    const [, field, value] = /^(\w+): ?(.*)$/.exec(line) ?? [];
    if (field === 'id' || field === 'event') message[field] = value ?? '';
    else if (field === 'data') message.data += (message.data ? '\n' : '') + value;
    else continue;
    any = true;
  }
  return any ? message : null;
}
