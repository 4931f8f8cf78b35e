import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { renderReport } from '../../src/cli/report/report.ts';
import { archiveNow } from '../support/archiving.ts';
import { Browser, noBrowser, type Viewport } from '../support/browser.ts';
import { REPORT_DATA } from '../support/report-data.ts';
import { newDirectory } from '../support/sandbox.ts';
import { type Scene, startScene } from '../support/scene.ts';
import { newestVersion } from '../support/tested-versions.ts';

const VIEWPORTS: readonly Viewport[] = [
  { width: 1280, scheme: 'light' },
  { width: 1280, scheme: 'dark' },
  { width: 390, scheme: 'light' },
];

/** What sticks out of the page to the right, by its text; what scrolls inside its own box does not. */
const STICKING_OUT = `[...document.querySelectorAll('body *')].filter((one) => {
  for (let box = one; box !== null; box = box.parentElement)
    if (box !== one && ['auto', 'scroll', 'hidden'].includes(getComputedStyle(box).overflowX)) return false;
  return one.getBoundingClientRect().right > innerWidth + 1;
}).map((one) => one.tagName + ' ' + one.textContent.slice(0, 40))`;

/** Words that go on in the next line. Only what is longer than any name may. */
const BROKEN_WORDS = `[...document.querySelectorAll('h1, h2, h3, p, th, td, td *, .card *')].flatMap((one) =>
  [...one.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE).flatMap((node) =>
    [...node.data.matchAll(/\\w{2,40}/g)].filter(({ 0: word, index }) => {
      const range = document.createRange();
      range.setStart(node, index);
      range.setEnd(node, index + word.length);
      return new Set([...range.getClientRects()].map(({ top }) => Math.round(top))).size > 1;
    }).map(([word]) => word)))`;

/** Shapes of pictures that have no size, or lie outside of their picture. */
const LOST_SHAPES = `[...document.querySelectorAll('svg :is(rect, circle, polygon)')].filter((one) => {
  const [shape, picture] = [one.getBoundingClientRect(), one.closest('svg').getBoundingClientRect()];
  return shape.width === 0 || shape.height === 0 || shape.left < picture.left - 1 || shape.right > picture.right + 1 ||
    shape.top < picture.top - 1 || shape.bottom > picture.bottom + 1;
}).map((one) => one.outerHTML.slice(0, 80))`;

/** Of the text to what is behind it: below 4.5 it is hard to read (WCAG 2.1, 1.4.3). */
const FAINT = `(() => {
  const light = (color) => {
    const [r, g, b] = color.match(/[\\d.]+/g).map((value) => value / 255)
      .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (one) => {
    for (let box = one; box !== null; box = box.parentElement) {
      const { backgroundColor } = getComputedStyle(box);
      if (!/, 0\\)$|transparent/.test(backgroundColor)) return backgroundColor;
    }
    return 'rgb(255, 255, 255)';
  };
  return [...document.querySelectorAll('h1, h2, h3, p, td, th, b, .card span')].filter((one) => {
    const [text, ground] = [light(getComputedStyle(one).color), light(behind(one))];
    return (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05) < 4.5;
  }).map((one) => one.tagName + ' ' + one.textContent.slice(0, 40));
})()`;

describe.skipIf(noBrowser !== undefined)(noBrowser ?? 'the report in a real browser', () => {
  let browser: Browser;
  let scene: Scene;
  let directory: string;
  beforeAll(async () => {
    browser = new Browser();
    await browser.open();
    directory = newDirectory('reports');
    scene = await startScene({ version: newestVersion });
  });
  afterAll(async () => {
    await browser.close();
    await scene.dispose();
  });

  async function look(file: string, viewport: Viewport): Promise<void> {
    const url = pathToFileURL(file).href;
    await browser.visit(url, viewport);
    expect(browser.requests).toEqual([url]);
    expect(browser.complaints).toEqual([]);
    expect(await browser.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true);
    expect(await browser.evaluate(STICKING_OUT)).toEqual([]);
    expect(await browser.evaluate(BROKEN_WORDS)).toEqual([]);
    expect(await browser.evaluate(LOST_SHAPES)).toEqual([]);
    expect(await browser.evaluate(FAINT)).toEqual([]);
    expect(await browser.evaluate('document.querySelectorAll("svg").length')).toBeGreaterThan(0);
  }

  it('shows a cluster as its commands tell it', async () => {
    const { server, walden } = scene;
    await walden.run('backup', 'main');
    await archiveNow(server);
    await walden.run('verify', 'main');
    const file = join(directory, 'real.html');
    await walden.run('report', 'main', '--html', file);
    for (const viewport of VIEWPORTS) await look(file, viewport);
    const { backups } = (await walden.json('list', 'main')) as { backups: { id: string }[] };
    const text = await browser.evaluate<string>('document.body.innerText');
    expect(text).toContain(backups[0]!.id);
    expect(text).toContain('All moments in UTC');
    expect(readFileSync(file, 'utf8')).not.toContain('<script');
  });

  it('shows everything that there can be to show, on a small screen and in the dark too', async () => {
    const file = join(directory, 'everything.html');
    writeFileSync(file, renderReport(REPORT_DATA));
    for (const viewport of VIEWPORTS) await look(file, viewport);
  });
});
