/**
 * Makes docs/demo.svg: the output of a run as a picture of a terminal.
 *
 * 1. Reads the log of a run from standard input, and writes the picture to standard output.
 * 2. Progress lines are left out, long lines are cut: it is a picture, not a record.
 *
 * Use: npm run demo 2>&1 | node scripts/terminal-picture.ts > docs/demo.svg
 */
import { text } from 'node:stream/consumers'

const COLUMNS = 112
const CHARACTER_WIDTH = 7.2
const LINE_HEIGHT = 16
const MARGIN = 14

const escaped = (line: string): string =>
  line.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
const cut = (line: string): string =>
  line.length > COLUMNS ? `${line.slice(0, COLUMNS - 1)}…` : line

function colour(line: string): string {
  if (line.startsWith('$')) return '#9ece6a'
  if (line.startsWith('==')) return '#7aa2f7'
  return '#c0caf5'
}

const isNews = (line: string): boolean => !/^(> |npm |setup: )|left$/.test(line)
const log = await text(process.stdin)
const from = log.indexOf('== make keys')
const lines = log
  .slice(Math.max(0, from))
  .split('\n')
  .filter(isNews)
  .map((line) => cut(line.replaceAll(/\/\S*\/(recipes\/)/g, '$1')))
while (lines.at(-1) === '') lines.pop()

const width = COLUMNS * CHARACTER_WIDTH + 2 * MARGIN
const height = lines.length * LINE_HEIGHT + 2 * MARGIN
const rows = lines.map((line, i) => {
  const y = MARGIN + (i + 0.8) * LINE_HEIGHT
  return `<text x="${MARGIN}" y="${y}" fill="${colour(line)}">${escaped(line)}</text>`
})
process.stdout.write(
  `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" ` +
    'font-family="ui-monospace, Menlo, Consolas, monospace" ' +
    `font-size="12" xml:space="preserve">\n` +
    `<rect width="100%" height="100%" rx="8" fill="#1a1b26"/>\n${rows.join('\n')}\n</svg>\n`,
)
