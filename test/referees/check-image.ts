/**
 * Lets all referees judge every segment of an image.
 *
 * 1. `tar` cuts the image into its members, into a folder of the referees' root.
 * 2. Each referee runs `cat keys.pgp SEGMENT | … decrypt | zstd -d` over each segment.
 * 3. What comes out must be the raw bytes: the frames that the index lists, each with its BLAKE3
 *    digest, one after another, and nothing behind them. Frames of a raw copy, where one is
 *    given, must be the same bytes.
 *
 * Nothing of the open side of osflash takes part but the parsers of manifest and index.
 */

import { copyFile, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { blake3 } from '@napi-rs/blake-hash'
import { type Frame, type PayloadIndex, parseContent } from '../../src/format/index.ts'
import type { Manifest } from '../../src/format/manifest.ts'
import { parseManifest } from '../../src/format/manifest-bytes.ts'
import { indexMember, segmentMember } from '../../src/format/members.ts'
import { run } from '../../src/system/run.ts'
import { makeScratch } from '../../src/system/scratch.ts'
import { REFEREES, type RefereeName, refereeVerifies, runReferee } from './referee.ts'
import type { RefereeRoot } from './referee-root.ts'

export interface ImageUnderTest {
  readonly imagePath: string
  /** A secret key without a passphrase. */
  readonly recipientKeyPath: string
  /** When given, the referees verify the signature of the manifest with this certificate. */
  readonly signerCertPath?: string
  /** The payload's raw bytes by name, to compare with the frames; a file or a device. */
  readonly rawCopies?: Readonly<Record<string, RawCopy>>
}

/** Where the raw bytes of a payload lie. */
export interface RawCopy {
  readonly path: string
  readonly offset: number
}

/** What one referee made of one segment. */
export interface Verdict {
  readonly referee: RefereeName
  readonly member: string
  readonly frames: number
  readonly rawBytes: number
}

/**
 * Checks every segment of an image with every referee.
 * @throws OsflashError `process` when a referee refuses, Error where bytes differ
 */
export async function checkImage(root: RefereeRoot, image: ImageUnderTest): Promise<Verdict[]> {
  await using scratch = await makeScratch('image', join(root.path, 'tmp'))
  const folder = scratch.path
  await run(['tar', '-xf', image.imagePath, '-C', folder, '--no-same-owner'])
  await copyFile(image.recipientKeyPath, join(folder, 'recipient.key'))
  if (image.signerCertPath !== undefined) {
    await copyFile(image.signerCertPath, join(folder, 'signer.pub'))
    const names = ['manifest.json', 'manifest.json.sig', 'signer.pub'] as const
    for (const name of REFEREES) await refereeVerifies(name, root, { folder, names })
  }
  const manifest = parseManifest(await readFile(join(folder, 'manifest.json')))
  const verdicts: Verdict[] = []
  for (const payload of manifest.payloads) {
    const bytes = await readFile(join(folder, indexMember(payload.name)))
    const index = parseContent(bytes.subarray(0, payload.index.contentBytes), payload.name)
    const raw = image.rawCopies?.[payload.name]
    verdicts.push(...(await checkPayload(root, { folder, payload, index, raw })))
  }
  return verdicts
}

interface PayloadUnderTest {
  readonly folder: string
  readonly payload: Manifest['payloads'][number]
  readonly index: PayloadIndex
  readonly raw: RawCopy | undefined
}

async function checkPayload(root: RefereeRoot, test: PayloadUnderTest): Promise<Verdict[]> {
  const { folder, payload, index, raw } = test
  const verdicts: Verdict[] = []
  let first = 0
  for (const [segment, count] of index.segmentFrames.entries()) {
    const frames = index.frames.slice(first, first + count)
    if (raw !== undefined) await compareRaw(raw, frames)
    const member = segmentMember(payload.name, segment, payload.codec)
    const files = { keys: 'keys.pgp', segment: member, recipientKey: 'recipient.key' }
    const job = { folder, ...files, codec: payload.codec }
    for (const referee of REFEREES) {
      const sink = new FrameSink(frames, `${member} through ${referee}`)
      await runReferee(referee, root, { job, sink })
      verdicts.push({ referee, member, frames: count, rawBytes: sink.finished() })
    }
    first += count
  }
  return verdicts
}

/** The digests of the index are those of the raw copy. */
async function compareRaw(raw: RawCopy, frames: readonly Frame[]): Promise<void> {
  await using file = await open(raw.path)
  for (const frame of frames) {
    const bytes = Buffer.alloc(frame.rawLength)
    await file.read(bytes, 0, bytes.length, raw.offset + frame.rawOffset)
    if (!blake3(bytes).equals(frame.digest)) {
      throw new Error(`${raw.path}: other bytes at ${frame.rawOffset} than the index says`)
    }
  }
}

/** Takes raw bytes and compares each frame's digest; holds one frame at a time. */
class FrameSink extends Writable {
  readonly #frames: readonly Frame[]
  readonly #place: string
  #pending: Buffer[] = []
  #pendingBytes = 0
  #next = 0
  #rawBytes = 0

  constructor(frames: readonly Frame[], place: string) {
    super()
    this.#frames = frames
    this.#place = place
  }

  override _write(chunk: Buffer, _: BufferEncoding, done: (error?: Error) => void): void {
    this.#pending.push(chunk)
    this.#pendingBytes += chunk.length
    this.#rawBytes += chunk.length
    let frame = this.#frames[this.#next]
    while (frame !== undefined && this.#pendingBytes >= frame.rawLength) {
      if (!this.#take(frame)) {
        done(new Error(`${this.#place}: frame ${this.#next} has other bytes`))
        return
      }
      frame = this.#frames[this.#next]
    }
    done()
  }

  /** The raw bytes seen, after the end. */
  finished(): number {
    if (this.#next === this.#frames.length && this.#pendingBytes === 0) return this.#rawBytes
    throw new Error(`${this.#place}: ${this.#next} of ${this.#frames.length} frames came whole`)
  }

  #take(frame: Frame): boolean {
    const all = Buffer.concat(this.#pending)
    const rest = all.subarray(frame.rawLength)
    this.#pending = [rest]
    this.#pendingBytes = rest.length
    this.#next += 1
    return blake3(all.subarray(0, frame.rawLength)).equals(frame.digest)
  }
}
