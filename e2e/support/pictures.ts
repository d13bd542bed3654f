// Pictures made on the spot, and what of them is on the screen.
import { deflateSync } from 'node:zlib';

import { expect, type Locator, type Page } from '@playwright/test';

export type Colour = [red: number, green: number, blue: number];

export const RED: Colour = [200, 30, 40];
export const GREEN: Colour = [30, 150, 70];

const CRC = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const crc = body.reduce((sum, byte) => (sum >>> 8) ^ CRC[(sum ^ byte) & 0xff], 0xffffffff);
  const whole = Buffer.alloc(body.length + 8);
  whole.writeUInt32BE(data.length, 0);
  body.copy(whole, 4);
  whole.writeUInt32BE((crc ^ 0xffffffff) >>> 0, body.length + 4);
  return whole;
}

/** A PNG of one colour; `rows` fewer than `height` make it end too early. */
export function png(colour: Colour, width = 300, height = width, rows = height): Buffer {
  const row = Buffer.concat([Buffer.from([0]), Buffer.alloc(width * 3, Buffer.from(colour))]);
  return encoded(width, height, Array.from({ length: rows }, () => row));
}

/** A PNG with something on it to look at: hills under a sun, in hues that begin at `hue`. */
export function picture(hue = 210, width = 480, height = 360): Buffer {
  const rows = Array.from({ length: height }, (_, y) => {
    const row = Buffer.alloc(1 + width * 3);
    for (let x = 0; x < width; x++) row.set(scene(x / width, y / height, hue), 1 + x * 3);
    return row;
  });
  return encoded(width, height, rows);
}

function scene(x: number, y: number, hue: number): Colour {
  const far = 0.62 + 0.08 * Math.sin(x * 7) + 0.03 * Math.sin(x * 19);
  const near = 0.78 + 0.06 * Math.sin(x * 5 + 2);
  if (y > near) return shade(hue + 90, 0.35, 0.28);
  if (y > far) return shade(hue + 50, 0.3, 0.45);
  if (Math.hypot((x - 0.62) * 1.33, y - 0.38) < 0.13) return shade(hue - 165, 0.85, 0.72);
  return shade(hue, 0.5, 0.86 - y * 0.35);
}

function shade(hue: number, saturation: number, lightness: number): Colour {
  const part = (offset: number) => {
    const at = (offset + hue / 30 + 24) % 12;
    const swing = saturation * Math.min(lightness, 1 - lightness);
    return Math.round(255 * (lightness - swing * Math.max(-1, Math.min(at - 3, 9 - at, 1))));
  };
  return [part(0), part(8), part(4)];
}

function encoded(width: number, height: number, rows: Buffer[]): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const pixels = deflateSync(Buffer.concat(rows));
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', pixels), chunk('IEND', Buffer.alloc(0))]);
}

/** A file as the file chooser takes it. */
export const file = (name: string, buffer: Buffer, mimeType = 'image/png') => ({ name, mimeType, buffer });

/** The photo within `place`, which is shown and has this colour in its middle. */
export async function expectPhoto(place: Locator, colour: Colour): Promise<void> {
  const photo = place.locator('img');
  await expect(photo).toHaveCount(1);
  const middle = () =>
    photo.evaluate((image: HTMLImageElement) => {
      if (!image.complete || image.naturalWidth === 0 || getComputedStyle(image).opacity !== '1') return 'not shown';
      const canvas = document.createElement('canvas');
      canvas.width = canvas.height = 1;
      const context = canvas.getContext('2d')!;
      context.drawImage(image, image.naturalWidth / 2, image.naturalHeight / 2, 1, 1, 0, 0, 1, 1);
      // Encoding again changes a shade; a step of 32 hides that.
      return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3).map((part) => Math.round(part / 32)).join(' ');
    });
  await expect.poll(middle).toBe(colour.map((part) => Math.round(part / 32)).join(' '));
}

/** Nothing but initials within `place`. */
export async function expectInitials(place: Locator, initials: string): Promise<void> {
  await expect(place.locator('img')).toHaveCount(0);
  await expect(place.locator('.avatar')).toHaveText(initials);
}

/** Hands the page a file as the mouse does when it lets it fall, or as the clipboard does. */
export async function give(page: Page, how: 'drop' | 'paste', target: string, bytes: Buffer, type = 'image/png'): Promise<void> {
  await page.evaluate(
    ({ how, target, bytes, type }) => {
      const data = new DataTransfer();
      data.items.add(new File([Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0))], 'photo', { type }));
      const element = document.querySelector(target)!;
      const init = { bubbles: true, cancelable: true };
      if (how === 'paste') element.dispatchEvent(new ClipboardEvent('paste', { ...init, clipboardData: data }));
      else for (const name of ['dragover', 'drop']) element.dispatchEvent(new DragEvent(name, { ...init, dataTransfer: data }));
    },
    { how, target, bytes: bytes.toString('base64'), type },
  );
}
