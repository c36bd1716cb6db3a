/**
 * `npm run bench:readme [NAME]`: puts the results NAME into README.md; default: the newest ones
 * of the small input.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { renderBlock, replaceBlock } from './readme-block.ts'

const root = join(import.meta.dirname, '..')
const folder = join(root, 'bench', 'results')

/** Names begin with the day, so the last one is the newest. */
async function newest(): Promise<string> {
  const files = (await readdir(folder)).filter((file) => /c-\d+g\.json$/.test(file)).sort()
  const [last] = files.slice(-1)
  if (last === undefined) throw new Error('no results; npm run bench makes them')
  return last.replace(/\.json$/, '')
}

const name = process.argv[2] ?? (await newest())
const results = JSON.parse(await readFile(join(folder, `${name}.json`), 'utf8'))
const readme = join(root, 'README.md')
await writeFile(readme, replaceBlock(await readFile(readme, 'utf8'), renderBlock(results, name)))
