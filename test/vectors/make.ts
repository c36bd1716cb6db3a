/**
 * Makes the vectors that do not exist yet: `node test/vectors/make.ts`.
 *
 * 1. Keys are made once (`keys/`; for tests only, never use them elsewhere) and kept.
 * 2. A vector that exists is never made again: old images must be read by new readers.
 * 3. `vectors.json` says what each must give; `README.md` explains.
 */
import { access, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { generateKeys } from '../../src/encrypt/keys.ts'
import { run } from '../../src/system/run.ts'
import { makeScratch } from '../../src/system/scratch.ts'
import { pairOf } from '../encrypt/key-ring.ts'
import {
  archiveCases,
  goodCases,
  signedCases,
  strangerCases,
  type VectorCase,
  type VectorKeys,
} from './cases.ts'
import { sha256 } from './compose.ts'
import { type Vector, vectorFolder } from './vectors.ts'

const TREE_ENTRIES = 4
const keyPath = (name: string): string => join(vectorFolder, 'keys', name)

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

async function makeKeyFiles(): Promise<void> {
  await mkdir(join(vectorFolder, 'keys'), { recursive: true })
  for (const [signer, recipient] of [
    ['signer', 'recipient'],
    ['stranger', 'other'],
  ]) {
    if (await exists(keyPath(`${signer}.key`))) continue
    const keys = await generateKeys({ name: 'test vectors of osflash' })
    await writeFile(keyPath(`${signer}.key`), keys.signerKey)
    await writeFile(keyPath(`${signer}.pub`), keys.signerCert)
    await writeFile(keyPath(`${recipient}.key`), keys.recipientKey)
    await writeFile(keyPath(`${recipient}.pub`), keys.recipientCert)
  }
  if (!(await exists(keyPath('gpg-recipient.key')))) await makeGpgKey()
}

async function makeGpgKey(): Promise<void> {
  await using home = await makeScratch('gpg')
  const gpg = async (...args: string[]): Promise<string> =>
    (await run(['gpg', '--homedir', home.path, '--batch', '--passphrase', '', ...args])).stdout
  try {
    const id = 'vectors@example.org'
    await gpg('--quick-generate-key', id, 'future-default', 'default', 'never')
    await writeFile(keyPath('gpg-recipient.key'), await gpg('--armor', '--export-secret-keys', id))
    await writeFile(keyPath('gpg-recipient.pub'), await gpg('--armor', '--export', id))
  } finally {
    await run(['gpgconf', '--homedir', home.path, '--kill', 'all'])
  }
}

async function readKeys(): Promise<VectorKeys> {
  const pair = async (name: string) => pairOf(await readFile(keyPath(name), 'utf8'))
  const { key: signer } = await pair('signer.key')
  const { key: stranger } = await pair('stranger.key')
  const { cert: recipient } = await pair('recipient.key')
  const { cert: gpg } = await pair('gpg-recipient.key')
  return { signer, stranger, recipient, gpg }
}

async function makeTree(): Promise<Buffer> {
  await using folder = await makeScratch('tree')
  const at = (name: string): string => join(folder.path, name)
  await mkdir(at('etc'))
  await writeFile(at('etc/os-release'), 'ID=vector\n')
  await run(['ln', at('etc/os-release'), at('etc/release')])
  await run(['ln', '-s', 'etc/os-release', at('link')])
  const names = ['etc', 'etc/os-release', 'etc/release', 'link']
  const times = ['--owner=0', '--group=0', '--mtime=@1700000000', '--no-recursion']
  const tar = at('tree.tar')
  await run(['tar', '--format=ustar', ...times, '-C', folder.path, '-cf', tar, ...names])
  return readFile(tar)
}

async function makeVector(one: VectorCase): Promise<Vector> {
  const path = join(vectorFolder, `${one.name}.osimg`)
  if (!(await exists(path))) await writeFile(path, await one.make())
  const { name, expect, why, raw } = one
  return { name, expect, why, ...(raw === undefined ? {} : { rawSha256: sha256(raw) }) }
}

await makeKeyFiles()
const keys = await readKeys()
const cases = [
  ...goodCases(keys, await makeTree(), TREE_ENTRIES),
  ...archiveCases(keys),
  ...strangerCases(keys),
  ...signedCases(keys),
]
const vectors: Vector[] = []
for (const one of cases) vectors.push(await makeVector(one))
await writeFile(join(vectorFolder, 'vectors.json'), `${JSON.stringify(vectors, null, 2)}\n`)
