/** Recipients change; manifest, signatures and payloads do not. */
import { copyFile, open, readdir, readFile, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { openFileSource } from '../../../src/deliver/file.ts'
import { fingerprintsOf } from '../../../src/encrypt/keys.ts'
import { listRecipients } from '../../../src/encrypt/session-key.ts'
import { packImage } from '../../../src/pack/image/pack.ts'
import { type RewrapOptions, rewrapImage } from '../../../src/pack/image/rewrap.ts'
import { MIB } from '../../../src/units.ts'
import { makeFolder, makeKeys, makeOptions, makeSource, noise, type TestKeys } from './fixtures.ts'
import { readImage, readMembers } from './read-image.ts'

const RAW = noise(6 * MIB, 1)

let first: TestKeys
let second: TestKeys
beforeAll(async () => {
  first = await makeKeys()
  second = await makeKeys()
})

const nothing: RewrapOptions = { add: [], remove: [], identities: [], emit: () => undefined }

async function makeImage(folder: string): Promise<string> {
  const source = await makeSource(folder, [{ name: 'root', raw: RAW }])
  const path = join(folder, 'a.osimg')
  await packImage(source, makeOptions(first, path))
  return path
}

/** Fingerprint of the encryption subkey, as the image names it. */
const encryptionKeyOf = (keys: TestKeys): string => fingerprintsOf(keys.recipientCert)[1] ?? ''

async function membersBut(path: string, omitted: string) {
  return [...(await readMembers(path))].filter(([name]) => name !== omitted)
}

describe('rewrapImage', () => {
  it('lets a second recipient read the image, and then the first no more', async () => {
    await using folder = await makeFolder()
    const path = await makeImage(folder.path)
    const before = await membersBut(path, 'keys.pgp')
    const identities = [first.recipient]
    await expect(readImage(path, [second.recipient])).rejects.toThrow('no secret key given fits')
    await rewrapImage(path, { ...nothing, add: [second.recipientCert], identities })
    for (const keys of [first, second]) {
      const image = await readImage(path, [keys.recipient])
      expect(image.payloads.get('root')?.raw.equals(RAW)).toBe(true)
    }
    const report = await rewrapImage(path, { ...nothing, remove: [encryptionKeyOf(first)] })
    const image = await readImage(path, [second.recipient])
    expect(image.payloads.get('root')?.raw.equals(RAW)).toBe(true)
    await expect(readImage(path, [first.recipient])).rejects.toThrow('no secret key given fits')
    expect(await membersBut(path, 'keys.pgp')).toEqual(before)
    expect(report.bytes).toBe((await stat(path)).size)
    expect(await readdir(folder.path)).toEqual(['a.osimg', 'root.raw'])
  })

  it('adds and removes in one go, into another file, with a new check sum', async () => {
    await using folder = await makeFolder()
    const path = await makeImage(folder.path)
    const old = await readFile(path)
    const output = join(folder.path, 'b.osimg')
    await rewrapImage(path, {
      ...nothing,
      add: [second.recipientCert],
      remove: [encryptionKeyOf(first)],
      identities: [first.recipient],
      output,
    })
    expect((await readFile(path)).equals(old)).toBe(true)
    const keys = (await readMembers(output)).get('keys.pgp')
    expect(listRecipients(keys?.content ?? Buffer.alloc(0)).map(({ name }) => name)).toEqual([
      encryptionKeyOf(second),
    ])
    expect(keys?.checksum).not.toBe((await readMembers(path)).get('keys.pgp')?.checksum)
    // The new check sum fits: the image can be rewrapped again.
    await rewrapImage(output, nothing)
  })

  it('reads from elsewhere into a new image, and into none without a name for it', async () => {
    await using folder = await makeFolder()
    const path = await makeImage(folder.path)
    const output = join(folder.path, 'b.osimg')
    await using source = await openFileSource(path)
    const change = { add: [second.recipientCert], identities: [first.recipient] }
    const elsewhere = 'http://images.example/a.osimg'
    await rewrapImage(elsewhere, { ...nothing, ...change, source, output })
    const image = await readImage(output, [second.recipient])
    expect(image.payloads.get('root')?.raw.equals(RAW)).toBe(true)
    await expect(rewrapImage(elsewhere, { ...nothing, ...change, source })).rejects.toMatchObject({
      code: 'usage',
      message: `rewrapping ${elsewhere}: it is no file here`,
    })
  })

  it('refuses an existing output without force', async () => {
    await using folder = await makeFolder()
    const path = await makeImage(folder.path)
    const output = join(folder.path, 'root.raw')
    await expect(rewrapImage(path, { ...nothing, output })).rejects.toMatchObject({
      code: 'refused',
    })
    expect((await readFile(output)).equals(RAW)).toBe(true)
  })

  it.each([
    ['adding without a key that fits', () => ({ add: [second.recipientCert] }), 'decryption'],
    ['removing a stranger', () => ({ remove: ['AB'.repeat(32)] }), 'refused'],
    ['removing everybody', () => ({ remove: [encryptionKeyOf(first)] }), 'refused'],
    ['a signal that has fired', () => ({ signal: AbortSignal.abort() }), 'cancelled'],
  ] as const)('leaves the image as it was on %s', async (_, change, code) => {
    await using folder = await makeFolder()
    const path = await makeImage(folder.path)
    const before = await readFile(path)
    await expect(rewrapImage(path, { ...nothing, ...change() })).rejects.toMatchObject({ code })
    expect((await readFile(path)).equals(before)).toBe(true)
    expect(await readdir(folder.path)).toEqual(['a.osimg', 'root.raw'])
  })

  it('refuses what is no whole image, naming it', async () => {
    await using folder = await makeFolder()
    const path = await makeImage(folder.path)
    const { size } = await stat(path)
    const damaged = join(folder.path, 'damaged.osimg')
    await copyFile(path, damaged)
    await truncate(damaged, size - 10_240)
    await expect(rewrapImage(damaged, nothing)).rejects.toMatchObject({
      code: 'format',
      message: `reading ${damaged}: ${size - 10_240} bytes where ${size} belong`,
    })
    await expect(rewrapImage(join(folder.path, 'root.raw'), nothing)).rejects.toMatchObject({
      code: 'format',
    })
    await expect(rewrapImage(join(folder.path, 'absent'), nothing)).rejects.toMatchObject({
      code: 'io',
    })
  })

  it('refuses signatures or keys whose check sum differs', async () => {
    await using folder = await makeFolder()
    const path = await makeImage(folder.path)
    const manifest = (await readMembers(path)).get('manifest.json')?.content.length ?? 0
    const signatureAt = 512 + Math.ceil(manifest / 512) * 512 + 512
    const file = await open(path, 'r+')
    try {
      // Another byte than it is: signatures are random.
      const byte = Buffer.alloc(1)
      await file.read(byte, 0, 1, signatureAt + 20)
      await file.write(Buffer.from([~(byte[0] ?? 0)]), 0, 1, signatureAt + 20)
    } finally {
      await file.close()
    }
    await expect(rewrapImage(path, nothing)).rejects.toMatchObject({
      code: 'digest',
      message: `reading manifest.json.sig of ${path}: the check sum differs`,
    })
  })
})
