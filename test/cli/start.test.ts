/** What the start of the program loads: little, because every run waits for it. */

import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { verbs } from '../../src/cli/verbs.ts'
import { run } from '../../src/system/run.ts'

const address = (name: string): string =>
  pathToFileURL(join(import.meta.dirname, '../../src', name)).href

/** The packages and the modules of ours that importing `name` loads. */
async function loadedBy(name: string): Promise<readonly string[]> {
  const script = `
    import { registerHooks } from 'node:module'
    const loaded = []
    registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) })
    await import('${address(name)}')
    console.log(JSON.stringify(loaded))`
  const argv = [process.execPath, '--input-type=module', '-e', script] as const
  const { stdout } = await run(argv, { env: { NODE_DISABLE_COMPILE_CACHE: '1' } })
  const urls: readonly string[] = JSON.parse(stdout)
  return urls.flatMap((url) => {
    const [, path] = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url) ?? []
    const ours = url.startsWith(address('')) ? [url.slice(address('').length + 1)] : []
    return path === undefined ? ours : [path]
  })
}

test('the options of all verbs need commander, and no stage', async () => {
  const loaded = await loadedBy('cli/verbs.ts')
  const packages = new Set(loaded.filter((name) => !name.endsWith('.ts')))
  expect(packages).toEqual(new Set(['commander']))
  expect(loaded.filter((name) => name.startsWith('cli/actions/'))).toEqual([])
  expect(loaded.filter((name) => /^(encrypt|pack|deliver)\//.test(name))).toEqual([])
})

test('unpack loads no recipes, no display and nothing that packs', async () => {
  const loaded = await loadedBy('cli/actions/unpack.ts')
  expect(loaded).toEqual(expect.arrayContaining(['openpgp', 'encrypt/keys.ts']))
  const unwanted = ['yaml', 'listr2', 'execa', '@napi-rs/lzma']
  expect(loaded.filter((name) => unwanted.includes(name))).toEqual([])
  expect(loaded.filter((name) => name.startsWith('pack/'))).toEqual([])
})

test('a thread of the unpacker loads neither keys nor schemas', async () => {
  const loaded = await loadedBy('unpack/decode-jobs.ts')
  const packages = new Set(loaded.filter((name) => !name.endsWith('.ts')))
  const native = ['zstd-napi', '@napi-rs/blake-hash', '@napi-rs/blake-hash-linux-x64-gnu']
  expect([...packages].filter((name) => !native.includes(name))).toEqual([])
})

test.each(verbs.map(({ name }) => name))('what %s does is a module of its own', async (name) => {
  const action: object = await import(`../../src/cli/actions/${name}.ts`)
  expect(action).toHaveProperty(name)
})
