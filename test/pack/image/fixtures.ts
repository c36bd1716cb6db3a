/** Keys, folders, sources and raw bytes for the tests of the image writer. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Certificate,
  generateKeys,
  readCertificates,
  readSecretKeys,
  type SecretKey,
} from '../../../src/encrypt/keys.ts'
import type { PackOptions } from '../../../src/pack/image/settings.ts'
import type { ByteRange, ImageSource, PayloadSource } from '../../../src/pack/source.ts'
import { byteCount, byteOffset } from '../../../src/units.ts'

export interface TestKeys {
  readonly signer: SecretKey
  readonly signerCert: Certificate
  readonly recipient: SecretKey
  readonly recipientCert: Certificate
}

export async function makeKeys(): Promise<TestKeys> {
  const texts = await generateKeys()
  const file = (text: string) => ({ bytes: Buffer.from(text), place: 'test' })
  const [signer] = await readSecretKeys(file(texts.signerKey))
  const [signerCert] = await readCertificates(file(texts.signerCert))
  const [recipient] = await readSecretKeys(file(texts.recipientKey))
  const [recipientCert] = await readCertificates(file(texts.recipientCert))
  if (!signer || !signerCert || !recipient || !recipientCert) throw new Error('no keys')
  return { signer, signerCert, recipient, recipientCert }
}

/** A folder that is removed at the end of the block. */
export async function makeFolder() {
  const path = await mkdtemp(join(tmpdir(), 'osflash-test-pack-'))
  return {
    path,
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  }
}

export const range = (offset: number, length: number): ByteRange => ({
  offset: byteOffset(offset),
  length: byteCount(length),
})

export interface TestPayload {
  readonly name: string
  readonly raw: Uint8Array
  readonly unused?: readonly ByteRange[]
  /** Bytes of the file before the payload. */
  readonly before?: number
}

/** Writes the payloads as files in `folder`; a source of trees, which needs no disk. */
export async function makeSource(
  folder: string,
  payloads: readonly TestPayload[],
): Promise<ImageSource> {
  const sources: PayloadSource[] = []
  for (const { name, raw, unused = [], before = 0 } of payloads) {
    const path = join(folder, `${name}.raw`)
    await writeFile(path, Buffer.concat([Buffer.alloc(before, 0xee), raw]))
    sources.push({
      name,
      place: { kind: 'tree', entries: 1 },
      path,
      range: range(before, raw.length),
      unused,
    })
  }
  return {
    name: 'test',
    sequence: 1,
    created: '2023-11-14T22:13:20Z',
    os: { family: 'linux' },
    architecture: 'x86_64',
    firmware: [],
    payloads: sources,
  }
}

export function makeOptions(keys: TestKeys, output: string): PackOptions {
  return {
    output,
    recipients: [keys.recipientCert],
    signers: [keys.signer],
    workers: 2,
    emit: () => undefined,
  }
}

/** Bytes that compress a little, the same for the same seed. */
export function noise(bytes: number, seed: number): Buffer {
  const out = Buffer.alloc(bytes)
  let state = (seed * 2_654_435_761 + 1) >>> 0
  for (let i = 0; i < bytes; i += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    out[i] = (state >>> 24) & 0x7f
  }
  return out
}
