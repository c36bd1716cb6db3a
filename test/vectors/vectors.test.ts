/** Every vector through the library: what must be read, and with which class the rest must fail. */
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openFileSource } from '../../src/deliver/file.ts'
import { exitStatus } from '../../src/errors.ts'
import { run } from '../../src/system/run.ts'
import { unpackTree } from '../../src/unpack/unpack-tree.ts'
import { verifyImage } from '../../src/unpack/verify.ts'
import { pairOf } from '../encrypt/key-ring.ts'
import type { TestKeys } from '../pack/image/fixtures.ts'
import { checkFor, unpackTest } from '../unpack/disk-fixtures.ts'
import { sha256 } from './compose.ts'
import { readVectors, vectorFolder, vectorKey, vectorPath } from './vectors.ts'

const vectors = readVectors()
const good = vectors.filter((vector) => vector.expect === 'ok')
const bad = vectors.filter((vector) => vector.expect !== 'ok')
const disks = good.filter(({ name }) => name !== 'ok-tree')

let folder = ''
let keys: TestKeys
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'osflash-vectors-'))
  const pair = async (name: string) => pairOf(await readFile(vectorKey(name), 'utf8'))
  const { key: signer, cert: signerCert } = await pair('signer.key')
  const { key: recipient, cert: recipientCert } = await pair('recipient.key')
  keys = { signer, signerCert, recipient, recipientCert }
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function verify(name: string) {
  await using source = await openFileSource(vectorPath(name))
  const identities = [keys.recipient]
  const common = { check: checkFor(keys), workers: 1, emit: () => undefined }
  return await verifyImage({ ...common, source, identities })
}

describe('vectors that must be read', () => {
  it.each(good)('$name: $why', async ({ name }) => {
    const report = await verify(name)
    expect(report.frames > 0).toBe(name !== 'ok-empty')
  })

  it.each(disks)('$name gives the right bytes', async ({ name, rawSha256 }) => {
    const to = join(folder, `${name}.img`)
    await unpackTest({ image: vectorPath(name), keys, to, verify: true, workers: 1 })
    const disk = await readFile(to)
    const { rawBytes = 0 } = (await verify(name)).image.manifest.payloads[0] ?? {}
    expect(sha256(disk.subarray(4_096, 4_096 + rawBytes))).toBe(rawSha256)
    expect(disk.length).toBe(65_536)
  })

  it('opens for the key that gpg made', async () => {
    const { key } = await pairOf(await readFile(vectorKey('gpg-recipient.key'), 'utf8'))
    const to = join(folder, 'gpg.img')
    const image = vectorPath('ok-two-recipients')
    await unpackTest({ image, keys, identities: [key], to, workers: 1 })
    expect((await stat(to)).size).toBe(65_536)
  })

  it('unpacks the tree', async () => {
    await using source = await openFileSource(vectorPath('ok-tree'))
    const directory = join(folder, 'tree')
    const { signal } = new AbortController()
    const common = { check: checkFor(keys), workers: 1, emit: () => undefined, signal }
    await unpackTree({ ...common, source, identities: [keys.recipient], directory })
    expect(await readFile(join(directory, 'link'), 'utf8')).toBe('ID=vector\n')
    expect((await stat(join(directory, 'etc/release'))).nlink).toBe(2)
  })
})

describe('vectors that must be refused', () => {
  it.each(bad)('$name: $expect ($why)', async ({ name, expect: code }) => {
    const failure = await verify(name).catch((error: unknown) => error)
    expect(failure).toMatchObject({ code })
    expect([4, 6]).toContain(exitStatus(failure))
  })

  // What a frame's raw bytes are is compared by `verify`, and after writing by `--verify`.
  it.each(bad.filter(({ name }) => name !== 'frame-digest'))(
    '$name gives no disk',
    async ({ name, expect: code }) => {
      const to = join(folder, `${name}.img`)
      const failure = unpackTest({ image: vectorPath(name), keys, to, workers: 1 })
      await expect(failure).rejects.toMatchObject({ code })
      expect(await readdir(folder)).not.toContain(`${name}.img`)
    },
  )

  it('the digest of a frame is compared when reading back', async () => {
    const to = join(folder, 'frame-digest.img')
    const image = vectorPath('frame-digest')
    const failure = unpackTest({ image, keys, to, workers: 1, verify: true })
    await expect(failure).rejects.toMatchObject({ code: 'readback' })
    expect(await readdir(folder)).not.toContain('frame-digest.img')
  })
})

describe('through the program', () => {
  const osflash = join(import.meta.dirname, '../../bin/osflash')
  it.each([
    ['ok-zstd-ocb', 0],
    ['flip-member-0', 4],
    ['signer-unpinned', 4],
    ['keys-of-another-image', 4],
    ['flip-member-4', 6],
    ['truncated', 6],
    ['frame-two-in-one', 6],
  ])('%s: exit status %i', async (name, expected) => {
    const keyOptions = [
      '--trust',
      vectorKey('signer.pub'),
      '--identity',
      vectorKey('recipient.key'),
    ]
    const argv = [osflash, 'verify', vectorPath(name), ...keyOptions] as const
    const { status } = await run(argv, { statuses: [0, 4, 6] })
    expect(status).toBe(expected)
  })
})

it('lists every image of the folder', async () => {
  const files = (await readdir(vectorFolder)).filter((name) => name.endsWith('.osimg')).sort()
  expect(vectors.map(({ name }) => `${name}.osimg`).sort()).toEqual(files)
})
