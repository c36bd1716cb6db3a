/** The licence text that the bundle ships is that of the Node which it ships. */
import { execFileSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')

/** Node's own, without a licence of their own, in the public domain, or a part of ICU. */
const COVERED = ['node', 'modules', 'napi', 'nbytes', 'ncrypto', 'sqlite', 'cldr', 'tz', 'unicode']
const TITLES: Readonly<Record<string, string>> = { ares: 'c-ares', uv: 'libuv' }

/** Names of what has a licence in Node's text, lower case. */
const licensed = (text: string): string[] =>
  [...text.matchAll(/^\s*- ([^,\n]+), located at /gm)].map(([, name = '']) => name.toLowerCase())

test('every component of the bundled Node has its licence, also after an update', async () => {
  const node = join(root, 'node_modules/node/bin/node')
  const versions = execFileSync(node, ['-p', 'JSON.stringify(Object.keys(process.versions))'])
  const components: string[] = JSON.parse(versions.toString())
  const text = await readFile(join(root, 'scripts/bundle/node-LICENSE.txt'), 'utf8')
  const names = licensed(text)
  expect(components.length).toBeGreaterThan(15)
  const missing = components
    .filter((one) => !COVERED.includes(one))
    .filter((one) => !names.includes(TITLES[one] ?? one))
  expect(missing, 'take LICENSE of this version of Node from its source').toEqual([])
})
