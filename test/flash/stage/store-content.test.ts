/** What staging puts on the store: fetched, fetched on, verified, and refused. */
import { mkdir, open, readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { openFileSource } from '../../../src/deliver/file.ts'
import type { Source } from '../../../src/deliver/source.ts'
import { decryptSessionKey } from '../../../src/encrypt/session-key.ts'
import { manifestDigest } from '../../../src/flash/image-places.ts'
import { STORE } from '../../../src/flash/places.ts'
import { storeImage, storeTrust } from '../../../src/flash/stage/store-content.ts'
import { run } from '../../../src/system/run.ts'
import { MIB } from '../../../src/units.ts'
import { openImage } from '../../../src/unpack/image.ts'
import { makeFolder, makeKeys, noise, type TestKeys } from '../../pack/image/fixtures.ts'
import { checkFor, packDisk, regions } from '../../unpack/disk-fixtures.ts'

let keys: TestKeys
beforeAll(async () => {
  keys = await makeKeys()
})

const large = () => [
  ...regions().slice(0, 2),
  { name: 'root', offset: 4 * MIB, raw: noise(11 * MIB, 7) },
]

interface Setting {
  readonly image: string
  readonly store: string
  readonly manifestSha256: string
  readonly sessionKey: Uint8Array
}

async function setting(folder: string): Promise<Setting> {
  const image = await packDisk({ folder, regions: large() }, keys)
  const store = join(folder, 'store')
  await mkdir(store)
  await using source = await openFileSource(image)
  const { keysBytes, manifestBytes } = await openImage(source, undefined)
  const sessionKey = await decryptSessionKey(keysBytes, [keys.recipient])
  return { image, store, sessionKey, manifestSha256: manifestDigest(manifestBytes) }
}

/** A source that counts what is read, and may lie or fail from a place on. */
function watched(source: Source, failFrom = Number.POSITIVE_INFINITY) {
  const read = { bytes: 0 }
  const wrapped: Source = {
    name: source.name,
    bytes: source.bytes,
    read: async (offset, into) => {
      if (offset + into.length > failFrom) throw new Error('the line is dead')
      read.bytes += into.length
      return source.read(offset, into)
    },
    [Symbol.asyncDispose]: () => source[Symbol.asyncDispose](),
  }
  return { wrapped, read }
}

const store = async (
  { store: folder, ...rest }: Setting,
  source: Source,
  manifestSha256 = rest.manifestSha256,
) =>
  storeImage(folder, {
    source,
    check: checkFor(keys),
    sessionKey: rest.sessionKey,
    manifestSha256,
    emit: () => undefined,
  })

describe('storeImage', () => {
  it('stores the image whole, with the session key for root alone', async () => {
    await using folder = await makeFolder()
    const made = await setting(folder.path)
    await using source = await openFileSource(made.image)
    await store(made, source)
    const stored = await readFile(join(made.store, STORE.image))
    expect(stored.equals(await readFile(made.image))).toBe(true)
    const key = join(made.store, STORE.sessionKey)
    expect(await readFile(key, 'utf8')).toBe(`${Buffer.from(made.sessionKey).toString('hex')}\n`)
    expect((await stat(key)).mode & 0o777).toBe(0o600)
    expect((await stat(join(made.store, STORE.image))).mode & 0o777).toBe(0o600)
    expect((await readdir(made.store)).sort()).toEqual([STORE.image, STORE.sessionKey].sort())
  })

  it('fetches on after the line died, and nothing twice once it is there', async () => {
    await using folder = await makeFolder()
    const made = await setting(folder.path)
    await using source = await openFileSource(made.image)
    await expect(store(made, watched(source, 9 * MIB).wrapped)).rejects.toThrow('the line is dead')
    expect((await readdir(made.store)).sort()).toEqual([`${STORE.image}.part`])
    const part = (await stat(join(made.store, `${STORE.image}.part`))).size
    expect(part).toBe(8 * MIB)
    const second = watched(source)
    await store(made, second.wrapped)
    expect(second.read.bytes).toBe(source.bytes - part)
    const third = watched(source)
    await store(made, third.wrapped)
    expect(third.read.bytes).toBe(0)
  })

  it('starts again where an earlier run left something longer', async () => {
    await using folder = await makeFolder()
    const made = await setting(folder.path)
    await using source = await openFileSource(made.image)
    const part = join(made.store, `${STORE.image}.part`)
    await writeFile(part, 'x')
    await truncate(part, source.bytes + 1)
    await store(made, source)
    const stored = await readFile(join(made.store, STORE.image))
    expect(stored.equals(await readFile(made.image))).toBe(true)
  })

  it('gives a damaged copy no name', async () => {
    await using folder = await makeFolder()
    const made = await setting(folder.path)
    await using source = await openFileSource(made.image)
    const lying: Source = {
      ...watched(source).wrapped,
      read: async (offset, into) => {
        await source.read(offset, into)
        if (offset >= 4 * MIB) into[100] = (into[100] ?? 0) ^ 1
      },
    }
    await expect(store(made, lying)).rejects.toMatchObject({ code: 'digest' })
    expect(await readdir(made.store)).toEqual([])
    await store(made, source)
    expect(await readdir(made.store)).toContain(STORE.image)
  })

  it('refuses an image that is not the one of the plan, and one of a stranger', async () => {
    await using folder = await makeFolder()
    const made = await setting(folder.path)
    await using source = await openFileSource(made.image)
    await expect(store(made, source, 'f'.repeat(64))).rejects.toThrow(/not the image of the plan/)
    keys = await makeKeys()
    await expect(store(made, source)).rejects.toMatchObject({ code: 'signature' })
  })

  it('finds what rotted on the store', async () => {
    await using folder = await makeFolder()
    const made = await setting(folder.path)
    await using source = await openFileSource(made.image)
    await store(made, source)
    await using file = await open(join(made.store, STORE.image), 'r+')
    await file.write(Buffer.from('rot'), 0, 3, 5 * MIB)
    await file.sync()
    await expect(store(made, source)).rejects.toMatchObject({ code: 'digest' })
    await store(made, source)
  })
})

describe.skipIf(process.getuid?.() !== 0)('needs root: a store that takes nothing', () => {
  const onMount = async (made: Setting, words: readonly string[], work: () => Promise<void>) => {
    await run(['mount', ...words, made.store])
    try {
      await work()
    } finally {
      await run(['umount', made.store])
    }
  }

  it('is told from one without room', async () => {
    await using folder = await makeFolder()
    const made = await setting(folder.path)
    await using source = await openFileSource(made.image)
    await onMount(made, ['-t', 'tmpfs', '-o', 'size=1m', 'small'], async () => {
      await expect(store(made, source)).rejects.toMatchObject({
        code: 'refused',
        message: expect.stringMatching(/^storing the target: no room for 1\d\.\d+ MiB$/),
      })
    })
    await onMount(made, ['-t', 'ramfs', 'takes-no-fallocate'], async () => {
      await expect(store(made, source)).rejects.toMatchObject({
        code: 'io',
        message: expect.stringMatching(/^storing the target: running fallocate: .*unsupported/),
        cause: expect.objectContaining({ code: 'process' }),
      })
    })
    await onMount(made, ['-t', 'tmpfs', '-o', 'size=64m,ro', 'read-only'], async () => {
      await expect(store(made, source)).rejects.toMatchObject({
        code: 'io',
        message: expect.stringContaining('read-only'),
      })
      await expect(storeTrust(made.store, [])).rejects.toMatchObject({ code: 'io' })
    })
  })
})

describe('storeTrust', () => {
  it('keeps every certificate, for root alone', async () => {
    await using folder = await makeFolder()
    const files = [{ name: 'a.pub', bytes: Buffer.from('a') }]
    await storeTrust(folder.path, files)
    await storeTrust(folder.path, files)
    const trust = join(folder.path, STORE.trust)
    expect(await readdir(trust)).toEqual(['0.pub'])
    expect(await readFile(join(trust, '0.pub'), 'utf8')).toBe('a')
    expect((await stat(trust)).mode & 0o777).toBe(0o700)
  })
})
