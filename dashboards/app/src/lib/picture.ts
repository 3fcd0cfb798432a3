// A part of the page as a picture: grounds, borders, canvases and text are painted where the browser has laid them out.

const SCALE = 2;

/** The element as a PNG, on the page's ground. */
export async function picture(of: HTMLElement): Promise<Blob> {
  const box = of.getBoundingClientRect();
  const canvas = document.createElement('canvas');
  canvas.width = Math.ceil(box.width * SCALE);
  canvas.height = Math.ceil(box.height * SCALE);
  const pen = canvas.getContext('2d');
  if (!pen) throw new Error('no canvas');
  pen.scale(SCALE, SCALE);
  pen.fillStyle = getComputedStyle(document.body).backgroundColor;
  pen.fillRect(0, 0, box.width, box.height);
  pen.translate(-box.left, -box.top);
  paint(pen, of);
  return new Promise((resolve, reject) => canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('no picture'))), 'image/png'));
}

function paint(pen: CanvasRenderingContext2D, element: Element) {
  const look = getComputedStyle(element);
  const box = element.getBoundingClientRect();
  if (look.display === 'none' || look.visibility === 'hidden' || look.clipPath !== 'none' || box.width === 0 || box.height === 0) return;
  pen.save();
  if (look.backgroundColor !== 'rgba(0, 0, 0, 0)') {
    pen.fillStyle = look.backgroundColor;
    pen.fillRect(box.left, box.top, box.width, box.height);
  }
  for (const [side, x, y, width, height] of [
    ['Top', box.left, box.top, box.width, 0],
    ['Bottom', box.left, box.bottom, box.width, 0],
    ['Left', box.left, box.top, 0, box.height],
    ['Right', box.right, box.top, 0, box.height],
  ] as const) {
    const thick = parseFloat(look[`border${side}Width`]);
    if (!thick || look[`border${side}Style`] === 'none') continue;
    pen.fillStyle = look[`border${side}Color`];
    pen.fillRect(side === 'Right' ? x - thick : x, side === 'Bottom' ? y - thick : y, width || thick, height || thick);
  }
  if (look.overflow !== 'visible') {
    pen.beginPath();
    pen.rect(box.left, box.top, box.width, box.height);
    pen.clip();
  }
  if (element instanceof HTMLCanvasElement) pen.drawImage(element, box.left, box.top, box.width, box.height);
  else if (element instanceof SVGSVGElement) mark(pen, element, box);
  else for (const child of element.childNodes) child instanceof Text ? write(pen, child, look) : child instanceof Element && paint(pen, child);
  pen.restore();
}

/** Each line of a text where it stands. */
function write(pen: CanvasRenderingContext2D, node: Text, look: CSSStyleDeclaration) {
  const text = node.data;
  if (!text.trim()) return;
  pen.font = `${look.fontWeight} ${look.fontSize} ${look.fontFamily}`;
  pen.fillStyle = look.color;
  pen.textBaseline = 'alphabetic';
  const range = document.createRange();
  let start = 0;
  let top: number | null = null;
  const line = (end: number) => {
    range.setStart(node, start);
    range.setEnd(node, end);
    const [box] = range.getClientRects();
    const said = text.slice(start, end).replace(/\s+/g, ' ');
    if (!box || !said.trim()) return;
    const { fontBoundingBoxAscent: up, fontBoundingBoxDescent: down } = pen.measureText(said);
    pen.fillText(said, box.left, box.top + (box.height + up - down) / 2);
  };
  for (let at = 0; at < text.length; at += 1) {
    range.setStart(node, at);
    range.setEnd(node, at + 1);
    const [box] = range.getClientRects();
    if (!box) continue;
    if (top !== null && Math.abs(box.top - top) > box.height / 2) {
      line(at);
      start = at;
    }
    top = box.top;
  }
  line(text.length);
}

/** The marks of states are paths and simple shapes of one colour. */
function mark(pen: CanvasRenderingContext2D, svg: SVGSVGElement, box: DOMRect) {
  const view = svg.viewBox.baseVal;
  pen.translate(box.left, box.top);
  pen.scale(box.width / (view.width || 1), box.height / (view.height || 1));
  for (const part of svg.querySelectorAll('path, circle, rect')) {
    const look = getComputedStyle(part);
    const shape = new Path2D(part.getAttribute('d') ?? '');
    const figure = (name: string) => Number(part.getAttribute(name));
    if (part.tagName === 'circle') shape.arc(figure('cx'), figure('cy'), figure('r'), 0, 7);
    if (part.tagName === 'rect') shape.rect(figure('x'), figure('y'), figure('width'), figure('height'));
    if (look.fill !== 'none') {
      pen.fillStyle = look.fill;
      pen.fill(shape);
    }
    const thick = parseFloat(look.strokeWidth);
    if (look.stroke !== 'none' && thick > 0) {
      pen.lineWidth = thick;
      pen.strokeStyle = look.stroke;
      pen.stroke(shape);
    }
  }
}

/** Hands a file to the reader. */
export function hand(blob: Blob, name: string) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
