/**
 * A folder with recipe files for one test, removed at its end.
 *
 * 1. `await using folder = await recipeFolder({ 'a.yaml': '…' })`.
 * 2. Names may hold slashes; folders are made.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { makeScratch, type Scratch } from '../../../src/system/scratch.ts'

export async function recipeFolder(files: Readonly<Record<string, string>>): Promise<Scratch> {
  const scratch = await makeScratch('recipe-test')
  for (const [name, text] of Object.entries(files)) {
    const path = join(scratch.path, name)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, text)
  }
  return scratch
}

/** The smallest recipe: a folder without a kernel, which nothing is to boot. */
export const TINY = `name: tiny
firmware: []
source: {directory: tree}
disk: {partitions: [{role: root}]}
`
