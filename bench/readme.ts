/**
 * `npm run bench:readme [NAME]`: puts the results NAME into README.md (default: the newest ones
 * of the small input), and the newest profile into docs/performance.md.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { renderBlock, renderProfile, replaceBlock } from './readme-block.ts'

const root = join(import.meta.dirname, '..')
const folder = join(root, 'bench', 'results')

/** Names begin with the day, so the last one is the newest. */
async function newest(pattern: RegExp): Promise<string> {
  const files = (await readdir(folder)).filter((file) => pattern.test(file)).sort()
  const [last] = files.slice(-1)
  if (last === undefined) throw new Error('no results; npm run bench and bench:profile make them')
  return last.replace(/\.[a-z]+$/, '')
}

async function replaceIn(page: string, block: string): Promise<void> {
  const path = join(root, page)
  await writeFile(path, replaceBlock(await readFile(path, 'utf8'), block))
}

const name = process.argv[2] ?? (await newest(/-\d+c-\d+g\.json$/))
const results = JSON.parse(await readFile(join(folder, `${name}.json`), 'utf8'))
await replaceIn('README.md', renderBlock(results, name))
const profile = await newest(/-profile\.md$/)
const text = await readFile(join(folder, `${profile}.md`), 'utf8')
await replaceIn('docs/performance.md', renderProfile(text, profile))
